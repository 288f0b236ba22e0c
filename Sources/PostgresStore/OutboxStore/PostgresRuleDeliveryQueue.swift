package import Delivery
import Messaging
package import PostgresClient

/// What rules order to be told to named endpoints, in PostgreSQL. Each endpoint is a lane; in it each sender has an order
/// of their own.
package final class PostgresRuleDeliveryQueue: ForwardQueue {
    private let pool: PostgresPool
    private let hints: OutboxHints

    /// - Parameter connectionsMax: calls at once; one more connection listens.
    package init(_ configuration: PostgresConfiguration, connectionsMax: Int = 2) {
        hints = OutboxHints(configuration)
        pool = PostgresPool(configuration, limits: .init(connectionsMax: connectionsMax))
    }

    package func claim(
        _ endpoint: String, as claim: String, limit: ForwardLimit, leaseSeconds: Int
    ) async throws -> [ForwardJob<RuleDelivery>] {
        let values: [PostgresValue] = [
            .text(endpoint), .text(claim), .int32(Int32(clamping: limit.jobs)), .int64(limit.bytes),
            .int32(Int32(clamping: leaseSeconds)),
        ]
        return try await pool.withConnection { connection async throws(PostgresError) in
            try await connection.query(Self.claimStatement, values).map { row throws(PostgresError) in
                ForwardJob(
                    id: try row.int64(0), attempt: Int(try row.int32(1)), ageSeconds: try row.int64(2),
                    content: RuleDelivery(
                        id: try row.id(3), endpoint: endpoint, body: Array(try row.text(4).utf8)))
            }
        }
    }

    package func settle(_ settlement: ForwardSettlement) async throws {
        try await pool.withConnection { connection async throws(PostgresError) in
            _ = try await connection.query(Self.settleStatement, settlement.columns)
        }
    }

    package func jobsAvailable(atMostSeconds seconds: Int) async { await hints.next(atMostSeconds: seconds) }

    private static let claimStatement = PostgresStatement(
        name: "claim_rule_deliveries",
        sql: """
            SELECT id, attempt, age_seconds, action_id, body
              FROM gateway.claim_rule_deliveries($1::text, $2::text, $3::integer, $4::bigint,
                                                 make_interval(secs => $5::integer))
            """)
    private static let settleStatement = PostgresStatement(
        name: "settle_rule_deliveries",
        sql: """
            SELECT gateway.settle_rule_deliveries($1::bigint, $2::text, $3::bigint[], $4::bigint, $5::text,
                                                  $6::bigint * interval '1 millisecond')
            """)
}
