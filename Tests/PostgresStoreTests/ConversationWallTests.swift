import Conversations
import Messaging
import PostgresClient
import PostgresStore
import Testing

/// The wall between landlords, on one pooled connection.
@Suite struct ConversationWallTests {
    static let page = PageRequest(limit: 50, cursor: nil)

    @Test("another landlord's thread does not exist, neither to read nor to answer")
    func api() async throws {
        let world = try await ConversationWorld()
        let anns = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tom"))
        let bobs = try #require(await world.conversation(of: ConversationWorld.bob, tenant: "Tim"))
        for (principal, own, other) in [(ConversationWorld.ann, anns, bobs), (ConversationWorld.bob, bobs, anns)] {
            await #expect(throws: ConversationError.notFound) {
                _ = try await world.store.messages(in: other.id, for: principal, page: Self.page)
            }
            await #expect(throws: ConversationError.notFound) {
                _ = try await world.store.reply(world.reply("Hello", in: other.id), for: principal)
            }
            let bodies = try await world.store.messages(in: own.id, for: principal, page: Self.page).items.map(\.body)
            #expect(bodies == [principal == ConversationWorld.ann ? "for-ann-only" : "for-bob-only"])
        }
        #expect(try await world.store.conversations(for: ConversationWorld.nobody, page: Self.page).items.isEmpty)
    }

    @Test("whatever a landlord's role may read in the whole database holds nothing of another's")
    func everyTable() async throws {
        let world = try await ConversationWorld()
        _ = try await world.store.reply(
            world.reply(
                "signed-by-ann", in: try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tom")).id
            ),
            for: ConversationWorld.ann)
        let relations = try await world.world.owner.query(
            """
            SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE n.nspname = 'gateway' AND c.relkind IN ('r', 'p', 'v', 'm')
                OR n.nspname = 'public' AND c.relkind = 'v'
            """
        ).map { try $0.text(0) }
        #expect(relations.count > 40)
        let secrets: [(Principal, [String])] = [
            (
                ConversationWorld.bob,
                ["for-ann-only", "signed-by-ann", "the tap drips", "Tess", "\(RecorderWorld.ann)"]
            ),
            (ConversationWorld.ann, ["for-bob-only", "Tim", "\(RecorderWorld.bob)"]),
            (ConversationWorld.nobody, ["for-", "Tess", "Tim", "\(RecorderWorld.ann)", "\(RecorderWorld.bob)"]),
        ]
        var readable = 0
        for (principal, secrets) in secrets {
            for relation in relations {
                guard let text = try await world.everything(in: relation, as: principal) else { continue }
                readable += 1
                for secret in secrets { #expect(!text.contains(secret), "\(relation) shows \(secret)") }
            }
        }
        #expect(readable >= 3 * 10)
    }

    @Test("a landlord's role cannot write past the wall, nor into the queue")
    func writes() async throws {
        let world = try await ConversationWorld()
        let bobs = try #require(await world.conversation(of: ConversationWorld.bob, tenant: "Tim"))
        let attempts = [
            "UPDATE gateway.whatsapp_conversations SET status = 'blocked' WHERE id = '\(bobs.id)'",
            "UPDATE gateway.whatsapp_conversations SET landlord_id = '\(RecorderWorld.bob)'",
            "DELETE FROM gateway.whatsapp_conversations",
            "INSERT INTO gateway.outbox (kind, idempotency_key, payload) VALUES ('meta_send', 'x', '{}')",
            "UPDATE gateway.whatsapp_messages SET body = 'x'",
            "SELECT gateway.outbox_claim('meta_send', 'w', 10)",
            "SELECT gateway.inbox_messages('ambiguous')",
            "SET LOCAL ROLE gateway_writer; SELECT 1/0",
        ]
        for attempt in attempts {
            let touched = try? await world.raw(attempt, as: ConversationWorld.ann).affected
            #expect(touched == nil || touched == 0, "\(attempt)")
        }
        let status = try await world.world.owner.query(
            "SELECT status FROM gateway.whatsapp_conversations WHERE id = $1", [.id(bobs.id)]
        ).one()
        #expect(try status.text(0) == "active")
    }

    enum Ending: CaseIterable { case served, refused, broken, cancelled }

    @Test("claims end with the request, however it ends", arguments: Ending.allCases)
    func claimsDoNotLeak(_ ending: Ending) async throws {
        let world = try await ConversationWorld()
        let before = try await world.serverProcess()
        switch ending {
        case .served: _ = try await world.store.conversations(for: ConversationWorld.ann, page: Self.page)
        case .refused:
            await #expect(throws: ConversationError.notFound) {
                _ = try await world.store.reply(world.reply("x", in: RecorderWorld.bob), for: ConversationWorld.ann)
            }
        case .broken:
            await #expect(throws: PostgresError.self) { try await world.raw("SELECT 1/0", as: ConversationWorld.ann) }
        case .cancelled:
            let request = Task { try await world.raw("SELECT pg_sleep(0.05)", as: ConversationWorld.ann) }
            while world.pool.usage.lent == 0 { await Task.yield() }
            request.cancel()
            _ = await request.result
        }
        #expect(try await world.serverProcess() == before)
        let row = try await world.pool.withConnection { connection async throws(PostgresError) in
            try await connection.query(
                """
                SELECT current_user::text, coalesce(current_setting('request.jwt.claims', true), ''),
                       coalesce(auth.uid()::text, '')
                """
            ).one()
        }
        #expect(try [row.text(0), row.text(1), row.text(2)] == [RecorderWorld.login, "", ""])
        let tenants = try await world.store.conversations(for: ConversationWorld.bob, page: Self.page).items.map(
            \.tenantName)
        #expect(tenants == ["Tim"])
    }

    @Test("two landlords at once on one connection each get their own")
    func interleaved() async throws {
        let world = try await ConversationWorld()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for index in 0..<60 {
                let principal = index % 2 == 0 ? ConversationWorld.ann : ConversationWorld.bob
                group.addTask {
                    let names = try await world.store.conversations(for: principal, page: Self.page).items.map(
                        \.tenantName)
                    #expect(Set(names) == (index % 2 == 0 ? ["Tess", "Tom"] : ["Tim"]))
                }
            }
            try await group.waitForAll()
        }
    }
}

extension ConversationWorld {
    /// A statement of anybody's, as a landlord's request would run it.
    @discardableResult
    func raw(_ sql: String, as principal: Principal) async throws(PostgresError) -> PostgresRows {
        let identity = TransactionIdentity(role: "authenticated", claimsJSON: principal.claimsJSON)
        return try await pool.withTransaction(as: identity) { connection throws(PostgresError) in
            try connection.query(sql)
        }
    }

    /// All a landlord may read of a relation, as text; `nil` where they may read nothing of it.
    func everything(in relation: String, as principal: Principal) async throws -> String? {
        let columns = try await raw(
            """
            SELECT coalesce(string_agg(format('%I::text', attname), ', '), '') FROM pg_attribute
             WHERE attrelid = '\(relation)'::regclass AND attnum > 0 AND NOT attisdropped
               AND has_column_privilege(attrelid, attnum, 'SELECT')
            """, as: principal
        ).one().text(0)
        guard !columns.isEmpty else { return nil }
        do {
            return try await raw(
                "SELECT coalesce(string_agg(concat_ws(' ', \(columns)), ' '), '') FROM \(relation)", as: principal
            )
            .one().text(0)
        } catch {
            guard error.sqlState == "42501" else { throw error }
            return nil
        }
    }

    func serverProcess() async throws -> Int32 {
        try await pool.withConnection { connection async throws(PostgresError) in
            try await connection.query("SELECT pg_backend_pid()").one().int32(0)
        }
    }
}
