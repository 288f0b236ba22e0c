package import Intake
package import Messaging
package import PostgresClient
package import Routing

/// Replays as an administrator asks for them and watches them; the running gateway does them.
package struct PostgresReplayRequests: Sendable {
    private let connection: PostgresConnection

    package init(_ connection: PostgresConnection) { self.connection = connection }

    /// How far a replay has come.
    package struct Progress: Hashable, Sendable {
        package let id: ReplaySlice.RequestID
        /// Some gateway has begun.
        package let isBegun: Bool
        package let isFinished: Bool
        package let outcome: ReplayOutcome
    }

    /// Asks for a replay, with an audit line.
    /// - Parameters:
    ///   - from: received at this moment or later; `nil` = all that is stored.
    ///   - to: received before; `nil` = before now.
    package func request(
        source: WebhookSource?, from: Timestamp?, to: Timestamp?, actor: String
    ) async throws(PostgresError) -> ReplaySlice.RequestID {
        try await connection.query(
            """
            SELECT gateway.request_replay($1::text, coalesce($2::timestamptz, '1970-01-01Z'),
                                          coalesce($3::timestamptz, now()), $4::text)
            """,
            [
                PostgresValue(source) { .text($0.name) }, PostgresValue(from) { .time($0) },
                PostgresValue(to) { .time($0) }, .text(actor),
            ]
        ).one().int64(0)
    }

    /// `nil` when there is no such request.
    package func progress(of id: ReplaySlice.RequestID) async throws(PostgresError) -> Progress? {
        try await connection.query(
            """
            SELECT id, updated_at IS NOT NULL, finished_at IS NOT NULL, replayed - refused, recorded, refreshed, files,
                   statuses, refused
              FROM gateway.webhook_replays WHERE id = $1::bigint
            """, [.int64(id)]
        ).first.map { row throws(PostgresError) in
            var outcome = ReplayOutcome()
            outcome.webhooks = Int(try row.int64(3))
            outcome.recorded = Int(try row.int64(4))
            outcome.refreshed = Int(try row.int64(5))
            outcome.files = Int(try row.int64(6))
            outcome.statuses = Int(try row.int64(7))
            outcome.refused = Int(try row.int64(8))
            return Progress(
                id: try row.int64(0), isBegun: try row.bool(1), isFinished: try row.bool(2), outcome: outcome)
        }
    }

    /// Counts what a replay would do with this table. Writes nothing.
    package func preview(
        source: WebhookSource?, from: Timestamp?, to: Timestamp, table: RoutingTable, now: Timestamp
    ) async throws(PostgresError) -> ReplayOutcome {
        let span = ReplaySpan(from: from ?? Timestamp(seconds: 0), to: to, source: source?.name)
        var outcome = ReplayOutcome()
        var seen: Set<MessagePlace> = []
        var slice = ReplaySlice(request: 0, after: nil, webhooks: [], isLast: false)
        while true {
            slice.webhooks = try await connection.query(
                PostgresRecorder.storedStatement, span.parameters(after: slice.after, limit: 500, bytes: 8 << 20)
            ).map { row throws(PostgresError) in try PostgresRecorder.stored(row) }
            guard let end = slice.webhooks.last?.place else { return outcome }
            let batch = ReplayPreview.batch(of: slice, table: table, now: now)
            outcome.webhooks += slice.webhooks.count
            outcome.statuses += batch.statuses.count
            if let replay = batch.replay { try await compare(batch, replay, &seen, &outcome) }
            slice.after = end
        }
    }

    private struct MessagePlace: Hashable {
        let endpoint: UniqueID
        let id: String
    }

    private func compare(
        _ batch: RecordBatch, _ replay: ReplayedWebhooks, _ seen: inout Set<MessagePlace>,
        _ outcome: inout ReplayOutcome
    ) async throws(PostgresError) {
        let rows = try await connection.query(Self.compareStatement, ReplayParameters(batch, replay).messages)
        for row in rows {
            let recorded = batch.messages[Int(try row.int64(0)) - 1]
            let (isNew, isRefreshed, lacksFile) = (try row.bool(1), try row.bool(2), try row.bool(3))
            guard isNew || isRefreshed || lacksFile,
                seen.insert(MessagePlace(endpoint: recorded.endpoint.id, id: recorded.message.id)).inserted
            else { continue }
            if isNew { outcome.recorded += 1 }
            if isRefreshed { outcome.refreshed += 1 }
            if lacksFile || isNew && recorded.message.media != nil { outcome.files += 1 }
        }
    }

    private static let compareStatement = PostgresStatement(
        name: "compare_messages",
        sql: """
            SELECT n, message_id IS NULL, is_refreshed, lacks_file
              FROM gateway.compare_messages($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[])
            """)
}
