import GatewayTesting
import Journal
import Messaging
import Synchronization
import Testing

@Suite("RecordedJournal", .timeLimit(.minutes(1)))
struct RecordedJournalTests {
    private let inner = InnerJournal()
    private let clock = ManualClock()
    private let sink = NotingSink()

    private func journal(waitingMax: Int = 100) -> RecordedJournal<ManualClock> {
        RecordedJournal(
            inner, limits: RecordingLimits(timeout: .seconds(5), waitingMax: waitingMax), clock: clock)
    }

    private func append(_ journal: RecordedJournal<ManualClock>, _ ticket: UInt64) -> JournalError? {
        journal.append(
            Envelope(source: .meta, receivedAt: Timestamp(seconds: 0), signature: [], body: []),
            ticket: AppendTicket(ticket), sink: sink)
    }

    @Test("An append is told as durable after the commit, with the journal's receipt, once")
    func afterTheCommit() async throws {
        let journal = journal()
        for ticket in 1...3 { #expect(append(journal, UInt64(ticket)) == nil) }
        inner.sync()
        #expect(sink.answers.isEmpty && journal.waiting == 3)
        try await journal.confirm(upTo: 2)
        #expect(sink.answers.isEmpty, "a group waits for its last webhook")
        try await journal.confirm(upTo: 3)
        #expect(sink.answers == [1: "durable 3", 2: "durable 3", 3: "durable 3"])
        try await journal.confirm(upTo: 3)
        #expect(sink.calls == 1 && journal.waiting == 0)
        #expect(inner.confirmed == 3)
    }

    @Test("An entry that was recorded before its sync was told is told at once")
    func recordedFirst() async throws {
        let journal = journal()
        #expect(append(journal, 1) == nil)
        try await journal.confirm(upTo: 1)
        inner.sync()
        #expect(sink.answers == [1: "durable 1"])
    }

    @Test("What the journal cannot take or write is told as it is, and counts no more", arguments: [true, false])
    func journalFails(atOnce: Bool) {
        let journal = journal(waitingMax: 1)
        let full = JournalError(.diskFull, "no space")
        if atOnce {
            inner.refuse(with: full)
            #expect(append(journal, 1) == full)
            inner.refuse(with: nil)
        } else {
            #expect(append(journal, 1) == nil)
            inner.sync(failing: full)
            #expect(sink.answers == [1: "disk_full"])
        }
        #expect(append(journal, 2) == nil)
    }

    @Test("Without the database a webhook is refused after the time-out, and is well again with the next commit")
    func timeOut() async throws {
        let journal = journal()
        let run = Task { await journal.run() }
        #expect(append(journal, 1) == nil)
        inner.sync()
        clock.advance(by: .seconds(3))
        #expect(append(journal, 2) == nil)
        inner.sync()
        await clock.untilSomebodySleeps(for: .milliseconds(250))
        #expect(sink.answers.isEmpty && journal.refusal == nil)
        clock.advance(by: .seconds(2))
        await sink.untilAnswered(1)
        #expect(sink.answers == [1: "not_recorded"])
        #expect(journal.refusal?.code == .notRecorded)
        try await journal.confirm(upTo: 2)
        #expect(sink.answers == [1: "not_recorded", 2: "durable 2"], "the second one still waited")
        #expect(journal.refusal == nil && inner.entries == 2, "the entries stay")
        run.cancel()
        await run.value
    }

    @Test("At the end those who wait are refused, and so is everything after")
    func shutdown() async {
        let journal = journal()
        let run = Task { await journal.run() }
        #expect(append(journal, 1) == nil)
        inner.sync()
        run.cancel()
        await run.value
        #expect(sink.answers == [1: "closed"])
        #expect(append(journal, 2)?.code == .closed)
        #expect(inner.entries == 1)
    }

    @Test("Beyond the limit a webhook is refused before it is stored")
    func limit() {
        let journal = journal(waitingMax: 2)
        #expect(append(journal, 1) == nil && append(journal, 2) == nil)
        #expect(append(journal, 3)?.code == .tooManyUnrecorded)
        #expect(inner.entries == 2)
    }

    @Test("Every webhook of a random run is answered once, and none is acknowledged before it is recorded")
    func randomRun() async throws {
        let seed = UInt64.random(in: .min ... .max)
        print("RecordedJournal: seed \(seed)")
        var generator = SeededGenerator(seed: seed)
        let journal = journal(waitingMax: 40)
        let run = Task { await journal.run() }
        var appended: Set<UInt64> = []
        for ticket in 1...2000 as ClosedRange<UInt64> {
            if append(journal, ticket) == nil { appended.insert(ticket) }
            switch Int.random(in: 0..<10, using: &generator) {
            case 0...3: inner.sync()
            case 4...5:
                let position = Int64.random(in: 0...Int64(inner.synced), using: &generator)
                sink.note(recorded: position)
                try await journal.confirm(upTo: JournalPosition(position))
            case 6: clock.advance(by: .milliseconds(Int64.random(in: 0...2_000, using: &generator)))
            default: break
            }
        }
        inner.sync()
        run.cancel()
        await run.value
        #expect(Set(sink.answers.keys) == appended && sink.doubled.isEmpty && sink.premature.isEmpty)
        #expect(journal.waiting == 0)
    }
}

/// A journal that syncs when the test says so.
private final class InnerJournal: Journal, WebhookAppender {
    private struct State {
        var pending: [(ticket: AppendTicket, sink: any AppendSink)] = []
        var entries: Int64 = 0
        var synced: Int64 = 0
        var confirmed: Int64 = 0
        var refusal: JournalError?
    }
    private let state = Mutex(State())

    var entries: Int64 { state.withLock { $0.entries } }
    var synced: Int64 { state.withLock { $0.synced } }
    var confirmed: Int64 { state.withLock { $0.confirmed } }
    func refuse(with error: JournalError?) { state.withLock { $0.refusal = error } }

    func append(_ envelope: Envelope, ticket: AppendTicket, sink: any AppendSink) -> JournalError? {
        state.withLock { state in
            if let refusal = state.refusal { return refusal }
            state.pending.append((ticket, sink))
            state.entries += 1
            return nil
        }
    }

    func sync(failing error: JournalError? = nil) {
        let (group, position) = state.withLock { state in
            defer { state.pending = [] }
            state.synced = state.entries
            return (state.pending, state.synced)
        }
        guard let sink = group.first?.sink else { return }
        let receipt = DurabilityReceipt(syncedUpTo: JournalPosition(position))
        sink.appended(group.map(\.ticket), result: error.map { .failure($0) } ?? .success(receipt))
    }

    func confirm(upTo position: JournalPosition) async throws(JournalError) {
        state.withLock { $0.confirmed = max($0.confirmed, position.value) }
    }

    func entries(after position: JournalPosition, limit: ReadLimit) async throws(JournalError) -> [JournalEntry] { [] }
    func entriesAvailable(after position: JournalPosition) async {}
    func rewind(to position: JournalPosition) async throws(JournalError) {}
    func renew(id: UniqueID) async throws(JournalError) {}
    var standing: JournalStanding {
        JournalStanding(id: UniqueID(high: 0, low: 1), confirmed: 0, last: 0, oldest: 1, backlogBytes: 0)
    }
}

/// Notes what it is told of each ticket.
private final class NotingSink: AppendSink {
    private struct State {
        var answers: [UInt64: String] = [:]
        var calls = 0
        var doubled: [UInt64] = []
        var premature: [UInt64] = []
        var recorded: Int64 = 0
    }
    private let state = Watched(State())

    var answers: [UInt64: String] { state.value.answers }
    var calls: Int { state.value.calls }
    /// Told twice; told as durable before they were recorded.
    var doubled: [UInt64] { state.value.doubled }
    var premature: [UInt64] { state.value.premature }

    func note(recorded position: Int64) { state.change { $0.recorded = max($0.recorded, position) } }
    func untilAnswered(_ count: Int) async { await state.until { $0.answers.count >= count } }

    func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>) {
        state.change { state in
            state.calls += 1
            for ticket in tickets {
                switch result {
                case .success(let receipt):
                    if state.answers.updateValue("durable \(receipt.position.value)", forKey: ticket.value) != nil {
                        state.doubled.append(ticket.value)
                    }
                    if receipt.position.value > state.recorded { state.premature.append(ticket.value) }
                case .failure(let error):
                    if state.answers.updateValue(error.code.rawValue, forKey: ticket.value) != nil {
                        state.doubled.append(ticket.value)
                    }
                }
            }
        }
    }
}
