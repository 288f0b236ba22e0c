import Intake
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct PostgresInboxTests {
    static func world() async throws -> (RecorderWorld, PostgresInbox) {
        let world = try await RecorderWorld()
        return (world, PostgresInbox(try await PostgresConnection.connect(world.configuration)))
    }

    @Test("lists what waits by its reason, and moves all of a sender's to a landlord, on the record")
    func assign() async throws {
        let (world, inbox) = try await Self.world()
        try await world.record([
            world.message("u1", from: 447_911_000_077, .unclaimed),
            world.message("u2", from: 447_911_000_077, .unclaimed),
            world.message("u3", from: 447_911_000_088, .unclaimed),
            world.message(
                "h1", from: RecorderWorld.tom,
                .held([RecorderWorld.candidate(RecorderWorld.ann, RecorderWorld.tom)])),
        ])
        let unclaimed = try await inbox.messages(.unclaimed, limit: 10)
        #expect(unclaimed.count == 3 && unclaimed.allSatisfy { $0.phone != nil && $0.type == "text" })
        let held = try await inbox.messages(.held, limit: 10)
        #expect(held.count == 1)
        #expect(held.first?.candidatesJSON?.contains("\(RecorderWorld.ann)") == true)
        #expect(try await inbox.messages(.unclaimed, limit: 1).count == 1)

        let stranger = try #require(unclaimed.first { $0.phone == PhoneNumber(digits: 447_911_000_077) })
        #expect(
            try await inbox.assign(message: stranger.id, landlord: RecorderWorld.ann, tenant: nil, actor: "root") == 2)
        #expect(try await inbox.messages(.unclaimed, limit: 10).map(\.phone) == [PhoneNumber(digits: 447_911_000_088)])
        let audit = try await world.owner.query("SELECT actor_role, action FROM gateway.audit_log").one()
        #expect(try [audit.text(0), audit.text(1)] == ["root", "inbox.assign"])
    }

    @Test("refuses a message that does not wait, and a tenant of another landlord")
    func refusals() async throws {
        let (world, inbox) = try await Self.world()
        try await world.record([world.message("u1", from: 447_911_000_077, .unclaimed)])
        let waiting = try #require(await inbox.messages(.unclaimed, limit: 1).first)
        let gone = await #expect(throws: PostgresError.self) {
            _ = try await inbox.assign(
                message: RecorderWorld.ann, landlord: RecorderWorld.ann, tenant: nil, actor: "root")
        }
        #expect(gone?.sqlState == "ZR404")
        let tim = UniqueID("10000000-0000-0000-0000-000000000003")!
        let stranger = await #expect(throws: PostgresError.self) {
            _ = try await inbox.assign(message: waiting.id, landlord: RecorderWorld.ann, tenant: tim, actor: "root")
        }
        #expect(stranger?.sqlState == "ZR006")
        #expect(try await inbox.messages(.unclaimed, limit: 1).count == 1)
    }

    @Test("lists parked updates, and asks for some or all of them to be tried again")
    func redrive() async throws {
        let (world, inbox) = try await Self.world()
        try await world.owner.execute(
            """
            INSERT INTO gateway.parked_payloads (hash, payload) VALUES ('\\x01', '\\x7b'), ('\\x02', '\\x7b');
            INSERT INTO gateway.parked_updates (hash, idx, journal_id, journal_pos, received_at, source, reason)
              SELECT h, i, 1, 1, now(), 'meta', 'not_json'
                FROM unnest('{"\\\\x01","\\\\x02"}'::bytea[]) h, generate_series(0, 1) i;
            """)
        let parked = try await inbox.parked(limit: 10)
        #expect(
            parked.count == 4 && parked.allSatisfy { $0.reason == "not_json" && $0.source == "meta" && $0.times == 1 })
        #expect(try await inbox.redrive([parked[0].id, -1], actor: "root") == 1)
        #expect(try await inbox.redrive(nil, actor: "root") == 4)
        let asked = try await world.owner.query(
            "SELECT 1 FROM gateway.parked_updates WHERE redrive_requested_at IS NOT NULL")
        #expect(asked.count == 4)
    }
}

@Suite struct PostgresEndpointStoreTests {
    @Test("the configured number is written once, and is part of the routing feed")
    func save() async throws {
        let world = try await RecorderWorld()
        let store = PostgresEndpointStore(world.configuration)
        for _ in 0..<2 { try await store.save(cloudNumber: "PN2", businessAccountID: "W2") }
        let picture = try await PostgresRouteSourceTests.load(PostgresRouteSource(world.configuration))
        let endpoint = try #require(picture.endpoints.first { $0.reference.providerID == "PN2" })
        #expect(endpoint.reference.kind == .cloud && endpoint.ownerID == nil && endpoint.accountIDScope == "W2")
        #expect(picture.endpoints.count == 2)
    }
}
