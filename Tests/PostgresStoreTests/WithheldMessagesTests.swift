import Conversations
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite("Healing: withheld messages") struct WithheldMessagesTests {
    /// Two messages of Tim's to Bob, who is off.
    private func world() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        try await world.forwardToLandlords()
        try await world.record([
            world.message(
                "t1", from: RecorderWorld.tom, RecorderWorld.toTim, at: RecorderWorld.clock.advanced(bySeconds: -9)),
            world.message("t2", from: RecorderWorld.tom, RecorderWorld.toTim),
        ])
        return world
    }

    private func block(_ world: RecorderWorld, _ status: String) async throws {
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET status = '\(status)'")
    }

    private func state(_ world: RecorderWorld) async throws -> String? {
        try await world.value(
            """
            SELECT string_agg(concat_ws(' ', wamid, routing_status, routing_metadata ->> 'withheld',
                                        CASE WHEN routing_metadata ? 'released_at' THEN 'released' END), ', ' ORDER BY sent_at)
              FROM gateway.whatsapp_messages
            """)
    }

    @Test("go on when their landlord switches on: the reason stays on record, nothing is counted or forwarded twice")
    func optIn() async throws {
        let world = try await world()
        #expect(try await state(world) == "t1 opted_out opted_out, t2 opted_out opted_out")
        #expect(try await world.heal(landlords: [RecorderWorld.bob, RecorderWorld.ann]).isEmpty)
        try await world.enableBob()
        let logged = try await world.verdicts()
        #expect(try await world.heal(landlords: [RecorderWorld.bob]) == .init(released: 2))
        #expect(try await state(world) == "t1 delivered opted_out released, t2 delivered opted_out released")
        #expect(try await world.forwarded() == "t1 t2")
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "2")
        #expect(try await world.heal().isEmpty)
        #expect(try await world.verdicts() == logged && logged.withheld == 2)
    }

    @Test("are in the landlord's thread all the time, with the word for why")
    func visible() async throws {
        let world = try await world()
        let store = PostgresConversationStore(
            PostgresPool(world.configuration, limits: .init(connectionsMax: 1, waitTimeout: .seconds(60))))
        let thread = try #require(try await world.thread(of: "t1"))
        func words() async throws -> [String] {
            try await store.messages(
                in: thread, for: ConversationWorld.bob, page: PageRequest(limit: 9, cursor: nil)
            ).items.map(\.routingStatus)
        }
        #expect(try await words() == ["opted_out", "opted_out"])
        try await world.enableBob()
        _ = try await world.heal()
        #expect(try await words() == ["delivered", "delivered"])
    }

    @Test("of a blocked thread count as unread when it is unblocked, and the feed tells its landlord's change")
    func unblocked() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await block(world, "blocked")
        try await world.record([world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(try await world.status(of: "w2") == "blocked")
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "1")
        #expect(try await world.heal().isEmpty)
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await source.loadAll { _ in }
        // as the landlord, with the rights of a landlord
        let login = try await PostgresConnection.connect(world.configuration)
        try await login.transaction(
            as: TransactionIdentity(role: "authenticated", claimsJSON: ConversationWorld.ann.claimsJSON)
        ) { connection throws(PostgresError) in
            try connection.execute("UPDATE gateway.whatsapp_conversations SET status = 'active'")
        }
        let delta = try #require(try await source.changes(since: cursor))
        #expect(try await world.heal(HealingHints(delta)) == .init(released: 1))
        #expect(try await world.status(of: "w2") == "delivered")
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "2")
    }

    @Test("stay while another reason stands")
    func stillBlocked() async throws {
        let world = try await world()
        try await block(world, "blocked")
        try await world.enableBob()
        #expect(try await world.heal().isEmpty)
        #expect(try await world.status(of: "t1") == "opted_out")
        try await block(world, "archived")
        #expect(try await world.heal() == .init(released: 2))
    }

    @Test("are released in steps, oldest first, and once by gateways that look at the same time")
    func steps() async throws {
        let world = try await world()
        try await world.enableBob()
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        let thread = try #require(try await waiting.threadsToRelease(of: [RecorderWorld.bob]).first)
        #expect(try await waiting.release(thread: thread, limit: 1) == 1)
        #expect(try await state(world) == "t1 delivered opted_out released, t2 opted_out opted_out")
        let (one, two) = (try await world.healing(), try await world.healing())
        async let first = one.heal(.everything).released
        async let second = two.heal(.everything).released
        #expect(try await first + second == 1)
        #expect(try await world.forwarded() == "t1 t2")
    }

    @Test("of landlords who stay off are not gone through one by one")
    func off() async throws {
        let world = try await world()
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        #expect(try await waiting.withheldLandlords(after: nil, limit: 9).isEmpty)
        #expect(try await waiting.threadsToRelease(of: [RecorderWorld.bob]).isEmpty)
        try await world.enableBob()
        #expect(try await waiting.withheldLandlords(after: nil, limit: 9) == [RecorderWorld.bob])
        #expect(try await waiting.withheldLandlords(after: RecorderWorld.bob, limit: 9).isEmpty)
    }
}
