import Glibc
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres
import Routing
import Synchronization

/// A migrated database of its own with two landlords, and a recorder that works in it under a plain login.
///
/// Ann is switched on, Bob is switched off. Tess (447911123456) and Tom (447911000002) rent from Ann; Tom's number is
/// also that of Bob's tenant Tim.
struct RecorderWorld {
    static let ann = UniqueID("aaaaaaaa-0000-0000-0000-000000000001")!
    static let bob = UniqueID("bbbbbbbb-0000-0000-0000-000000000001")!
    static let tessLease = UniqueID("20000000-0000-0000-0000-000000000001")!
    static let tomLease = UniqueID("20000000-0000-0000-0000-000000000002")!
    static let timLease = UniqueID("20000000-0000-0000-0000-000000000003")!
    static let tess: UInt64 = 447_911_123_456
    static let tom: UInt64 = 447_911_000_002
    static let journal = UniqueID("90000000-0000-0000-0000-00000000000a")!

    /// The owner of everything, to look and to harm.
    let owner: PostgresConnection
    let session: RecorderSession
    let recorder: PostgresRecorder
    let lookup: PostgresConversationLookup
    let configuration: PostgresConfiguration
    let endpoint: Endpoint
    let ownerID = UniqueID("90000000-0000-0000-0000-0000000000aa")!

    /// Held as long as the world is used.
    private let turn: Turn

    static let login = "gateway_test"

    init() async throws {
        turn = await Turn.next()
        let cluster = try await TemporaryCluster.shared()
        let name = try await cluster.makeDatabase(copying: "recorder_world") { connectionString in
            try await cluster.createLogin(Self.login)
            let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await Migrator(connection).apply(grantTo: [Self.login])
            try await connection.execute(Self.people)
            await connection.close()
        }
        owner = try await .connect(PostgresConfiguration(cluster.connectionString(database: name)))
        configuration = PostgresConfiguration(cluster.connectionString(user: Self.login, database: name))
        session = RecorderSession(configuration)
        recorder = PostgresRecorder(session)
        lookup = PostgresConversationLookup(session)
        let row = try await owner.query("SELECT id, phone_scope, id_scope FROM gateway.endpoints").one()
        endpoint = Endpoint(
            id: try row.id(0), reference: EndpointReference(kind: .cloud, providerID: "PN1"), ownerID: nil,
            phoneScope: try row.text(1), accountIDScope: try row.text(2))
    }

    static let people = """
        INSERT INTO auth.users (id, email) VALUES ('\(ann)', 'ann@example.org'), ('\(bob)', 'bob@example.org');
        INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled)
          VALUES ('\(ann)', 'Ann', true), ('\(bob)', 'Bob', false);
        INSERT INTO public.properties (id, user_id, address) VALUES
          ('aaaaaaaa-0000-0000-0000-0000000000a1', '\(ann)', '1 A Street'),
          ('bbbbbbbb-0000-0000-0000-0000000000a1', '\(bob)', '1 B Street');
        INSERT INTO public.tenants (id, user_id, name, phone) VALUES
          ('10000000-0000-0000-0000-000000000001', '\(ann)', 'Tess', '0044 7911 123456'),
          ('10000000-0000-0000-0000-000000000002', '\(ann)', 'Tom', '+44 7911 000002'),
          ('10000000-0000-0000-0000-000000000003', '\(bob)', 'Tim', '07911 000002');
        INSERT INTO public.leases (id, tenant_id, property_id, start_date) VALUES
          ('\(tessLease)', '10000000-0000-0000-0000-000000000001', 'aaaaaaaa-0000-0000-0000-0000000000a1', '2025-01-01'),
          ('\(tomLease)', '10000000-0000-0000-0000-000000000002', 'aaaaaaaa-0000-0000-0000-0000000000a1', '2025-01-01'),
          ('\(timLease)', '10000000-0000-0000-0000-000000000003', 'bbbbbbbb-0000-0000-0000-0000000000a1', '2025-01-01');
        SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF', 447700900000, 'ZenRent');
        -- before any message: the clock of the tests may be read before this database is made
        UPDATE gateway.phone_tenures SET since = now() - interval '5 minutes';
        UPDATE gateway.routes SET learnt_at = now() - interval '5 minutes';
        """
}

/// Lets a limited number of worlds stand at once: each has connections of its own, and the server's are counted.
private final class Turn: Sendable {
    private static let state = Mutex((free: 16, waiting: [CheckedContinuation<Void, Never>]()))

    static func next() async -> Turn {
        await withCheckedContinuation { continuation in
            let mayGo = state.withLock { state in
                if state.free == 0 {
                    state.waiting.append(continuation)
                    return false
                }
                state.free -= 1
                return true
            }
            if mayGo { continuation.resume() }
        }
        return Turn()
    }

    deinit {
        let next = Self.state.withLock { state in
            if state.waiting.isEmpty { state.free += 1 }
            return state.waiting.isEmpty ? nil : state.waiting.removeFirst()
        }
        next?.resume()
    }
}

// MARK: Batches

extension RecorderWorld {
    static let clock = Timestamp(microseconds: Int64(ContinuousClockEpoch.now))

    func claim() async throws -> Checkpoint {
        try await recorder.claim(JournalIdentity(id: Self.journal, owner: ownerID))
    }

    /// A batch after the checkpoint, one webhook a message and status, each at a position of its own.
    func batch(
        _ messages: [RecordedMessage] = [], statuses: [StatusUpdate] = [], after checkpoint: Checkpoint,
        owner: UniqueID? = nil
    ) -> RecordBatch {
        let updates = messages.count + statuses.count
        let end = JournalPosition(checkpoint.position.value + Int64(max(updates, 1)))
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: owner ?? ownerID, after: checkpoint.position, upTo: end)
        batch.tableGeneration = 17
        for (offset, message) in messages.enumerated() {
            var message = message
            message.position = JournalPosition(checkpoint.position.value + Int64(offset) + 1)
            batch.messages.append(message)
            batch.webhooks.append(webhook(message.position, updates: 1))
        }
        for (offset, status) in statuses.enumerated() {
            batch.statuses.append(RecordedStatus(endpointID: endpoint.id, status: status))
            let position = JournalPosition(checkpoint.position.value + Int64(messages.count + offset) + 1)
            batch.webhooks.append(webhook(position, updates: 1, statuses: 1))
        }
        return batch
    }

    func webhook(
        _ position: JournalPosition, updates: Int, statuses: Int = 0, ignored: Int = 0, parked: Int = 0,
        body: String = "{}"
    ) -> RecordedWebhook {
        RecordedWebhook(
            position: position,
            envelope: Envelope(source: .meta, receivedAt: Self.clock, signature: [], body: Array(body.utf8)),
            event: "messages", updates: updates, statuses: statuses, ignored: ignored, parked: parked)
    }

    func message(
        _ id: String, from phone: UInt64?, account: String? = nil, _ destination: RecordedMessage.Destination,
        body: String? = "hello", quoting quoted: String? = nil, at sentAt: Timestamp = Self.clock
    ) -> RecordedMessage {
        var generator = SystemRandomNumberGenerator()
        let sender = Sender(phone: phone.flatMap { PhoneNumber(digits: $0) }, accountID: account)
        return RecordedMessage(
            id: .make(at: Self.clock, using: &generator), position: .start, endpoint: endpoint,
            message: InboundMessage(
                endpoint: endpoint.reference, id: id, sender: sender, sentAt: sentAt, type: "text", body: body,
                quotedMessageID: quoted),
            sentAt: sentAt, destination: destination)
    }

    static let toTess = RecordedMessage.Destination.lease(candidate(ann, tess), rung: .onlyCandidate)
    static let toTom = RecordedMessage.Destination.lease(candidate(ann, tom), rung: .onlyCandidate)
    static let toTim = RecordedMessage.Destination.lease(candidate(bob, tom), rung: .onlyCandidate)

    static func candidate(_ landlord: UniqueID, _ phone: UInt64) -> Candidate {
        Candidate(landlordID: landlord, propertyID: nil, routeKey: PhoneKey(folding: phone))
    }

    /// Records and expects success.
    @discardableResult
    func record(_ messages: [RecordedMessage] = [], statuses: [StatusUpdate] = []) async throws -> RecordOutcome {
        let checkpoint = try await claim()
        let result = try await recorder.record(batch(messages, statuses: statuses, after: checkpoint))
        guard case .recorded(let outcome) = result else { throw Unexpected(result: result) }
        return outcome
    }

    struct Unexpected: Error { let result: RecordResult }
}

/// The wall clock in microseconds, read once for a run.
private enum ContinuousClockEpoch {
    static let now: Int64 = {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000_000 + Int64(time.tv_nsec) / 1000
    }()
}

// MARK: Looking

extension RecorderWorld {
    /// The text of a query's only value, `nil` for NULL or no row.
    func value(_ sql: String, _ parameters: PostgresValue...) async throws -> String? {
        try await owner.query("SELECT x::text FROM (\(sql)) q(x)", parameters).first?.nullableText(0)
    }

    func status(of id: String) async throws -> String? {
        try await value("SELECT routing_status FROM gateway.whatsapp_messages WHERE wamid = $1", .text(id))
    }

    func thread(of id: String) async throws -> UniqueID? {
        try await value("SELECT conversation_id FROM gateway.whatsapp_messages WHERE wamid = $1", .text(id))
            .flatMap { UniqueID($0) }
    }

    /// Whom a message came from.
    /// The person who has a number now.
    func holder(of phone: UInt64) async throws -> String? {
        try await value(
            "SELECT person_id FROM gateway.identities WHERE kind = 'phone' AND value = $1 AND retired_at IS NULL",
            .text("\(phone)"))
    }

    func person(of id: String) async throws -> String? {
        try await value(
            """
            SELECT coalesce(m.person_id, c.person_id) FROM gateway.whatsapp_messages m
              LEFT JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id WHERE m.wamid = $1
            """, .text(id))
    }

    /// The leases a sender may go by, as the database has them.
    func leases(of phone: UInt64?, account: String? = nil) async throws -> [UniqueID] {
        let key = PostgresValue(phone) { .int64(Int64(PhoneKey(folding: $0).value)) }
        return try await owner.query(
            """
            SELECT lease_id FROM gateway.sender_routes(
              '{0}', ARRAY[$1::uuid], ARRAY[$2::bigint], ARRAY[$3::text], '{NULL}')
             ORDER BY lease_id
            """, [.id(endpoint.id), key, PostgresValue(account) { .text($0) }]
        ).map { try $0.id(0) }
    }

    func count(_ table: String) async throws -> Int {
        Int(try await value("SELECT count(*) FROM gateway.\(table)") ?? "") ?? -1
    }

    /// Everything recording writes, as one text: two equal ones mean that nothing changed.
    func everything() async throws -> String? {
        try await value(
            """
            SELECT string_agg(x, E'\\n' ORDER BY x) FROM (
              SELECT m::text AS x FROM gateway.whatsapp_messages m
              UNION ALL SELECT c::text FROM gateway.whatsapp_conversations c
              UNION ALL SELECT w::text FROM gateway.webhook_log w
              UNION ALL SELECT p::text FROM gateway.people p
              UNION ALL SELECT (i.kind, i.scope, i.value, i.person_id, i.retired_at)::text FROM gateway.identities i
              UNION ALL SELECT s::text FROM gateway.pending_statuses s
              UNION ALL SELECT o::text FROM gateway.outbox o
              UNION ALL SELECT k::text FROM gateway.message_ids k) y
            """)
    }

    func verdicts() async throws -> VerdictCounts {
        let row = try await owner.query(
            """
            SELECT coalesce(sum(routed), 0), coalesce(sum(withheld), 0), coalesce(sum(held), 0), coalesce(sum(unclaimed), 0),
                   coalesce(sum(status_applied), 0), coalesce(sum(duplicate), 0), coalesce(sum(ignored), 0),
                   coalesce(sum(parked), 0) FROM gateway.webhook_log
            """
        ).one()
        var counts = VerdictCounts()
        for (column, verdict) in [Verdict.routed, .withheld, .held, .unclaimed, .status, .duplicate, .ignored, .parked]
            .enumerated()
        {
            counts[verdict] = Int(try row.int64(column))
        }
        return counts
    }
}
