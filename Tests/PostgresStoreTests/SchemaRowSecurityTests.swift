import Intake
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite(.serialized) struct RowSecurityTests {
    /// One message in Ann's thread, one in Bob's, one held, one unclaimed.
    private func world() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("to ann", from: RecorderWorld.tess, RecorderWorld.toTess, body: "to ann"),
            world.message("to bob", from: RecorderWorld.tom, RecorderWorld.toTim, body: "to bob"),
            world.message("held", from: RecorderWorld.tom, .held([])),
            world.message("unclaimed", from: 4_479_119_999, .unclaimed),
        ])
        return world
    }

    /// A query as a landlord makes it: the gateway's login, the role and claims of the transaction.
    private func ask(_ world: RecorderWorld, as landlord: UniqueID?, _ sql: String) async throws -> String? {
        let connection = try await PostgresConnection.connect(world.configuration)
        let claims = landlord.map { "{\"sub\":\"\($0)\",\"role\":\"authenticated\"}" } ?? ""
        return try await connection.transaction(
            as: TransactionIdentity(role: "authenticated", claimsJSON: claims)
        ) { connection throws(PostgresError) in
            try connection.query(sql).first?.nullableText(0)
        }
    }

    @Test(arguments: ["gateway.whatsapp_messages", "public.whatsapp_messages"])
    func aLandlordReadsTheirOwnMessagesAlone(_ table: String) async throws {
        let world = try await world()
        let body = table.hasPrefix("public") ? "content" : "body"
        let sql = "SELECT string_agg(\(body), ',') FROM \(table)"
        #expect(try await ask(world, as: RecorderWorld.ann, sql) == "to ann")
        #expect(try await ask(world, as: RecorderWorld.bob, sql) == "to bob")
        #expect(try await ask(world, as: nil, sql) == nil)
    }

    @Test(arguments: [
        "whatsapp_conversations", "routes", "route_landlords", "tenant_landlord_routing", "conversation_participants",
    ])
    func aLandlordReadsTheirOwnRowsAlone(_ table: String) async throws {
        let world = try await world()
        for landlord in [RecorderWorld.ann, RecorderWorld.bob] {
            let found = try await ask(
                world, as: landlord, "SELECT string_agg(DISTINCT landlord_id::text, ',') FROM gateway.\(table)")
            #expect(found == "\(landlord)")
        }
        #expect(try await ask(world, as: nil, "SELECT count(*)::text FROM gateway.\(table)") == "0")
    }

    @Test func everyTableIsClosedToLandlordsUnlessItSaysOtherwise() async throws {
        let world = try await world()
        let open: Set = [
            "businesses", "customers", "landlord_whatsapp_settings", "media", "message_costs", "prices",
            "route_landlords",
            "routes", "usage_counters", "users", "whatsapp_conversations", "whatsapp_messages",
        ]
        let tables = try await world.owner.query(
            "SELECT relname FROM pg_class WHERE relnamespace = 'gateway'::regnamespace AND relkind IN ('r', 'p')")
        for row in tables {
            let table = try row.text(0)
            let answer = try? await ask(
                world, as: RecorderWorld.ann, "SELECT count(*)::text FROM (SELECT * FROM gateway.\(table)) x")
            #expect((answer != nil) == open.contains(table), "\(table)")
        }
    }

    @Test(arguments: [
        "DELETE FROM gateway.whatsapp_messages",
        "UPDATE gateway.whatsapp_messages SET body = 'x'",
        "UPDATE gateway.whatsapp_conversations SET landlord_id = '\(RecorderWorld.bob)'",
        "INSERT INTO gateway.outbox (kind, idempotency_key, payload) VALUES ('meta_send', 'x', '{}')",
        "INSERT INTO public.whatsapp_conversations (landlord_id) VALUES ('\(RecorderWorld.ann)')",
        "SELECT gateway.change_identity('phone', '', '1', '2', now())",
        "SELECT provider_id FROM gateway.endpoints",
        "SELECT access_token FROM gateway.integrations",
    ])
    func aLandlordMayNot(_ statement: String) async throws {
        let world = try await world()
        let error = await #expect(throws: PostgresError.self) {
            _ = try await ask(world, as: RecorderWorld.ann, statement)
        }
        #expect(error?.sqlState == "42501")
    }

    @Test func aPolicyAddedCarelesslyOpensNothing() async throws {
        let world = try await world()
        try await world.owner.execute(
            "CREATE POLICY careless ON gateway.whatsapp_messages FOR SELECT TO authenticated USING (true)")
        #expect(
            try await ask(world, as: RecorderWorld.ann, "SELECT string_agg(body, ',') FROM gateway.whatsapp_messages")
                == "to ann")
    }

    @Test func aMessageCannotStandInAnotherLandlordsThread() async throws {
        let world = try await world()
        let error = await #expect(throws: PostgresError.self) {
            try await world.owner.execute(
                """
                INSERT INTO gateway.whatsapp_messages (sent_at, conversation_id, landlord_id, endpoint_id, direction, status)
                SELECT now(), id, '\(RecorderWorld.bob)', endpoint_id, 'incoming', 'received'
                  FROM gateway.whatsapp_conversations WHERE landlord_id = '\(RecorderWorld.ann)'
                """)
        }
        #expect(error?.sqlState == "23503")
    }

    @Test func theGatewaysLoginSeesEverythingAndRowSecurityIsForced() async throws {
        let world = try await world()
        let connection = try await PostgresConnection.connect(world.configuration)
        #expect(try await connection.query("SELECT count(*) FROM gateway.whatsapp_messages").one().int64(0) == 4)
        #expect(
            try await world.value(
                """
                SELECT string_agg(relname, ',') FROM pg_class WHERE relnamespace = 'gateway'::regnamespace
                   AND relkind IN ('r', 'p') AND NOT relispartition AND NOT (relrowsecurity AND relforcerowsecurity)
                """) == nil)
    }

    @Test func claimsAndRoleEndWithTheirTransaction() async throws {
        let world = try await world()
        let connection = try await PostgresConnection.connect(world.configuration)
        let identity = TransactionIdentity(role: "authenticated", claimsJSON: "{\"sub\":\"\(RecorderWorld.ann)\"}")
        let sql = "SELECT count(*) FROM gateway.whatsapp_messages"
        #expect(
            try await connection.transaction(as: identity) { c throws(PostgresError) in try c.query(sql).one().int64(0)
            } == 1)
        let leaked = try await connection.query(
            "SELECT current_user::text || current_setting('request.jwt.claims', true)"
        ).one().text(0)
        #expect(leaked == RecorderWorld.login)
    }
}
