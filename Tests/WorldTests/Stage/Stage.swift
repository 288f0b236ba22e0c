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
    private let feed: Feed
    private let session: RecorderSession
    private let healingSession: RecorderSession
    private let clock: StoryClock
    private var intake: Task<Void, Never>?
    private var nextOwner: UInt64 = 1

    private let staleSeconds: Moment?

    /// - Parameters:
    ///   - answersIntake: whether the table is refreshed when intake asks for it; else it fails, in silence.
    ///   - staleSeconds: how old the table may be before intake asks the database about every sender.
    init(answersIntake: Bool, staleSeconds: Moment?) async throws {
        self.staleSeconds = staleSeconds
        clock = StoryClock(Generator.start)
        database = try await WorldDatabase()
        feed = Feed(PostgresRouteSource(database.configuration), clock, answersIntake: answersIntake)
        session = RecorderSession(database.configuration)
        healingSession = RecorderSession(database.configuration)
    }

    func startIntake(batchSize: Int) {
        var limits = IntakeLimits()
        limits.batchEntriesMax = batchSize
        let (table, clock, staleSeconds) = (feed.table, clock, staleSeconds)
        let intake = Intake(
            journal: journal, recorder: PostgresRecorder(session), lookup: PostgresConversationLookup(session),
            table: { table.snapshot }, isStale: { [feed] in staleSeconds.map { feed.ageSeconds > $0 } ?? false },
            refreshTable: { [feed] in await feed.refreshWhenAsked() },
            owner: UniqueID(high: 0x4001, low: nextOwner), limits: limits, clock: ManualClock(), now: { clock.now },
            observer: journal)
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
        await healingSession.close()
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
    func refresh(full: Bool) async throws { try await feed.refresh(full: full) }

    /// Lets messages go on whose wait is over, by what the table took up since the last time, or all there are.
    /// - Returns: whether any moved.
    func heal(everything: Bool = false) async throws -> Bool {
        let (table, clock) = (feed.table, clock)
        let hints = everything ? .everything : feed.takeHints()
        let healing = Healing(
            messages: PostgresWaitingMessages(healingSession), lookup: PostgresConversationLookup(healingSession),
            table: { table.snapshot }, now: { clock.now })
        return try await !healing.heal(hints).isEmpty
    }

    /// How often the table was refreshed because intake asked for it.
    var refreshesAsked: Int { feed.asked.withLock { $0 } }

    /// Hands webhooks to the journal, and waits until they are recorded.
    func record(_ posts: [Post]) async throws {
        journal.append(
            posts.map {
                Envelope(source: .meta, receivedAt: clock.now, signature: [], body: WebhookBody.bytes($0))
            })
        try await journal.untilIdle()
    }

    /// Everything once more, from the first webhook: as after a database that was restored from an old backup, but for
    /// its rows.
    func replay() async throws {
        await stopIntake()
        try await database.owner.execute("UPDATE gateway.journal_checkpoints SET position = 0")
        journal.forgetReader()
        startIntake(batchSize: 256)
        try await journal.untilIdle()
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

/// The table in memory, and the way to it.
private final class Feed: Sendable {
    let table = LiveRoutingTable()
    let asked = Mutex(0)
    private let hints = Mutex(HealingHints())
    private let source: PostgresRouteSource
    private let clock: StoryClock
    private let answersIntake: Bool
    private let refreshedAt = Mutex(Generator.start)

    /// Story seconds since the table was last brought up to date.
    var ageSeconds: Moment { clock.seconds - refreshedAt.withLock { $0 } }

    init(_ source: PostgresRouteSource, _ clock: StoryClock, answersIntake: Bool) {
        self.source = source
        self.clock = clock
        self.answersIntake = answersIntake
    }

    func refresh(full: Bool) async throws {
        let began = clock.seconds
        defer { refreshedAt.withLock { $0 = began } }
        if !full, let current = table.snapshot, let delta = try await source.changes(since: current.cursor) {
            let next = current.applying(delta)
            hints.withLock { $0.formUnion(HealingHints(delta)) }
            table.publish(next.needsCompaction ? next.compacted() : next, asOf: .now)
            return
        }
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        table.publish(builder.finish(cursor: cursor, replacing: table.snapshot), asOf: .now)
        hints.withLock { $0 = .everything }
    }

    /// What changed since the last time.
    func takeHints() -> HealingHints {
        hints.withLock { hints in
            defer { hints = HealingHints() }
            return hints
        }
    }

    func refreshWhenAsked() async {
        guard answersIntake else { return }
        asked.withLock { $0 += 1 }
        try? await refresh(full: false)
    }
}

/// The story's time, for the gateway.
private final class StoryClock: Sendable {
    private let moment: Mutex<Moment>

    init(_ moment: Moment) { self.moment = Mutex(moment) }

    var seconds: Moment { moment.withLock { $0 } }
    var now: Timestamp { Timestamp(seconds: seconds) }
    func set(_ now: Moment) { moment.withLock { $0 = now } }
}
