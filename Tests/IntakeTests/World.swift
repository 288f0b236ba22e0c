import GatewayTesting
import Intake
import Journal
import Messaging
import Routing
import Testing

/// Intake over a journal and a database in memory, on a clock that the test moves.
struct World: Sendable {
    typealias Call = IntakeTurnstile.Call

    let clock = ManualClock()
    let turnstile = IntakeTurnstile()
    let events = IntakeEventLog()
    let table = Watched<RoutingTable?>(makeTable())
    /// How the next calls of the database end.
    let faults = Watched<[Call: [IntakeDatabase.Fault]]>([:])
    /// How many of the next calls of the journal fail.
    let journalFaults = Watched<[Call: Int]>([:])
    /// Messages and statuses whose data the database refuses, and why.
    let poison = Watched<[String: String]>([:])
    let journal: IntakeJournal
    let database: IntakeDatabase
    var limits = IntakeLimits()

    /// - Parameters:
    ///   - refusal: refuses batches for their data, beside `poison`.
    ///   - chaos: faults beside `faults`.
    init(
        refusal: @escaping @Sendable (RecordBatch) -> String? = { _ in nil },
        chaos: @escaping @Sendable (Call) -> IntakeDatabase.Fault? = { _ in nil },
        journalChaos: @escaping @Sendable (Call) -> Bool = { _ in false },
        routes: @escaping @Sendable (ThreadQuestion, IntakeRecords) -> [Route] = { question, records in
            (records.leases ?? standardLeases).filter { $0.key == question.phone }
        }
    ) {
        limits.batchEntriesMax = 10
        journal = IntakeJournal(
            id: uid(1), turnstile: turnstile,
            fails: { [journalFaults] call in
                journalFaults.change { faults in
                    guard let left = faults[call], left > 0 else { return false }
                    faults[call] = left - 1
                    return true
                } || journalChaos(call)
            })
        database = IntakeDatabase(
            turnstile: turnstile,
            fault: { [faults] call in
                faults.change { $0[call]?.isEmpty ?? true ? nil : $0[call]?.removeFirst() } ?? chaos(call)
            },
            refusal: { [poison] batch in
                let poison = poison.value
                let ids = batch.messages.map(\.message.id) + batch.statuses.map(\.status.messageID)
                return ids.lazy.compactMap { poison[$0] }.first ?? refusal(batch)
            },
            threads: { [poison] question throws(RecorderError) in
                guard let quoted = question.quotedMessageID else {
                    return question.phone == Person.formerTenant.key ? [thread(landlord: 1)] : []
                }
                if let state = poison.value[quoted] {
                    if state == "40001" { throw .outdated("refused by the test") }
                    throw .dataRejected(sqlState: state, detail: "refused by the test")
                }
                return [thread(landlord: 1, isQuoted: true)]
            }, routes: routes)
        database.change { $0.withheld = [uid(3)] }
    }

    /// A process: each has an owner of its own.
    func makeIntake(
        owner: UInt64 = 1, journal: IntakeJournal? = nil, isStale: @escaping @Sendable () -> Bool = { false }
    ) -> Intake {
        Intake(
            journal: journal ?? self.journal, recorder: database, lookup: database, table: { [table] in table.value },
            isStale: isStale, owner: uid(owner), limits: limits, clock: clock, now: now, observer: events)
    }

    var now: @Sendable () -> Timestamp {
        { [clock] in beginning.advanced(bySeconds: clock.now.sinceStart.components.seconds) }
    }

    @discardableResult
    func append(_ updates: Update...) -> JournalPosition { journal.append(makeEnvelope(updates)) }

    /// Appends webhooks of one message each, `m1` to `m<count>` or from another number on.
    func appendMessages(_ count: Int, from first: Int = 1) {
        for number in first..<first + count { append(.message("m\(number)")) }
    }

    /// Runs intake while the test does something, then ends it.
    func run(_ intake: Intake, while body: (Intake) async throws -> Void) async rethrows {
        try await beside({ await intake.run() }, { try await body(intake) })
    }

    func run(while body: (Intake) async throws -> Void) async rethrows { try await run(makeIntake(), while: body) }

    /// Runs intake until everything in the journal is confirmed; time goes by whenever somebody waits for it.
    func runToEnd(_ intake: Intake? = nil, journal: IntakeJournal? = nil) async {
        let journal = journal ?? self.journal
        await passingTime {
            await run(intake ?? makeIntake(journal: journal)) { _ in await journal.untilConfirmed(journal.standing.last)
            }
        }
    }

    func passingTime(_ body: () async throws -> Void) async rethrows {
        try await beside({ [clock] in await clock.keepAdvancing() }, body)
    }

    /// Does something while something else goes on, which is cancelled then. No task of its own: those of a test that
    /// runs on an executor of its choice stay there.
    private func beside(
        _ background: @escaping @Sendable () async -> Void, _ body: () async throws -> Void
    ) async rethrows {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await background() }
            defer { group.cancelAll() }
            try await body()
        }
    }

    /// Ids of messages in the order in which they were recorded.
    var recorded: [String] { database.records.order }
    /// Where batches began and ended, in the order in which they were committed.
    var commits: [ClosedRange<Int64>] { database.records.commits.map { $0.after.value...$0.upTo.value } }
    var parked: [ParkedUpdate] {
        database.records.parked.values.map(\.update).sorted { ($0.position, $0.index) < ($1.position, $1.index) }
    }

    func counts(at position: Int64, journal: Int32 = 1) -> VerdictCounts? {
        database.records.webhooks[.init(journal: journal, position: JournalPosition(position))]?.counts
    }

    /// What the comparisons of journal and database came to, in order.
    var reconciliations: [JournalReconciliation] {
        events.all { if case .reconciled(let reconciliation) = $0 { reconciliation } else { nil } }
    }
}

/// `m1` to `m<count>`.
func messageIDs(_ count: Int) -> [String] { (1...count).map { "m\($0)" } }
