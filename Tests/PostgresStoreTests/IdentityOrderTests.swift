import GatewayTesting
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Synchronization
import Testing

@testable import Intake

/// A webhook that changes identities between its messages, recorded by intake into a real database.
@Suite(.serialized) struct IdentityOrderTests {
    private static let tess = RecorderWorld.tess
    private static let moved: UInt64 = 447_911_222_222

    /// Tess writes, moves, writes from the new number; somebody else writes from the old one; her account id is made
    /// anew, and she writes under the new id alone.
    /// - Parameter refused: a message with a text that the database does not take.
    private func entry(_ world: RecorderWorld, refused: String? = nil) -> DecodedEntry {
        let at = RecorderWorld.present
        func message(_ id: String, _ phone: UInt64?, _ account: String?, _ changes: [IdentityChange] = [])
            -> InboundEvent
        {
            let body = id == refused ? "a\u{0}b" : "hello"
            var message = world.message(id, from: phone, account: account, .unclaimed, body: body, at: at).message
            message.identityChanges = changes
            return .message(message)
        }
        let move = IdentityChange.phone(from: PhoneNumber(digits: Self.tess)!, to: PhoneNumber(digits: Self.moved)!)
        var entry = DecodedEntry(
            JournalEntry(
                position: JournalPosition(1),
                envelope: Envelope(source: .meta, receivedAt: at, signature: [], body: Array("{}".utf8))))
        entry.webhook = DecodedWebhook(
            event: "messages",
            updates: [
                message("a1", Self.tess, "GB.1"), message("n1", Self.tess, nil, [move]), message("a2", Self.moved, nil),
                .ignored(what: "field:other"), message("b1", Self.tess, "GB.77"),
                message("n2", nil, "GB.1", [.account(from: "GB.1", to: "GB.5")]), message("a3", nil, "GB.5"),
            ])
        return entry
    }

    private func check(_ world: RecorderWorld, _ note: Comment? = nil) async throws {
        let thread = try await world.thread(of: "a1")
        #expect(thread != nil, note)
        for id in ["n1", "a2", "n2", "a3"] { #expect(try await world.thread(of: id) == thread, note) }
        #expect(try await world.status(of: "b1") == "unknown_sender", note)
        #expect(try await world.count("whatsapp_messages") == 6, note)
        #expect(try await world.count("whatsapp_conversations") == 1, note)
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "5", note)
        #expect(
            try await world.value(
                "SELECT string_agg(value, ' ' ORDER BY value) FROM gateway.identities WHERE retired_at IS NULL")
                == "\(Self.tess) \(Self.moved) GB.5 GB.77", note)
        var counts = VerdictCounts()
        (counts.routed, counts.unclaimed, counts.ignored) = (5, 1, 1)
        #expect(try await world.verdicts() == counts, note)
        #expect(try await world.count("webhook_log") == 1, note)
        #expect(try await world.value("SELECT position FROM gateway.journal_checkpoints") == "1", note)
        #expect(try await world.confusion() == nil, note)
    }

    private func makeIntake(
        _ world: RecorderWorld, _ journal: IntakeJournal, owner: UInt64, _ table: RoutingTable,
        _ port: BreakingPort, _ clock: ManualClock
    ) -> Intake {
        Intake(
            journal: journal, recorder: port, lookup: port, table: { table }, owner: UniqueID(high: 1, low: owner),
            clock: clock, now: { RecorderWorld.present }, observer: IntakeEventLog())
    }

    @Test func everyStepSeesTheOnesBefore() async throws {
        let world = try await RecorderWorld()
        let port = BreakingPort(world, RecorderSession(world.configuration), breaksAt: nil)
        let journal = IntakeJournal(id: RecorderWorld.journal, turnstile: IntakeTurnstile())
        let intake = makeIntake(world, journal, owner: 1, try await world.loadTable(), port, ManualClock())
        try await intake.reconcile(isForeign: false)
        try await intake.settled([entry(world)][...]).get()
        try await check(world)
        // The same webhook once more, as a replay: nobody moves again.
        try await world.owner.execute(
            "UPDATE gateway.journal_checkpoints SET position = 0; DELETE FROM gateway.webhook_log")
        try await intake.reconcile(isForeign: false)
        try await intake.settled([entry(world)][...]).get()
        #expect(try await world.verdicts().duplicate == 6)
        #expect(try await world.count("people") == 2)
        #expect(try await world.count("whatsapp_messages") == 6)
        #expect(try await world.thread(of: "a3") == world.thread(of: "a1"))
    }

    @Test(arguments: [("a2", 2), ("b1", 4)])
    func whatIsRefusedAmongTheStepsIsParkedAlone(id: String, index: Int) async throws {
        let world = try await RecorderWorld()
        let port = BreakingPort(world, RecorderSession(world.configuration), breaksAt: nil)
        let journal = IntakeJournal(id: RecorderWorld.journal, turnstile: IntakeTurnstile())
        let intake = makeIntake(world, journal, owner: 1, try await world.loadTable(), port, ManualClock())
        try await intake.reconcile(isForeign: false)
        try await intake.settled([entry(world, refused: id)][...]).get()
        #expect(
            try await world.value("SELECT string_agg(idx || ' ' || reason, ',') FROM gateway.parked_updates")
                == "\(index) rejected_by_database")
        #expect(try await world.count("whatsapp_messages") == 5)
        let thread = try await world.thread(of: "a1")
        for other in ["n1", "a2", "n2", "a3"] where other != id {
            #expect(try await world.thread(of: other) == thread, "\(other)")
        }
        #expect(try await world.verdicts().parked == 1)
        #expect(try await world.count("webhook_log") == 1)
        #expect(try await world.confusion() == nil)
    }

    /// The connection is cut, or the process ends, before each call in turn; then it goes on.
    @Test(arguments: [false, true])
    func cutAnywhereItIsAppliedOnceAndInOrder(crashes: Bool) async throws {
        var call = 0
        while true {
            let world = try await RecorderWorld()
            let port = BreakingPort(world, RecorderSession(world.configuration), breaksAt: call, forGood: crashes)
            let journal = IntakeJournal(id: RecorderWorld.journal, turnstile: IntakeTurnstile())
            let table = try await world.loadTable()
            let clock = ManualClock()
            let entries = [entry(world)]
            let intake = makeIntake(world, journal, owner: 1, table, port, clock)
            let passing = Task { await clock.keepAdvancing() }
            let running = Task {
                try await intake.reconcile(isForeign: false)
                try await intake.settled(entries[...]).get()
            }
            if crashes {
                let ending = Task {
                    await port.untilBroken()
                    running.cancel()
                }
                _ = await running.result
                ending.cancel()
                let hasCrashed = port.isBroken
                if hasCrashed {
                    let next = BreakingPort(world, RecorderSession(world.configuration), breaksAt: nil)
                    let successor = makeIntake(world, journal, owner: 2, table, next, clock)
                    try await successor.reconcile(isForeign: false)
                    // What the database has, the journal does not give again.
                    if try await world.value("SELECT position FROM gateway.journal_checkpoints") == "0" {
                        try await successor.settled(entries[...]).get()
                    }
                }
            } else {
                try await running.value
            }
            passing.cancel()
            try await check(world, "call \(call)")
            if !port.isBroken { break }
            call += 1
        }
        #expect(call > 10)
    }
}

/// The recorder and the lookup on one session, cut before one of their calls: the server ends the connection, or, for
/// good, the process that had it is gone.
private final class BreakingPort: Recorder, ConversationLookup {
    private let world: RecorderWorld
    private let session: RecorderSession
    private let breaksAt: Int?
    private let forGood: Bool
    private let calls = Watched(0)
    private let broken = Watched(false)

    init(_ world: RecorderWorld, _ session: RecorderSession, breaksAt: Int?, forGood: Bool = false) {
        self.world = world
        self.session = session
        self.breaksAt = breaksAt
        self.forGood = forGood
    }

    var isBroken: Bool { broken.value }
    func untilBroken() async { await broken.until { $0 } }

    private func enter() async throws(RecorderError) {
        let number = calls.change { count in
            defer { count += 1 }
            return count
        }
        if forGood, broken.value { throw .unavailable("the process is gone") }
        guard number == breaksAt else { return }
        if forGood {
            await session.close()
            broken.change { $0 = true }
            throw .unavailable("the process is gone")
        }
        do {
            try await world.owner.execute(
                """
                SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
                 WHERE usename = '\(RecorderWorld.login)' AND datname = current_database()
                """)
        } catch {
            throw .unavailable("\(error)")
        }
        broken.change { $0 = true }
    }

    func claim(_ journal: JournalIdentity) async throws(RecorderError) -> Checkpoint {
        try await PostgresRecorder(session).claim(journal)
    }

    func record(_ batch: RecordBatch) async throws(RecorderError) -> RecordResult {
        try await enter()
        return try await PostgresRecorder(session).record(batch)
    }

    func abandon() async { await PostgresRecorder(session).abandon() }

    func redriveRequests(limit: Int) async throws(RecorderError) -> [RedriveRequest] { [] }

    func facts(for questions: [ThreadQuestion]) async throws(RecorderError) -> [SenderFacts] {
        try await enter()
        return try await PostgresConversationLookup(session).facts(for: questions)
    }

    func replaySlice(limit: Int) async throws(RecorderError) -> ReplaySlice? { nil }

    func routes(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[Route]] {
        try await enter()
        return try await PostgresConversationLookup(session).routes(for: questions)
    }
}
