package import Intake
import Journal
import Messaging
import PostgresClient

extension PostgresRecorder {
    /// Bytes of bodies handed over at once; one always comes.
    private static let sliceBytesMax: Int64 = 4 << 20

    package func replaySlice(limit: Int) async throws(RecorderError) -> ReplaySlice? {
        try await RecorderError.mapping { () async throws(PostgresError) in
            let connection = try await session.open()
            guard let row = try await connection.query(Self.requestStatement, []).first else { return nil }
            let after = try row.nullableTime(4).map { at throws(PostgresError) in
                ReplaySlice.Place(
                    receivedAt: at, journal: try row.int32(5), position: JournalPosition(try row.int64(6)))
            }
            let span = ReplaySpan(from: try row.time(1), to: try row.time(2), source: try row.nullableText(3))
            let webhooks = try await connection.query(
                Self.storedStatement, span.parameters(after: after, limit: limit, bytes: Self.sliceBytesMax)
            ).map { row throws(PostgresError) in try Self.stored(row) }
            return ReplaySlice(request: try row.int64(0), after: after, webhooks: webhooks, isLast: webhooks.isEmpty)
        }
    }

    /// Records a replay's batch, settles the webhooks' rows and moves the request's place, in one transaction. A place that is not where the batch begins was passed by an earlier attempt or by another gateway.
    func record(
        _ batch: RecordBatch, _ replay: ReplayedWebhooks, on connection: PostgresConnection
    ) async throws(PostgresError) -> RecordResult {
        let values = RecordBatchParameters(batch, passesOn: false).values
        let effects = ReplayParameters(batch, replay)
        let answer = try await connection.transaction { connection throws(PostgresError) -> ReplayAnswer in
            guard try !connection.query(Self.placeStatement, ReplayParameters.place(replay)).isEmpty else {
                return .passed
            }
            let row = try connection.query(Self.recordStatement, values).one()
            guard try row.int32(0) == 1 else { return .refused(row) }
            let applied = try connection.query(Self.applyStatement, effects.values).one()
            var outcome = try Self.outcome(row)
            var replayed = ReplayOutcome()
            replayed.webhooks = replay.webhooks.count
            replayed.recorded = Int(try applied.int32(0))
            replayed.refreshed = Int(try applied.int32(1))
            replayed.files = Int(try applied.int32(2))
            replayed.statuses = batch.statuses.count
            replayed.refused = replay.refused
            outcome.replayed = replayed
            _ = try connection.query(Self.noteStatement, ReplayParameters.note(replay, replayed))
            return .applied(outcome)
        }
        switch answer {
        case .applied(let outcome): return .recorded(outcome)
        case .passed:
            var outcome = RecordOutcome(counts: VerdictCounts())
            outcome.replayed = ReplayOutcome()
            return .recorded(outcome)
        case .refused(let row): return try await refused(batch, row)
        }
    }
}

private enum ReplayAnswer: Sendable {
    case applied(RecordOutcome)
    case passed
    /// What the recording statement says instead.
    case refused(PostgresRow)
}

/// Which stored webhooks a replay takes.
struct ReplaySpan: Sendable {
    let from: Timestamp
    let to: Timestamp
    /// `nil` = of every source.
    let source: String?

    func parameters(after place: ReplaySlice.Place?, limit: Int, bytes: Int64) -> [PostgresValue] {
        [
            .time(from), .time(to), PostgresValue(source) { .text($0) }, PostgresValue(place) { .time($0.receivedAt) },
            PostgresValue(place) { .int32($0.journal) }, PostgresValue(place) { .int64($0.position.value) },
            .int32(Int32(clamping: limit)), .int64(bytes),
        ]
    }
}

// MARK: Statements

extension PostgresRecorder {
    static func stored(_ row: PostgresRow) throws(PostgresError) -> StoredWebhook {
        let source = try row.text(3)
        return StoredWebhook(
            place: ReplaySlice.Place(
                receivedAt: try row.time(0), journal: try row.int32(1), position: JournalPosition(try row.int64(2))),
            source: WebhookSource.allCases.first { $0.name == source } ?? .meta, body: try row.bytes(4),
            parked: Set(try row.text(5).split(separator: ",").compactMap { Int($0) }))
    }

    private static let requestStatement = PostgresStatement(
        name: "replay_request",
        sql: """
            SELECT id, from_at, to_at, source, cursor_at, cursor_journal, cursor_pos FROM gateway.webhook_replays
             WHERE finished_at IS NULL ORDER BY id LIMIT 1
            """)

    static let storedStatement = PostgresStatement(
        name: "stored_webhooks",
        sql: """
            SELECT received_at, journal_id, journal_pos, source, payload, array_to_string(parked, ',')
              FROM gateway.stored_webhooks($1::timestamptz, $2::timestamptz, $3::text, $4::timestamptz, $5::integer,
                                           $6::bigint, $7::integer, $8::bigint)
            """)

    private static let placeStatement = PostgresStatement(
        name: "replay_place",
        sql: """
            SELECT id FROM gateway.webhook_replays
             WHERE id = $1::bigint AND finished_at IS NULL
               AND (cursor_at, cursor_journal, cursor_pos)
                   IS NOT DISTINCT FROM ($2::timestamptz, $3::integer, $4::bigint)
               FOR UPDATE
            """)

    private static let applyStatement = PostgresStatement(
        name: "apply_replay",
        sql: """
            SELECT recorded, refreshed, files
              FROM gateway.apply_replay($1::integer[], $2::bigint[], $3::timestamptz[], $4::integer[], $5::integer[],
                     $6::integer[], $7::uuid[], $8::timestamptz[], $9::uuid[], $10::text[], $11::text[], $12::text[],
                     $13::text[], $14::text[], $15::text[], $16::text[])
            """)

    private static let noteStatement = PostgresStatement(
        name: "replay_note",
        sql: """
            UPDATE gateway.webhook_replays
               SET cursor_at = $2::timestamptz, cursor_journal = $3::integer, cursor_pos = $4::bigint,
                   finished_at = CASE WHEN $5::boolean THEN now() END, updated_at = now(),
                   replayed = replayed + $6::integer, recorded = recorded + $7::integer,
                   refreshed = refreshed + $8::integer, files = files + $9::integer,
                   statuses = statuses + $10::integer, refused = refused + $11::integer
             WHERE id = $1::bigint
            """)
}
