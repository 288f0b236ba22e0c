import Messaging
import PostgresClient
import Testing

@testable import PostgresStore

/// What is read of a change costs as much as the change, however large the tables are: an index probe a key.
@Suite(.serialized) struct RoutePlanTests {
    enum Tables: CaseIterable {
        /// As they are right after the migrations, and never analyzed.
        case young
        /// Thousands of rows that came at once, of which the planner does not know.
        case grown
        case analyzed
    }

    private static let rows = """
        INSERT INTO gateway.people (id) SELECT md5(n::text)::uuid FROM generate_series(1, 4000) n;
        INSERT INTO gateway.identities (kind, value, person_id, source)
          SELECT 'phone', (447900000000 + n)::text, md5(n::text)::uuid, 'test' FROM generate_series(1, 4000) n;
        INSERT INTO gateway.identities (kind, scope, value, person_id, source)
          SELECT 'bsuid', 'PF', 'GB.' || n, md5(n::text)::uuid, 'test' FROM generate_series(1, 4000) n;
        INSERT INTO gateway.identities (kind, value, person_id, source, retired_at, retired_reason)
          SELECT 'phone', (447800000000 + n)::text, md5(n::text)::uuid, 'test', now(), 'number_change'
            FROM generate_series(1, 1000) n;
        INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, phone_key, tenant_phone, lease_status)
          SELECT md5('t' || n)::uuid, md5('l' || n)::uuid, md5('d' || n / 9)::uuid, 447900000000 + n, 447900000000 + n, 'active'
            FROM generate_series(1, 4000) n;
        INSERT INTO gateway.route_landlords (landlord_id, whatsapp_enabled, notifications_enabled)
          SELECT md5('d' || n)::uuid, true, true FROM generate_series(1, 4000) n;
        INSERT INTO gateway.route_changes (kind, phone_key) SELECT 'p', n FROM generate_series(1, 4000) n;
        """

    private func plan(_ connection: PostgresConnection, _ sql: String, _ values: String) async throws -> String {
        try await connection.execute(
            """
            BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_seqscan = off;
            SET LOCAL enable_bitmapscan = off; PREPARE x AS \(sql)
            """)
        let rows = try await connection.query("EXPLAIN (COSTS OFF) EXECUTE x(\(values))")
        let text = try rows.map { try $0.text(0) }.joined(separator: "\n")
        try await connection.execute("DEALLOCATE x; ROLLBACK")
        return text
    }

    @Test(arguments: Tables.allCases)
    func everyQueryOfTheFeedProbesIndexes(_ tables: Tables) async throws {
        let world = try await RecorderWorld()
        if tables != .young { try await world.owner.execute(Self.rows) }
        if tables == .analyzed { try await world.owner.execute("ANALYZE") }
        let connection = try await PostgresConnection.connect(world.configuration)
        for (statement, values) in [
            (RouteRows.changedRoutes, "'{447900000001}'"), (RouteRows.changedLandlords, "'{\(RecorderWorld.ann)}'"),
            (RouteRows.changedIdentities, "'{phone}', '{\"\"}', '{447900000001}'"),
        ] {
            let plan = try await plan(connection, statement.sql, values)
            for word in ["Seq Scan", "Hash", "Merge", "Materialize", "Bitmap"] {
                #expect(!plan.contains(word), "\(statement.name): \(plan)")
            }
            #expect(plan.contains("Index"), "\(statement.name): \(plan)")
        }
    }

    /// The function's own statements are planned within it: what it reads is counted.
    @Test(arguments: Tables.allCases)
    func theLogIsReadFromTheCursorOn(_ tables: Tables) async throws {
        let world = try await RecorderWorld()
        if tables != .young { try await world.owner.execute(Self.rows) }
        if tables == .analyzed { try await world.owner.execute("ANALYZE") }
        let connection = try await PostgresConnection.connect(world.configuration)
        let cursor = try await connection.query("SELECT pg_current_snapshot()::text").one().text(0)
        try await world.owner.execute("UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess'")
        try await connection.execute("BEGIN; SET LOCAL enable_seqscan = off")
        func scanned() async throws -> Int64 {
            try await connection.query("SELECT pg_stat_get_xact_tuples_returned('gateway.route_changes'::regclass)")
                .one().int64(0)
        }
        let before = try await scanned()
        let rows = try await connection.query(RouteRows.changes, [.text(cursor), .int64(10)])
        #expect(rows.count == 2)
        #expect(try await scanned() == before)
        await connection.rollback()
    }
}
