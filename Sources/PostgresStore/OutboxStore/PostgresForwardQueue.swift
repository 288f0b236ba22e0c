package import Delivery
package import Messaging
package import PostgresClient

/// Webhooks to be passed on, in PostgreSQL: the jobs are in the outbox, the bodies in the webhook log.
package final class PostgresForwardQueue: ForwardQueue {
    private let pool: PostgresPool
    private let hints: OutboxHints

    /// Uses a connection for each source, and one to listen.
    package init(_ configuration: PostgresConfiguration) {
        hints = OutboxHints(configuration)
        pool = PostgresPool(configuration, limits: .init(connectionsMax: WebhookSource.allCases.count))
    }

    package func claim(
        _ source: WebhookSource, as claim: String, limit: ForwardLimit, leaseSeconds: Int
    ) async throws -> [ForwardJob<ForwardedWebhook>] {
        let values: [PostgresValue] = [
            .text(source.name), .text(claim), .int32(Int32(clamping: limit.jobs)), .int64(limit.bytes),
            .int32(Int32(clamping: leaseSeconds)),
        ]
        return try await pool.withConnection { connection async throws(PostgresError) in
            try await connection.query(Self.claimStatement, values).map { row throws(PostgresError) in
                try Self.job(row, source)
            }
        }
    }

    package func settle(_ settlement: ForwardSettlement) async throws {
        try await pool.withConnection { connection async throws(PostgresError) in
            _ = try await connection.query(Self.settleStatement, settlement.columns)
        }
    }

    package func jobsAvailable(atMostSeconds seconds: Int) async { await hints.next(atMostSeconds: seconds) }

    private static func job(
        _ row: PostgresRow, _ source: WebhookSource
    ) throws(PostgresError) -> ForwardJob<ForwardedWebhook> {
        var webhook: ForwardedWebhook?
        if let id = try row.nullableText(3), let body = try row.nullableBytes(5) {
            webhook = ForwardedWebhook(id: id, source: source, signature: try row.nullableBytes(4) ?? [], body: body)
        }
        return ForwardJob(
            id: try row.int64(0), attempt: Int(try row.int32(1)), ageSeconds: try row.int64(2), content: webhook)
    }

    private static let claimStatement = PostgresStatement(
        name: "claim_forwards",
        sql: """
            SELECT id, attempt, age_seconds, webhook_id, signature, payload
              FROM gateway.claim_forwards($1::text, $2::text, $3::integer, $4::bigint,
                                          make_interval(secs => $5::integer))
            """)
    private static let settleStatement = PostgresStatement(
        name: "settle_forwards",
        sql: """
            SELECT gateway.settle_forwards($1::bigint, $2::text, $3::bigint[], $4::bigint, $5::text,
                                           $6::bigint * interval '1 millisecond')
            """)
}

extension ForwardSettlement {
    /// Head, claim, done, failed, error, pause: as the functions that settle take them.
    var columns: [PostgresValue] {
        var ids = PostgresArrayBuilder(.int8)
        for id in done { ids.append(int64: id) }
        var pause: Int64?
        var error: String?
        switch failed?.decision {
        case .again(let milliseconds, let reason): (pause, error) = (milliseconds, reason)
        case .setAside(let reason): error = reason
        case nil: break
        }
        return [
            .int64(head), .text(claim), ids.value, PostgresValue(failed?.job) { .int64($0) },
            PostgresValue(error) { .reason($0) }, PostgresValue(pause) { .int64($0) },
        ]
    }
}
