package import PostgresClient

/// What waits because rules ordered it.
package struct RuleStanding: Hashable, Sendable {
    /// What is listed for somebody to take up.
    package var notices: Int64 = 0
    /// By the endpoint's name: what has not left for it, and how old the oldest is.
    package var deliveries: [String: Waiting] = [:]

    package struct Waiting: Hashable, Sendable {
        package let count: Int64
        package let oldestSeconds: Int64
    }

    package static func read(_ pool: PostgresPool) async throws(PostgresError) -> RuleStanding {
        try await pool.withConnection { connection async throws(PostgresError) in
            var standing = RuleStanding()
            for row in try await connection.query(statement, []) {
                let count = try row.int64(1)
                if let endpoint = try row.nullableText(0) {
                    standing.deliveries[endpoint] = Waiting(count: count, oldestSeconds: try row.int64(2))
                } else {
                    standing.notices = count
                }
            }
            return standing
        }
    }

    private static let statement = PostgresStatement(
        name: "rule_standing", sql: "SELECT endpoint, waiting, oldest_seconds FROM gateway.rule_standing()")
}
