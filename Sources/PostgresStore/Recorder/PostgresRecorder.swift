package import Intake
package import Journal
import Messaging
import PostgresClient
import Routing

/// Records batches with one statement over one connection, or in steps in one transaction of it.
///
/// A commit whose answer was lost is found out by the fence: the same batch again finds the checkpoint where it would
/// have put it, under the same owner, and counts as recorded.
package struct PostgresRecorder: Recorder {
    let session: RecorderSession
    /// Shown to operators beside the journal.
    private let host: String?
    private let passesWebhooksOn: Bool
    private let noticesTo: String?

    /// - Parameters:
    ///   - passesWebhooksOn: queues a job for each webhook, for somebody who forwards it (`ForwardDispatcher`).
    ///   - noticesTo: the endpoint for which what rules notify of is queued as well.
    package init(
        _ session: RecorderSession, host: String? = nil, passesWebhooksOn: Bool = false, noticesTo: String? = nil
    ) {
        self.session = session
        self.host = host
        self.passesWebhooksOn = passesWebhooksOn
        self.noticesTo = noticesTo
    }

    package func claim(_ journal: JournalIdentity) async throws(RecorderError) -> Checkpoint {
        try await RecorderError.mapping { () async throws(PostgresError) in
            let connection = try await session.openIdle()
            let row = try await connection.query(
                Self.claimStatement, [.id(journal.id), .id(journal.owner), PostgresValue(host) { .text($0) }]
            ).one()
            return Checkpoint(
                journal: try row.int32(0), position: JournalPosition(try row.int64(1)), wasKnown: try row.bool(2))
        }
    }

    package func record(_ batch: RecordBatch) async throws(RecorderError) -> RecordResult {
        try await RecorderError.mapping { () async throws(PostgresError) in
            guard batch.phase == .whole else { return try await recordStep(batch) }
            let connection = try await session.openIdle()
            if let replay = batch.replay { return try await record(batch, replay, on: connection) }
            let values = RecordBatchParameters(batch, passesOn: passesWebhooksOn, noticesTo: noticesTo).values
            let aliases = RecipientAliases(batch)
            let (row, outcome) = try await Contention.repeating { () async throws(PostgresError) in
                try await connection.write(values, aliases, isRehearsal: batch.isRehearsal)
            }
            if let outcome { return .recorded(outcome) }
            return try await refused(batch, row)
        }
    }

    package func abandon() async { await session.abandon() }

    package func redriveRequests(limit: Int) async throws(RecorderError) -> [RedriveRequest] {
        try await RecorderError.mapping { () async throws(PostgresError) in
            let connection = try await session.openIdle()
            let values: [PostgresValue] = [.int32(Int32(clamping: limit)), .int64(Self.redriveBytesMax)]
            var rows = try await connection.query(Self.redriveStatement, values)
            // Those whose endpoint is known by now are asked for once nothing else is, so many at a time.
            if rows.isEmpty, try await connection.query(Self.markStatement, []).one().int64(0) > 0 {
                rows = try await connection.query(Self.redriveStatement, values)
            }
            return try rows.map(Self.request)
        }
    }

    /// Bytes of bodies handed over at once; one always comes.
    private static let redriveBytesMax: Int64 = 16 << 20
}

// MARK: Steps

extension PostgresRecorder {
    /// A step of a transaction that spans several calls, on the session's one connection.
    private func recordStep(_ batch: RecordBatch) async throws(PostgresError) -> RecordResult {
        let connection = batch.phase == .opens ? try await session.openIdle() : try await session.open()
        if batch.phase == .opens { try await connection.begin() }
        guard connection.phase == .inTransaction else {
            throw PostgresError(.connectionLost, "the connection broke, and the earlier steps of a webhook are undone")
        }
        do throws(PostgresError) {
            let result = try await writeStep(batch, on: connection)
            switch result {
            case .recorded where batch.phase == .closes && !batch.isRehearsal: try await connection.commit()
            case .recorded where batch.phase != .closes, .staleRoutes: break
            case .recorded, .fenced: await connection.rollback()
            }
            return result
        } catch {
            await connection.rollback()
            throw error
        }
    }

    private func writeStep(
        _ batch: RecordBatch, on connection: PostgresConnection
    ) async throws(PostgresError) -> RecordResult {
        var (applied, conflicts) = (0, 0)
        if !batch.identityChanges.isEmpty || batch.isEmptyStep {
            let row = try await connection.query(
                Self.changesStatement, IdentityChangeColumns(batch.identityChanges).values + batch.fenceValues
            ).one()
            guard try row.int32(0) == 1 else { return try await refused(batch) }
            (applied, conflicts) = (Int(try row.int32(1)), Int(try row.int32(2)))
        }
        var outcome = RecordOutcome(counts: VerdictCounts())
        if !batch.isEmptyStep {
            let values = RecordBatchParameters(batch, passesOn: passesWebhooksOn, noticesTo: noticesTo).values
            let (row, written) = try await connection.write(values, RecipientAliases(batch))
            guard let written else { return try await refused(batch, row) }
            outcome = written
        }
        outcome.isIdentityNews = outcome.isIdentityNews || applied > 0
        outcome.identityConflicts += conflicts
        return .recorded(outcome)
    }

    /// The fence of a step that writes nothing else; the lock it takes holds the journal until the last one.
    private static let changesStatement = PostgresStatement(
        name: "change_identities",
        sql: """
            WITH fence AS (
              UPDATE gateway.journal_checkpoints SET updated_at = now()
               WHERE journal_id = $9::integer AND position = $11::bigint AND owner = $10::uuid RETURNING 1),
            applied AS MATERIALIZED (
              SELECT (a).changes, (a).conflicts FROM (
                SELECT gateway.apply_notices($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[],
                         $7::bigint[], $8::timestamptz[]) AS a FROM fence) x)
            SELECT (SELECT count(*) FROM fence)::integer, coalesce((SELECT changes FROM applied), 0),
                   coalesce((SELECT conflicts FROM applied), 0)
            """)
}

extension RecordBatch {
    /// A step that announces changes, or opens the transaction, and no more.
    fileprivate var isEmptyStep: Bool {
        phase != .closes && messages.isEmpty && statuses.isEmpty && sessions.isEmpty && parked.isEmpty
    }

    fileprivate var fenceValues: [PostgresValue] { [.int32(journal), .id(owner), .int64(after.value)] }
}

// MARK: What the statement's row means

extension PostgresRecorder {
    static func outcome(_ row: PostgresRow) throws(PostgresError) -> RecordOutcome {
        var counts = VerdictCounts()
        counts.routed = Int(try row.int32(2))
        counts.withheld = Int(try row.int32(3))
        counts.held = Int(try row.int32(4))
        counts.unclaimed = Int(try row.int32(5))
        counts.duplicate = Int(try row.int32(6))
        var outcome = RecordOutcome(counts: counts)
        outcome.peopleResolved = Int(try row.int32(12))
        outcome.identityConflicts = Int(try row.int32(13))
        outcome.isIdentityNews = try row.bool(15)
        outcome.asked = Int(try row.int32(17))
        outcome.released = Int(try row.int32(18))
        outcome.answered = Int(try row.int32(19))
        return outcome
    }

    /// Nothing was written; the statement's row says whether routes are to blame.
    func refused(_ batch: RecordBatch, _ row: PostgresRow) async throws(PostgresError) -> RecordResult {
        guard let stale = try row.nullableText(1) else { return try await refused(batch) }
        let messages = stale.split(separator: ",").compactMap { Int($0) }
        let questions = messages.map { index in
            let recorded = batch.messages[index]
            return ThreadQuestion(
                endpoint: recorded.endpoint, phone: recorded.message.sender.phone?.key,
                accountID: recorded.message.sender.accountID, quotedMessageID: nil, sentAt: recorded.sentAt)
        }
        let routes = try await SenderRoutes.of(questions, on: session.open())
        return .staleRoutes(zip(messages, routes).map { StaleRoute(message: $0, routes: $1) })
    }

    /// Nothing was written, and no route is to blame: our own earlier commit, or somebody else's journal.
    private func refused(_ batch: RecordBatch) async throws(PostgresError) -> RecordResult {
        let connection = try await session.open()
        guard let row = try await connection.query(Self.checkpointStatement, [.int32(batch.journal)]).first else {
            return .fenced(nil)
        }
        let position = JournalPosition(try row.int64(0))
        let isOurs = try row.nullableID(1) == batch.owner
        guard isOurs, position == batch.upTo, batch.after < batch.upTo else {
            return .fenced(Checkpoint(journal: batch.journal, position: position, wasKnown: true))
        }
        return .recorded(try await earlierOutcome(of: batch))
    }

    /// The verdicts of a batch that was committed without our hearing of it.
    private func earlierOutcome(of batch: RecordBatch) async throws(PostgresError) -> RecordOutcome {
        let times = batch.webhooks.map(\.envelope.receivedAt)
        guard let first = times.min(), let last = times.max() else { return RecordOutcome(counts: VerdictCounts()) }
        let row = try await session.open().query(
            Self.verdictsStatement,
            [.int32(batch.journal), .int64(batch.after.value), .int64(batch.upTo.value), .time(first), .time(last)]
        ).one()
        var counts = VerdictCounts()
        counts.routed = Int(try row.int64(0))
        counts.withheld = Int(try row.int64(1))
        counts.held = Int(try row.int64(2))
        counts.unclaimed = Int(try row.int64(3))
        counts.duplicate = Int(try row.int64(4))
        counts.status = Int(try row.int64(5))
        counts.ignored = Int(try row.int64(6))
        counts.parked = Int(try row.int64(7))
        var outcome = RecordOutcome(counts: counts)
        outcome.wasCommittedBefore = true
        outcome.isIdentityNews = true
        return outcome
    }

    private static func request(_ row: PostgresRow) throws(PostgresError) -> RedriveRequest {
        let source = try row.text(3)
        return RedriveRequest(
            id: try row.int64(0), position: JournalPosition(try row.int64(1)), index: Int(try row.int32(2)),
            source: WebhookSource.allCases.first { $0.name == source } ?? .meta, receivedAt: try row.time(4),
            payload: try row.bytes(5))
    }
}

// MARK: Statements

extension PostgresRecorder {
    static let recordStatement = PostgresStatement(
        name: "record_batch", sql: String(decoding: PackageResources.record_batch_sql, as: UTF8.self))

    private static let claimStatement = PostgresStatement(
        name: "claim_journal",
        sql: "SELECT journal_id, position, was_known FROM gateway.claim_journal($1::uuid, $2::uuid, $3::text)")

    private static let checkpointStatement = PostgresStatement(
        name: "checkpoint",
        sql: "SELECT position, owner FROM gateway.journal_checkpoints WHERE journal_id = $1::integer")

    private static let verdictsStatement = PostgresStatement(
        name: "batch_verdicts",
        sql: """
            SELECT coalesce(sum(routed), 0), coalesce(sum(withheld), 0), coalesce(sum(held), 0),
                   coalesce(sum(unclaimed), 0), coalesce(sum(duplicate), 0), coalesce(sum(status_applied), 0),
                   coalesce(sum(ignored), 0), coalesce(sum(parked), 0)
              FROM gateway.webhook_log
             WHERE journal_id = $1::integer AND journal_pos > $2::bigint AND journal_pos <= $3::bigint
               AND received_at BETWEEN $4::timestamptz AND $5::timestamptz
            """)

    private static let markStatement = PostgresStatement(
        name: "redrive_known_endpoints", sql: "SELECT gateway.redrive_known_endpoints()")

    private static let redriveStatement = PostgresStatement(
        name: "redrive_requests",
        sql: """
            SELECT id, journal_pos, idx, source, received_at, payload FROM (
              SELECT u.id, u.journal_pos, u.idx, u.source, u.received_at, p.payload, u.redrive_requested_at, u.journal_id,
                     sum(octet_length(p.payload)) OVER w - octet_length(p.payload) AS before
                FROM (SELECT * FROM gateway.parked_updates WHERE redrive_requested_at IS NOT NULL
                       ORDER BY redrive_requested_at, journal_id, journal_pos, idx LIMIT $1::integer) u
                JOIN gateway.parked_payloads p ON p.hash = u.hash
              WINDOW w AS (ORDER BY u.redrive_requested_at, u.journal_id, u.journal_pos, u.idx)) x
             WHERE before < $2::bigint ORDER BY redrive_requested_at, journal_id, journal_pos, idx
            """)
}

extension PostgresConnection {
    /// Runs the recording statement, in a transaction of its own where it must be one.
    /// - Parameter isRehearsal: everything is undone.
    fileprivate func write(
        _ values: [PostgresValue], _ aliases: RecipientAliases?, isRehearsal: Bool
    ) throws(PostgresError) -> (PostgresRow, RecordOutcome?) {
        guard isRehearsal || aliases != nil else { return try write(values, nil) }
        try begin()
        do throws(PostgresError) {
            let result = try write(values, aliases)
            if isRehearsal || result.1 == nil { rollback() } else { try commit() }
            return result
        } catch {
            rollback()
            throw error
        }
    }

    /// Runs the recording statement, and learns what the statuses teach.
    /// - Returns: its row, and what it came to; `nil` when it refused.
    fileprivate func write(
        _ values: [PostgresValue], _ aliases: RecipientAliases?
    ) throws(PostgresError) -> (PostgresRow, RecordOutcome?) {
        try aliases?.lock(self)
        let row = try query(PostgresRecorder.recordStatement, values).one()
        guard try row.int32(0) == 1 else { return (row, nil) }
        var outcome = try PostgresRecorder.outcome(row)
        try aliases?.learn(self, &outcome)
        return (row, outcome)
    }
}

extension RecorderError {
    /// Runs `body`, and sorts what it throws by whose fault it is.
    static func mapping<Value>(
        _ body: () async throws(PostgresError) -> Value
    ) async throws(RecorderError) -> Value {
        do {
            return try await body()
        } catch {
            throw RecorderError(error)
        }
    }

    /// Data errors: what the client library calls so, a value that is missing where one must be, nesting too deep.
    init(_ error: PostgresError) {
        let isData = error.isDataError || error.sqlState == "23502" || error.sqlState == "54001"
        let isOutdated = error.code == .server && error.sqlState == "40001"
        self =
            if isData {
                .dataRejected(sqlState: error.sqlState ?? "", detail: error.description)
            } else if isOutdated {
                .outdated(error.description)
            } else {
                .unavailable(error.description)
            }
    }
}
