import Delivery
import Downstream
import GatewayTesting
import Messaging
import Testing

/// Dispatcher, forwarder and a real handler together.
@Suite(.timeLimit(.minutes(1))) struct ForwardingTests {
    let lanes = ForwardLanes()
    let clock = DeliveryClock()

    private func dispatcher(_ url: String) throws -> ForwardDispatcher<DeliveryClock, ForwardLanes> {
        ForwardDispatcher(
            configuration: ForwardDispatcherConfiguration(
                worker: "test", limit: ForwardLimit(jobs: 10, bytes: 1 << 20)),
            lanes: WebhookSource.allCases, queue: lanes, forwarder: try DownstreamForwarderTests.forwarder(url),
            clock: clock, jitter: \.upperBound)
    }

    private func running(_ url: String, _ body: () async throws -> Void) async throws {
        let dispatcher = try dispatcher(url)
        async let run: Void = dispatcher.run()
        defer { dispatcher.drain() }
        try await body()
        dispatcher.drain()
        await run
    }

    /// Lets pauses be over as soon as they begin.
    private func hurrying(_ body: () async throws -> Void) async rethrows {
        let time = Task { [clock, lanes] in
            while !Task.isCancelled {
                clock.advance(by: .seconds(1))
                lanes.endPauses()
                await Task.yield()
            }
        }
        defer { time.cancel() }
        try await body()
    }

    @Test("order is kept in each source across failures, and a source that fails holds up no other")
    func order() async throws {
        let isMended = Watched(false)
        let answer: HandlerServer.Answering = { webhook, times in
            if webhook.source == "meta", webhook.text == "m1" { return .init(status: isMended.value ? 200 : 500) }
            return .init(status: webhook.text.hasSuffix("3") && times == 1 ? 503 : 200)
        }
        try await HandlerServer.run(answer: answer) { server in
            for number in 1...4 {
                lanes.add(.meta, "m\(number)")
                lanes.add(.vps, "v\(number)")
            }
            try await running(server.url) {
                await clock.untilSomebodySleeps(to: .seconds(1))
                await server.received.until { $0.count { $0.source == "vps" } >= 3 }
                #expect(server.received.value.filter { $0.source == "meta" }.allSatisfy { $0.text == "m1" })
                isMended.change { $0 = true }
                await hurrying { await lanes.untilEmpty() }
            }
            for (source, letter) in [("meta", "m"), ("vps", "v")] {
                var order: [String] = []
                for webhook in server.received.value where webhook.source == source && order.last != webhook.text {
                    order.append(webhook.text)
                }
                #expect(order == (1...4).map { "\(letter)\($0)" })
            }
        }
    }

    @Test("after an end in the middle the rest is sent, what was in doubt under the same id, and nothing is left out")
    func restart() async throws {
        let received = Watched<[HandlerServer.Received]>([])
        for number in 1...20 { lanes.add(.meta, "m\(number)") }
        // The handler goes away in the middle of the seventh, without an answer to it.
        let port = try await HandlerServer.run(
            received: received, answer: { webhook, _ in .init(isSilent: webhook.text == "m7") }
        ) { server in
            let dispatcher = try dispatcher(server.url)
            let run = Task { await dispatcher.run() }
            await received.until { $0.count == 7 }
            // As a kill does it: nothing is finished, nothing is stored.
            lanes.fail("settle", times: .max)
            run.cancel()
            await run.value
            return server.port
        }
        lanes.fail("settle", times: 0)
        lanes.endLeases()
        try await HandlerServer.run(port: port, received: received) { server in
            try await running(server.url) { await hurrying { await lanes.untilEmpty() } }
        }
        let ids = received.value.compactMap(\.id)
        #expect(ids == (Array(1...7) + Array(1...20)).map { "journal/\($0)" }, "the whole run again, in order")
    }
}
