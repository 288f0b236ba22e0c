import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Synchronization

/// The real parts, from the bytes of a webhook to the rows of the database, and the hands that move them.
final class Stage {
    private(set) var database: WorldDatabase
    private let journal = WorldJournal()
    private let table = LiveRoutingTable()
    private let source: PostgresRouteSource
    private let session: RecorderSession
    private let batchSize: Int
    private let clock: StoryClock
    private var intake: Task<Void, Never>?
    private var nextOwner: UInt64 = 1
    let events = IntakeEventLog()

    init(batchSize: Int) async throws {
        database = try await WorldDatabase()
        source = PostgresRouteSource(database.configuration)
        session = RecorderSession(database.configuration)
        self.batchSize = batchSize
        clock = StoryClock(Generator.start)
    }

    var recordedWebhooks: Int { journal.count }

    func startIntake() {
        var limits = IntakeLimits()
        limits.batchEntriesMax = batchSize
        let (table, clock) = (table, clock)
        let intake = Intake(
            journal: journal, recorder: PostgresRecorder(session), lookup: PostgresConversationLookup(session),
            table: { table.snapshot }, owner: UniqueID(high: 0x4001, low: nextOwner), limits: limits,
            clock: ManualClock(), now: { clock.now }, observer: events)
        nextOwner += 1
        self.intake = Task { await intake.run() }
    }

    private func stopIntake() async {
        intake?.cancel()
        await intake?.value
        intake = nil
    }

    func close() async {
        await stopIntake()
        await session.close()
        await database.close()
    }

    // MARK: Moving on

    func setClock(_ now: Moment) async throws {
        let isNewDay = now.day != clock.seconds.day
        clock.set(now)
        try await database.setClock(now, isNewDay: isNewDay)
    }

    func makeKnown(_ place: Place) async throws { try await database.makeKnown(place) }

    /// Brings the table in memory up to date.
    func refresh(full: Bool) async throws {
        if !full, let current = table.snapshot, let delta = try await source.changes(since: current.cursor) {
            let next = current.applying(delta)
            table.publish(next.needsCompaction ? next.compacted() : next, asOf: .now)
            return
        }
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        table.publish(builder.finish(cursor: cursor, replacing: table.snapshot), asOf: .now)
    }

    /// Hands webhooks to the journal, and waits until they are recorded.
    func record(_ posts: [Post]) async {
        journal.append(
            posts.map {
                Envelope(source: .meta, receivedAt: clock.now, signature: [], body: WebhookBody.bytes($0))
            })
        await journal.untilIdle()
    }

    /// Everything once more, from the first webhook: as after a database that was restored from an old backup, but for
    /// its rows.
    func replay() async throws {
        await stopIntake()
        try await database.owner.execute("UPDATE gateway.journal_checkpoints SET position = 0")
        startIntake()
        while true {
            let position = try await database.owner.query("SELECT position FROM gateway.journal_checkpoints").one()
            if try position.int64(0) == Int64(journal.count) { break }
            try await Task.sleep(for: .milliseconds(20))
        }
        await journal.untilIdle()
    }

    // MARK: Looking

    /// Where messages are now; those that are not recorded are left out.
    func outcomes(of messages: [(name: MessageName, place: Place)]) async throws -> [MessageName: Outcome] {
        var endpoint = PostgresArrayBuilder(.uuid)
        var id = PostgresArrayBuilder(.text)
        for message in messages {
            endpoint.append(uuid: database.endpoints[message.place].map { ($0.high, $0.low) })
            id.append(text: message.name.wamid)
        }
        let rows = try await database.owner.query(Self.outcomes, [endpoint.value, id.value])
        var found: [MessageName: Outcome] = [:]
        for row in rows {
            found[messages[Int(try row.int64(0)) - 1].name] = Outcome(
                status: try row.text(1), landlord: try row.nullableID(2).map(RowID.init),
                tenant: try row.nullableID(3).map(RowID.init), conversation: try row.nullableID(4))
        }
        return found
    }

    private static let outcomes = PostgresStatement(
        name: "outcomes",
        sql: """
            SELECT u.n, m.routing_status, m.landlord_id, m.tenant_id, m.conversation_id
              FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY u(endpoint, id, n)
             CROSS JOIN LATERAL (SELECT * FROM gateway.message_ids x
                                  WHERE x.key = gateway.message_key(u.endpoint, u.id) LIMIT 1) k
             CROSS JOIN LATERAL (SELECT * FROM gateway.whatsapp_messages x
                                  WHERE x.sent_at = k.sent_at AND x.id = k.message_id LIMIT 1) m
            """)
}

/// The story's time, for the gateway.
private final class StoryClock: Sendable {
    private let moment: Mutex<Moment>

    init(_ moment: Moment) { self.moment = Mutex(moment) }

    var seconds: Moment { moment.withLock { $0 } }
    var now: Timestamp { Timestamp(seconds: seconds) }
    func set(_ now: Moment) { moment.withLock { $0 = now } }
}
