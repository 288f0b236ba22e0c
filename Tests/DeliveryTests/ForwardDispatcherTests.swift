import Delivery
import GatewayTesting
import Messaging
import Testing

@Suite(.timeLimit(.minutes(1))) struct ForwardDispatcherTests {
    let lanes = ForwardLanes()
    let clock = DeliveryClock()
    let events = Watched<[ForwardEvent<WebhookSource>]>([])

    func dispatcher(
        _ receiver: Receiver, jobs: Int = 10, leaseSeconds: Int = 40, policy: ForwardPolicy = ForwardPolicy()
    )
        -> ForwardDispatcher<DeliveryClock, ForwardLanes>
    {
        ForwardDispatcher(
            configuration: ForwardDispatcherConfiguration(
                worker: "test", limit: ForwardLimit(jobs: jobs, bytes: 1 << 20), leaseSeconds: leaseSeconds,
                policy: policy),
            lanes: WebhookSource.allCases, queue: lanes, forwarder: receiver, clock: clock, jitter: \.upperBound,
            observe: { [events] event in events.change { $0.append(event) } })
    }

    /// Runs a dispatcher, and drains it when the body is done.
    func running(_ receiver: Receiver, jobs: Int = 10, _ body: () async throws -> Void) async rethrows {
        let dispatcher = dispatcher(receiver, jobs: jobs)
        async let run: Void = dispatcher.run()
        defer { dispatcher.drain() }
        try await body()
        dispatcher.drain()
        await run
    }

    @Test("webhooks go in order, one at a time in each source, over several runs")
    func order() async {
        let receiver = Receiver()
        for number in 1...25 { lanes.add(.meta, "m\(number)") }
        for number in 1...5 { lanes.add(.vps, "v\(number)") }
        await running(receiver, jobs: 10) { await lanes.untilEmpty() }
        #expect(receiver.bodies(.meta) == (1...25).map { "m\($0)" })
        #expect(receiver.bodies(.vps) == (1...5).map { "v\($0)" })
        #expect(receiver.mostAtOnce[.meta] == 1 && receiver.mostAtOnce[.vps] == 1)
        #expect(lanes.settlements.count { !$0.done.isEmpty } == 4)
    }

    @Test("a webhook that comes later is picked up")
    func woken() async {
        let receiver = Receiver()
        await running(receiver) {
            await events.until { $0.count { $0 == .looked(.meta, oldestSeconds: 0) } >= 1 }
            lanes.add(.meta, "late")
            await lanes.untilEmpty()
        }
        #expect(receiver.bodies(.meta) == ["late"])
    }

    @Test(
        "what fails is tried again after the pause, under its id, before anything behind it; the other source goes on")
    func failure() async {
        let receiver = Receiver { webhook, attempt in
            webhook.text == "m2" && attempt <= 2
                ? .answered(status: 503, retryAfterSeconds: nil) : .answered(status: 200, retryAfterSeconds: nil)
        }
        for number in 1...3 { lanes.add(.meta, "m\(number)") }
        await running(receiver) {
            await clock.untilSomebodySleeps(to: .seconds(1))
            lanes.add(.vps, "v1")
            await receiver.untilAsked(3)
            #expect(receiver.bodies(.vps) == ["v1"] && receiver.bodies(.meta) == ["m1", "m2"])
            lanes.endPauses()
            clock.advance(by: .seconds(1))
            await clock.untilSomebodySleeps(to: .seconds(3))
            lanes.endPauses()
            clock.advance(by: .seconds(2))
            await lanes.untilEmpty()
        }
        #expect(receiver.bodies(.meta) == ["m1", "m2", "m2", "m2", "m3"])
        #expect(Set(receiver.asked.filter { $0.text == "m2" }.map(\.id)).count == 1)
        #expect(lanes.dead.isEmpty)
    }

    @Test(
        "a webhook that is refused for good, or that is gone from the log, is set aside, and the lane goes on at once")
    func setAside() async {
        let receiver = Receiver { webhook, _ in
            .answered(status: webhook.text == "m1" ? 422 : 200, retryAfterSeconds: nil)
        }
        lanes.add(.meta, "m1")
        lanes.add(.meta, nil)
        lanes.add(.meta, "m3")
        await running(receiver) { await lanes.untilEmpty() }
        #expect(receiver.bodies(.meta) == ["m1", "m3"])
        #expect(lanes.dead.map(\.id) == [1, 2] && lanes.dead[0].error == "the receiver answered 422")
        #expect(lanes.dead.last?.error.contains("gateway.webhook_log") == true)
        #expect(events.value.contains(.setAside(.meta, job: 1, error: "the receiver answered 422")))
    }

    @Test("a queue that is away is asked again, and what was taken is stored when it is back")
    func queueAway() async {
        let receiver = Receiver()
        lanes.add(.meta, "m1")
        lanes.fail("claim", times: 2)
        lanes.fail("settle", times: 2)
        let time = Task { [clock] in
            while !Task.isCancelled {
                clock.advance(by: .seconds(1))
                await Task.yield()
            }
        }
        await running(receiver) { await lanes.untilEmpty() }
        time.cancel()
        #expect(receiver.bodies(.meta) == ["m1"], "stored, not sent again")
    }

    @Test("draining finishes the webhook under way, stores it, and leaves the rest of the run")
    func drain() async {
        let gate = Watched(false)
        let receiver = Receiver { _, _ in
            await gate.until { $0 }
            return .answered(status: 200, retryAfterSeconds: nil)
        }
        for number in 1...3 { lanes.add(.meta, "m\(number)") }
        let dispatcher = dispatcher(receiver)
        async let run: Void = dispatcher.run()
        await receiver.untilAsked(1)
        dispatcher.drain()
        gate.change { $0 = true }
        await run
        #expect(lanes.settlements.map(\.done) == [[1]])
        #expect(lanes.rows(.meta).map(\.id) == [2, 3])
        #expect(events.value.last == .drained)
    }

    @Test("draining ends a pause")
    func drainWhileResting() async {
        let receiver = Receiver { _, _ in .unanswered("nobody") }
        lanes.add(.meta, "m1")
        await running(receiver) { await clock.untilSomebodySleeps(to: .seconds(1)) }
        #expect(receiver.asked.count == 1 && lanes.rows(.meta).map(\.attempts) == [1])
    }

    @Test("a worker that was held up for half of its lease sends no more, and one that lost it changes nothing")
    func lease() async {
        let receiver = Receiver { [clock, lanes] webhook, attempt in
            if webhook.text == "m1", attempt == 1 {
                clock.advance(by: .seconds(21))
                lanes.endLeases()
            }
            return .answered(status: 200, retryAfterSeconds: nil)
        }
        for number in 1...2 { lanes.add(.meta, "m\(number)") }
        await running(receiver) { await lanes.untilEmpty() }
        #expect(receiver.bodies(.meta) == ["m1", "m1", "m2"], "at least once")
        #expect(Set(receiver.asked.map(\.id)) == ["journal/1", "journal/2"])
    }
}

/// A receiver that does what the test says, and remembers what it was asked.
final class Receiver: Forwarder {
    struct Asked: Sendable {
        let id: String
        let source: WebhookSource
        let text: String
    }

    private struct State {
        var asked: [Asked] = []
        var atOnce: [WebhookSource: Int] = [:]
        var mostAtOnce: [WebhookSource: Int] = [:]
    }

    private let state = Watched(State())
    private let answer: @Sendable (Asked, Int) async -> ForwardOutcome

    /// - Parameter answer: given the webhook and how often it came, from 1.
    init(
        answer: @escaping @Sendable (Asked, Int) async -> ForwardOutcome = { _, _ in
            .answered(status: 200, retryAfterSeconds: nil)
        }
    ) {
        self.answer = answer
    }

    var asked: [Asked] { state.value.asked }
    var mostAtOnce: [WebhookSource: Int] { state.value.mostAtOnce }
    func bodies(_ source: WebhookSource) -> [String] { asked.filter { $0.source == source }.map(\.text) }
    func untilAsked(_ count: Int) async { await state.until { $0.asked.count >= count } }

    func forward(_ webhook: ForwardedWebhook) async -> ForwardOutcome {
        let asked = Asked(id: webhook.id, source: webhook.source, text: String(decoding: webhook.body, as: UTF8.self))
        let attempt = state.change { state in
            state.asked.append(asked)
            state.atOnce[asked.source, default: 0] += 1
            state.mostAtOnce[asked.source] = max(
                state.mostAtOnce[asked.source] ?? 0, state.atOnce[asked.source] ?? 0)
            return state.asked.count { $0.id == asked.id }
        }
        let outcome = await answer(asked, attempt)
        state.change { $0.atOnce[asked.source, default: 1] -= 1 }
        return outcome
    }
}
