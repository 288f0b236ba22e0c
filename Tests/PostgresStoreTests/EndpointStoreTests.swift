import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct EndpointStoreTests {
    private func endpoints(_ world: borrowing RecorderWorld) async throws -> String {
        try await world.owner.query(
            """
            SELECT coalesce(string_agg(format('%s %s %s %s', provider_id, scope, status, id_scope), ', '
                                       ORDER BY provider_id), '')
              FROM gateway.endpoints WHERE kind = 'vps_session'
            """
        ).one().text(0)
    }

    @Test func theSessionsOfTheConfigurationBecomeThePlatforms() async throws {
        let world = try await RecorderWorld()
        let store = PostgresEndpointStore(world.configuration)
        #expect(try await store.save(sessions: ["two", "one"]).isEmpty)
        #expect(try await endpoints(world) == "one platform connecting , two platform connecting ")
    }

    @Test func aSessionThatIsKnownKeepsItsState() async throws {
        let world = try await RecorderWorld()
        let store = PostgresEndpointStore(world.configuration)
        _ = try await store.save(sessions: ["one"])
        try await world.owner.execute("UPDATE gateway.endpoints SET status = 'logged_out' WHERE provider_id = 'one'")
        #expect(try await store.save(sessions: ["one"]).isEmpty)
        #expect(try await endpoints(world) == "one platform logged_out ")
    }

    @Test func aSessionOfALandlordStaysTheLandlords() async throws {
        let world = try await RecorderWorld()
        let store = PostgresEndpointStore(world.configuration)
        try await world.owner.execute(
            """
            INSERT INTO gateway.endpoints (kind, provider_id, scope, landlord_id, status)
              VALUES ('vps_session', 'hers', 'landlord', '\(RecorderWorld.ann)', 'qr')
            """)
        #expect(try await store.save(sessions: ["hers", "one"]) == ["hers"])
        #expect(
            try await endpoints(world)
                == "hers landlord qr \(RecorderWorld.ann)/, one platform connecting ")
    }

    @Test func theCloudNumberStandsBesideThem() async throws {
        let world = try await RecorderWorld()
        let store = PostgresEndpointStore(world.configuration)
        try await store.save(cloudNumber: "PN2", businessAccountID: "W2")
        let row = try await world.owner.query(
            "SELECT kind || ' ' || id_scope FROM gateway.endpoints WHERE provider_id = 'PN2'"
        ).one()
        #expect(try row.text(0) == "cloud W2")
    }
}
