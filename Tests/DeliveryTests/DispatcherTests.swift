import Delivery
import GatewayTesting
import Messaging
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct DispatcherTests {
    let outbox = DeliveryOutbox()
    let clock = DeliveryClock()

    func dispatcher(
        _ sender: DeliverySender, inFlightMax: Int = 8, recordAttemptsMax: Int = 5, pacer: Pacer = Pacer(),
        observe: @escaping @Sendable (DispatchEvent) -> Void = { _ in }
    ) -> Dispatcher<DeliveryClock> {
        Dispatcher(
            configuration: DispatcherConfiguration(
                kind: .metaSend, worker: "test", inFlightMax: inFlightMax, recordAttemptsMax: recordAttemptsMax),
            store: outbox, sender: sender, pacer: pacer, clock: clock, jitter: \.upperBound, observe: observe)
    }

    /// Runs a dispatcher, and drains it when the body is done.
    func running(
        _ dispatcher: Dispatcher<DeliveryClock>, _ body: () async throws -> Void
    ) async rethrows {
        async let run: Void = dispatcher.run()
        defer { dispatcher.drain() }
        try await body()
        dispatcher.drain()
        await run
    }

    @Test("an accepted message is recorded under the provider's id")
    func accepted() async {
        let events = Events()
        outbox.add(.sample(text: "a"))
        await running(dispatcher(DeliverySender(), observe: events.note)) { await events.untilRecorded(1) }
        #expect(outbox.log == [.accepted(id: 1, providerID: "wamid.a")])
    }

    @Test("a job added later is picked up")
    func woken() async {
        let events = Events()
        await running(dispatcher(DeliverySender(), observe: events.note)) {
            outbox.add(.sample(text: "a"))
            await events.untilRecorded(1)
            outbox.add(.sample(text: "b"))
            await events.untilRecorded(2)
        }
        #expect(outbox.log == [.accepted(id: 1, providerID: "wamid.a"), .accepted(id: 2, providerID: "wamid.b")])
    }

    @Test("a temporary refusal is retried after the back-off, and then accepted")
    func retried() async {
        let events = Events()
        let attempts = Mutex(0)
        let sender = DeliverySender { message in
            let attempt = attempts.withLock { count in
                count += 1
                return count
            }
            return attempt == 1
                ? .refused(code: 131016, detail: "busy", retry: .later) : .accepted(providerID: "wamid.\(message.text)")
        }
        outbox.add(.sample(text: "a"))
        await running(dispatcher(sender, observe: events.note)) {
            await events.untilRecorded(1)
            outbox.makeDue()
            await events.untilRecorded(2)
        }
        #expect(
            outbox.log == [
                .refused(id: 1, .init(code: 131016, error: "busy", retryAfterMilliseconds: 1_000)),
                .accepted(id: 1, providerID: "wamid.a"),
            ])
    }

    @Test("a refusal for good is recorded without a delay")
    func refused() async {
        let events = Events()
        outbox.add(.sample())
        let sender = DeliverySender { _ in .refused(code: 131026, detail: "undeliverable", retry: .never) }
        await running(dispatcher(sender, observe: events.note)) {
            await events.untilRecorded(1)
            outbox.makeDue()
        }
        let refusal = DeliveryOutbox.Refusal(code: 131026, error: "undeliverable", retryAfterMilliseconds: nil)
        #expect(outbox.log == [.refused(id: 1, refusal)])
        #expect(sender.texts.count == 1)
    }

    @Test("an uncertain send is never repeated, and does not hold up those behind it")
    func uncertain() async {
        let events = Events()
        outbox.add(.sample(text: "lost"), orderKey: 7)
        outbox.add(.sample(text: "next"), orderKey: 7)
        let sender = DeliverySender { message in
            message.text == "lost" ? .uncertain(detail: "no answer") : .accepted(providerID: "wamid.next")
        }
        await running(dispatcher(sender, observe: events.note)) {
            await events.untilRecorded(2)
            outbox.makeDue()
            outbox.add(.sample(text: "other"))
            await events.untilRecorded(3)
        }
        #expect(
            outbox.log.prefix(2)
                == [.uncertain(id: 1, error: "no answer"), .accepted(id: 2, providerID: "wamid.next")])
        #expect(sender.texts == ["lost", "next", "other"])
    }

    @Test("what must not be sent is refused and never reaches the sender")
    func forbidden() async {
        let events = Events()
        outbox.add(.sample(), permission: "stopped_all")
        outbox.add(nil)
        let sender = DeliverySender()
        await running(dispatcher(sender, observe: events.note)) { await events.untilRecorded(2) }
        #expect(sender.texts.isEmpty)
        let finals = outbox.log.map { entry in
            if case .refused(_, let refusal) = entry { refusal.retryAfterMilliseconds == nil } else { false }
        }
        #expect(finals == [true, true])
    }

    @Test("no more than the limit are in flight, and all are sent")
    func limit() async {
        let events = Events()
        let gate = Gate()
        let sender = DeliverySender { message in
            await gate.wait()
            return .accepted(providerID: message.text)
        }
        for index in 0..<20 { outbox.add(.sample(text: "\(index)")) }
        let pacer = Pacer(perSecond: 80, burst: 100)
        await running(dispatcher(sender, inFlightMax: 3, pacer: pacer, observe: events.note)) {
            await gate.untilWaiting(3)
            #expect(outbox.claims == 1)
            gate.open()
            await events.untilRecorded(20)
        }
        #expect(sender.inFlightMost == 3)
        #expect(outbox.log.count == 20)
    }

    @Test("jobs of one order key leave one after the other, in order")
    func order() async {
        let events = Events()
        let texts = (0..<12).map(String.init)
        for text in texts { outbox.add(.sample(text: text), orderKey: 1) }
        let sender = DeliverySender()
        await running(dispatcher(sender, pacer: Pacer(perSecond: 80, burst: 100), observe: events.note)) {
            await events.untilRecorded(12)
        }
        #expect(sender.texts == texts)
        #expect(sender.inFlightMost == 1)
    }

    @Test("beyond the burst a message waits for its slot")
    func paced() async {
        let events = Events()
        for text in ["a", "b", "c"] { outbox.add(.sample(text: text)) }
        let sender = DeliverySender()
        await running(dispatcher(sender, pacer: Pacer(perSecond: 10, burst: 1), observe: events.note)) {
            await clock.untilSomebodySleeps(to: .milliseconds(100))
            await clock.untilSomebodySleeps(to: .milliseconds(200))
            await events.untilRecorded(1)
            #expect(sender.texts == ["a"])
            clock.advance(by: .milliseconds(100))
            await events.untilRecorded(2)
            clock.advance(by: .milliseconds(100))
            await events.untilRecorded(3)
        }
        #expect(sender.texts == ["a", "b", "c"])
    }

    @Test("a job whose claim is about to lapse is given back unsent")
    func staleClaim() async {
        let events = Events()
        for text in ["a", "b"] { outbox.add(.sample(text: text)) }
        let sender = DeliverySender()
        await running(dispatcher(sender, pacer: Pacer(perSecond: 1, burst: 1), observe: events.note)) {
            await clock.untilSomebodySleeps(to: .seconds(1))
            await events.untilRecorded(1)
            clock.advance(by: .seconds(60))
            await events.untilRecorded(2)
        }
        #expect(sender.texts == ["a"])
        let refusal = DeliveryOutbox.Refusal(
            code: nil, error: "not sent: the claim was about to lapse", retryAfterMilliseconds: 0)
        #expect(outbox.log.last == .refused(id: 2, refusal))
    }

    @Test("the store may fail at claiming: it is asked again after a back-off")
    func claimFails() async {
        let events = Events()
        outbox.fail("claim", times: 2)
        outbox.add(.sample(text: "a"))
        await running(dispatcher(DeliverySender(), observe: events.note)) {
            await clock.untilSomebodySleeps(to: .milliseconds(200))
            clock.advance(by: .milliseconds(200))
            await clock.untilSomebodySleeps(to: .milliseconds(600))
            clock.advance(by: .milliseconds(400))
            await events.untilRecorded(1)
        }
        #expect(events.failures == ["claim", "claim"])
        #expect(outbox.log == [.accepted(id: 1, providerID: "wamid.a")])
    }

    @Test("the store may fail at recording: the outcome is told again, the message is not sent again")
    func recordFails() async {
        let events = Events()
        outbox.fail("record", times: 2)
        outbox.add(.sample(text: "a"))
        let sender = DeliverySender()
        await running(dispatcher(sender, observe: events.note)) {
            await clock.untilSomebodySleeps(to: .milliseconds(200))
            clock.advance(by: .milliseconds(200))
            await clock.untilSomebodySleeps(to: .milliseconds(600))
            clock.advance(by: .milliseconds(400))
            await events.untilRecorded(1)
        }
        #expect(sender.texts == ["a"])
        #expect(outbox.log == [.accepted(id: 1, providerID: "wamid.a")])
    }

    @Test("an outcome that cannot be recorded in all attempts is let go, and said so")
    func unrecorded() async {
        let events = Events()
        outbox.fail("record", times: 99)
        outbox.add(.sample(text: "a"))
        await running(dispatcher(DeliverySender(), recordAttemptsMax: 1, observe: events.note)) {
            await events.untilUnrecorded(1)
        }
        #expect(outbox.log.isEmpty)
    }

    @Test("draining lets what is in flight finish, and claims nothing more")
    func drained() async {
        let events = Events()
        let gate = Gate()
        let sender = DeliverySender { message in
            await gate.wait()
            return .accepted(providerID: message.text)
        }
        for text in ["a", "b", "c", "d"] { outbox.add(.sample(text: text)) }
        let dispatcher = dispatcher(sender, inFlightMax: 2, observe: events.note)
        async let run: Void = dispatcher.run()
        await gate.untilWaiting(2)
        dispatcher.drain()
        dispatcher.drain()
        #expect(dispatcher.inFlight == 2)
        gate.open()
        await run
        #expect(outbox.log.count == 2)
        #expect(outbox.pending == 2)
        #expect(dispatcher.inFlight == 0)
        #expect(events.isDrained)
    }

    @Test("a job that waits for its slot when the drain begins is sent")
    func drainedWhilePaced() async {
        let events = Events()
        for text in ["a", "b"] { outbox.add(.sample(text: text)) }
        let sender = DeliverySender()
        let dispatcher = dispatcher(sender, pacer: Pacer(perSecond: 1, burst: 1), observe: events.note)
        async let run: Void = dispatcher.run()
        await clock.untilSomebodySleeps(to: .seconds(1))
        dispatcher.drain()
        clock.advance(by: .seconds(1))
        await run
        #expect(outbox.log.count == 2)
    }

    @Test("a dispatcher drained before it runs does nothing")
    func drainedEarly() async {
        outbox.add(.sample())
        let dispatcher = dispatcher(DeliverySender())
        dispatcher.drain()
        await dispatcher.run()
        #expect(outbox.claims == 0)
    }

    @Test("an outage during the drain does not hold it up longer than its attempts")
    func drainedInOutage() async {
        outbox.fail("claim", times: 99)
        let dispatcher = dispatcher(DeliverySender())
        async let run: Void = dispatcher.run()
        await clock.untilSomebodySleeps(to: .milliseconds(200))
        dispatcher.drain()
        await run
        #expect(outbox.log.isEmpty)
    }

    @Test("cancelled, it ends, and sends nothing that was still waiting")
    func cancelled() async {
        for text in ["a", "b"] { outbox.add(.sample(text: text)) }
        let sender = DeliverySender()
        let dispatcher = dispatcher(sender, pacer: Pacer(perSecond: 1, burst: 1))
        let run = Task { await dispatcher.run() }
        await clock.untilSomebodySleeps(to: .seconds(1))
        run.cancel()
        await run.value
        #expect(sender.texts == ["a"])
        let refusal = DeliveryOutbox.Refusal(
            code: nil, error: "not sent: the gateway was stopped", retryAfterMilliseconds: 0)
        #expect(outbox.log.contains(.refused(id: 2, refusal)))
    }

    @Test("uncertain jobs are swept about once a minute, also after a failure")
    func swept() async {
        let events = Events()
        outbox.fail("sweep", times: 1)
        await running(dispatcher(DeliverySender(), observe: events.note)) {
            await clock.untilSomebodySleeps(to: .seconds(60))
            clock.advance(by: .seconds(60))
            await clock.untilSomebodySleeps(to: .seconds(120))
            clock.advance(by: .seconds(60))
            await clock.untilSomebodySleeps(to: .seconds(180))
        }
        #expect(outbox.sweeps == 1)
        #expect(events.failures == ["sweep"])
    }

    @Test("a throughput refusal slows the endpoint")
    func slowed() async {
        let events = Events()
        let sender = DeliverySender { message in
            message.text == "a"
                ? .refused(code: 130429, detail: "rate", retry: .later) : .accepted(providerID: message.text)
        }
        outbox.add(.sample(text: "a"))
        await running(dispatcher(sender, pacer: Pacer(perSecond: 10, burst: 5), observe: events.note)) {
            await events.untilRecorded(1)
            outbox.add(.sample(text: "b"))
            await clock.untilSomebodySleeps(to: .milliseconds(200))
            #expect(sender.texts == ["a"])
            clock.advance(by: .milliseconds(200))
            await events.untilRecorded(2)
        }
    }
}

/// What a dispatcher told, and a way to wait for it.
private final class Events: Sendable {
    private struct State {
        var recorded = 0
        var unrecorded = 0
        var failures: [String] = []
        var isDrained = false
        var waiting: [(enough: @Sendable (State) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    var failures: [String] { state.withLock { $0.failures } }
    var isDrained: Bool { state.withLock { $0.isDrained } }

    @Sendable func note(_ event: DispatchEvent) {
        let ready = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            switch event {
            case .recorded: state.recorded += 1
            case .unrecorded: state.unrecorded += 1
            case .storeFailed(let operation, _): state.failures.append(operation)
            case .drained: state.isDrained = true
            case .claimed, .swept: break
            }
            let now = state
            let ready = now.waiting.filter { $0.enough(now) }
            state.waiting.removeAll { $0.enough(now) }
            return ready.map(\.continuation)
        }
        for continuation in ready { continuation.resume() }
    }

    func untilRecorded(_ count: Int) async { await until { $0.recorded >= count } }
    func untilUnrecorded(_ count: Int) async { await until { $0.unrecorded >= count } }

    private func until(_ enough: @escaping @Sendable (State) -> Bool) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if enough(state) { return true }
                state.waiting.append((enough, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}

/// Holds sends back until it is opened.
private final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var held: [CheckedContinuation<Void, Never>] = []
        var watchers: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())

    func wait() async {
        await withCheckedContinuation { continuation in
            let resumed = state.withLock { state -> [CheckedContinuation<Void, Never>] in
                if state.isOpen { return [continuation] }
                state.held.append(continuation)
                let count = state.held.count
                defer { state.watchers.removeAll { $0.count <= count } }
                return state.watchers.filter { $0.count <= count }.map(\.continuation)
            }
            for continuation in resumed { continuation.resume() }
        }
    }

    func open() {
        let held = state.withLock { state in
            state.isOpen = true
            defer { state.held = [] }
            return state.held
        }
        for continuation in held { continuation.resume() }
    }

    func untilWaiting(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.held.count >= count { return true }
                state.watchers.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }
}
