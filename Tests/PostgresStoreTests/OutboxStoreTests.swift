import Conversations
import Delivery
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct PostgresOutboxStoreTests {
    struct Queue {
        let world: ConversationWorld
        let store: PostgresOutboxStore
        let thread: ConversationSummary

        init() async throws {
            world = try await ConversationWorld()
            store = PostgresOutboxStore(world.world.configuration)
            thread = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tess"))
        }

        @discardableResult
        func reply(_ text: String, quoting quoted: String? = nil) async throws -> UniqueID {
            try await world.store.reply(world.reply(text, in: thread.id, quoting: quoted), for: ConversationWorld.ann)
                .message.id
        }

        func claim(_ limit: Int = 10, leaseSeconds: Int = 60) async throws -> [OutboxJob] {
            try await store.claim(kind: .metaSend, worker: "w", limit: limit, leaseSeconds: leaseSeconds)
        }

        func message(_ id: UniqueID) async throws -> ThreadMessage {
            let page = try await world.store.messages(
                in: thread.id, for: ConversationWorld.ann, page: PageRequest(limit: 200, cursor: nil))
            return try #require(page.items.first { $0.id == id })
        }

        /// As if the time a job waits for had come.
        func letTimePass() async throws {
            try await world.world.owner.execute(
                "UPDATE gateway.outbox SET next_attempt_at = now() - interval '1 second'")
        }
    }

    @Test("a claimed job says whom, from where, and the whole text")
    func claim() async throws {
        let queue = try await Queue()
        let id = try await queue.reply("On my way.", quoting: "tess-1")
        let job = try #require(await queue.claim().first)
        #expect(job.attempt == 1 && job.attemptsMax > 1 && job.permission == "ok")
        let message = try #require(job.message)
        #expect(message.reference == MessageReference(id: id, sentAt: RecorderWorld.clock))
        #expect(message.endpoint == queue.world.world.endpoint.reference)
        #expect(message.recipient == .phone(PhoneNumber(digits: RecorderWorld.tess)!))
        #expect(message.text == "From Ann via ZenRent: On my way." && message.quotedMessageID == "tess-1")
        #expect(try await queue.claim().isEmpty)
    }

    /// Each webhook that is passed on hints at a job that is none of a sender's.
    @Test("where nothing is to be sent, nothing is read, however much else is queued")
    func nothingDue() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.outbox (kind, idempotency_key, payload)
              SELECT 'downstream_webhook', 'webhook:' || n, '{}' FROM generate_series(1, 2000) n
            """)
        let connection = try await PostgresConnection.connect(world.configuration)
        try await connection.begin()
        func read() async throws -> Int64 {
            try await connection.query(
                """
                SELECT pg_stat_get_xact_tuples_returned('gateway.outbox'::regclass)
                     + pg_stat_get_xact_tuples_fetched('gateway.outbox'::regclass)
                """
            ).one().int64(0)
        }
        let before = try await read()
        #expect(
            try await connection.query("SELECT id FROM gateway.claim_sends('meta_send', 'w', 50, '60 s')")
                .isEmpty)
        #expect(try await read() == before)
        await connection.rollback()
    }

    @Test("the answers of one thread leave one at a time, oldest first; an accepted one is done and has its id")
    func order() async throws {
        let queue = try await Queue()
        let (first, second) = (try await queue.reply("one"), try await queue.reply("two"))
        let job = try #require(await queue.claim().first)
        #expect(job.message?.reference.id == first)
        #expect(try await queue.claim().isEmpty)
        try await queue.store.accepted(job, providerID: "wamid.1")
        let sent = try await queue.message(first)
        #expect(sent.providerID == "wamid.1" && sent.status == "sent" && sent.outcome == "accepted")
        #expect(try await queue.claim().map(\.message?.reference.id) == [second])
    }

    @Test("a refusal is tried again after its delay, or buried with its reason, whatever bytes that has")
    func refusal() async throws {
        let queue = try await Queue()
        let id = try await queue.reply("one")
        try await queue.store.refused(
            try #require(await queue.claim().first), code: 130_429, error: "slow\0down", retryAfterMilliseconds: 60_000)
        #expect(try await queue.claim().isEmpty)
        try await queue.letTimePass()
        let again = try #require(await queue.claim().first)
        #expect(again.attempt == 2)
        try await queue.store.refused(again, code: 131_026, error: "not\0deliverable", retryAfterMilliseconds: nil)
        let failed = try await queue.message(id)
        #expect(failed.status == "failed" && failed.outcome == "refused" && failed.errorCode == 131_026)
        #expect(failed.errorDetail == "notdeliverable" && failed.failedAt != nil)
        try await queue.letTimePass()
        #expect(try await queue.claim().isEmpty)
    }

    @Test("an uncertain send is never repeated; the sweep buries it")
    func uncertain() async throws {
        let queue = try await Queue()
        let id = try await queue.reply("one")
        try await queue.store.uncertain(try #require(await queue.claim().first), error: "no answer")
        #expect(try await queue.message(id).outcome == "uncertain")
        try await queue.letTimePass()
        #expect(try await queue.claim().isEmpty)
        #expect(try await queue.store.sweep() == 1)
        #expect(try await queue.store.sweep() == 0)
    }

    @Test(
        "a job whose worker vanished is uncertain, and what that worker says later about a lost lease changes nothing")
    func vanished() async throws {
        let queue = try await Queue()
        let id = try await queue.reply("one")
        let job = try #require(await queue.claim().first)
        try await queue.letTimePass()
        #expect(try await queue.claim().isEmpty)
        #expect(try await queue.message(id).outcome == "uncertain")
        try await queue.store.refused(job, code: nil, error: "late", retryAfterMilliseconds: 0)
        #expect(try await queue.claim().isEmpty)
        try await queue.store.accepted(job, providerID: "wamid.late")
        #expect(try await queue.message(id).providerID == "wamid.late")
    }

    @Test("workers at once never get the same job")
    func concurrent() async throws {
        let queue = try await Queue()
        try await queue.world.world.owner.execute(
            """
            INSERT INTO gateway.outbox (kind, idempotency_key, payload)
              SELECT 'meta_send', 'k' || n, '{}' FROM generate_series(1, 200) n
            """)
        let ids = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for _ in 0..<4 {
                group.addTask {
                    var mine: [Int64] = []
                    while true {
                        let jobs = try await queue.claim(7)
                        if jobs.isEmpty { return mine }
                        mine += jobs.map(\.id)
                    }
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(Set(ids).count == ids.count && ids.count >= 190)
        #expect(try await queue.claim(200).count + ids.count == 200)
    }

    @Test("waiting ends when a job is queued, and when the task is cancelled")
    func waiting() async throws {
        let queue = try await Queue()
        // The first call begins to listen; from then on nothing is missed.
        await queue.store.jobsAvailable(atMostSeconds: 0)
        try await queue.reply("one")
        await queue.store.jobsAvailable(atMostSeconds: 600)
        #expect(try await queue.claim().count == 1)
        let waiting = Task { await queue.store.jobsAvailable(atMostSeconds: 600) }
        waiting.cancel()
        await waiting.value
    }
}
