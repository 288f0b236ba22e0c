import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres
import Testing

/// What a change of the landlord application costs it: a plan is kept as long as its connection.
@Suite(.serialized) struct SourceChangePlanTests {
    private static let tables = [
        "public.tenants", "public.leases", "public.properties", "public.user_profiles", "gateway.routes",
    ]

    private func connect(_ world: RecorderWorld) async throws -> PostgresConnection {
        let name = try #require(try await world.value("SELECT current_database()"))
        return try await .connect(PostgresConfiguration(TemporaryCluster.shared().connectionString(database: name)))
    }

    /// Rows of these tables that were read one after the other in this transaction.
    private func scanned(_ connection: PostgresConnection) async throws -> Int64 {
        let calls = Self.tables.map { "pg_stat_get_xact_tuples_returned('\($0)'::regclass)" }
        return try await connection.query("SELECT \(calls.joined(separator: " + "))").one().int64(0)
    }

    @Test func aConnectionFromWhenTheTablesWereSmallProbesIndexesOnceTheyAreLarge() async throws {
        let world = try await RecorderWorld()
        let application = try await connect(world)
        let changes = [
            "UPDATE public.tenants SET name = name || '.' WHERE id = '10000000-0000-0000-0000-000000000001'",
            "UPDATE public.tenants SET phone = phone || '1' WHERE id = '10000000-0000-0000-0000-000000000002'",
            "UPDATE public.leases SET start_date = start_date - 1 WHERE id = '\(RecorderWorld.tessLease)'",
            "UPDATE public.properties SET address = address || '.' WHERE id = 'aaaaaaaa-0000-0000-0000-0000000000a1'",
            "UPDATE public.user_profiles SET full_name = full_name || '.' WHERE id = '\(RecorderWorld.ann)'",
        ]
        for _ in 1...8 { for change in changes { try await application.execute(change) } }
        try await world.owner.execute(
            """
            SET session_replication_role = replica;
            INSERT INTO public.properties (id, user_id)
              SELECT md5('p' || n)::uuid, '\(RecorderWorld.ann)' FROM generate_series(1, 3000) n;
            INSERT INTO public.tenants (id, user_id, phone)
              SELECT md5('t' || n)::uuid, '\(RecorderWorld.ann)', (447900000000 + n)::text FROM generate_series(1, 3000) n;
            INSERT INTO public.leases (tenant_id, property_id, status)
              SELECT md5('t' || n)::uuid, md5('p' || n)::uuid, 'active' FROM generate_series(1, 3000) n;
            SET session_replication_role = origin; SELECT gateway.refresh_tenant_landlord_routing()
            """)
        for change in changes {
            // how the application's own statement finds its row is not what is looked at
            try await application.execute("BEGIN; SET LOCAL enable_seqscan = off")
            let before = try await scanned(application)
            try await application.execute(change)
            let count = try await scanned(application) - before
            await application.rollback()
            #expect(count == 0, "\(change): \(count) rows")
        }
    }

    /// The rows of a change are never joined with each other row by row.
    @Test func aConnectionThatChangedOneRowChangesThousands() async throws {
        let world = try await RecorderWorld()
        let application = try await connect(world)
        for _ in 1...8 { try await application.execute("UPDATE public.tenants SET name = name || '.'") }
        try await application.execute(
            """
            INSERT INTO public.tenants (user_id, phone)
              SELECT '\(RecorderWorld.ann)', (447900000000 + n)::text FROM generate_series(1, 5000) n
            """)
        try await application.execute("UPDATE public.tenants SET phone = phone || '1' WHERE phone LIKE '4479%'")
        #expect(
            try await world.value("SELECT count(*) FROM gateway.phone_tenures WHERE phone_key > 4479000000000")
                == "5000")
    }
}
