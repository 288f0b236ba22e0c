package import PostgresClient

/// What the database needs at start and once a day: partitions for the days to come, the end of what has aged out, and
/// a comparison of the routes with the application's tables.
package struct Upkeep: Sendable {
    private let pool: PostgresPool

    package init(_ pool: PostgresPool) { self.pool = pool }

    /// Partitions for the days to come: the one step that recording cannot wait for.
    package func makePartitions() async throws(PostgresError) {
        try await pool.withConnection { connection async throws(PostgresError) in
            try await connection.execute("SELECT gateway.ensure_partitions()")
        }
    }

    package func run() async throws(PostgresError) {
        try await pool.withConnection { connection async throws(PostgresError) in
            for step in [
                "ensure_partitions", "apply_retention", "prune_people", "prune_tenures", "prune_rule_actions",
                "refresh_tenant_landlord_routing",
            ] {
                try await connection.execute("SELECT gateway.\(step)()", timeout: .seconds(1800))
            }
        }
    }
}
