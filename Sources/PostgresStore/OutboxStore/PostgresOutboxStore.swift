package import Delivery
import Messaging
package import PostgresClient

/// The outbox in PostgreSQL. Claims skip what another worker holds; a hint on the channel `gateway_outbox` tells of new
/// jobs.
package final class PostgresOutboxStore: OutboxStore {
    private let pool: PostgresPool
    private let hints: OutboxHints

    /// - Parameter connectionsMax: calls at once; one more connection listens.
    package init(_ configuration: PostgresConfiguration, connectionsMax: Int = 4) {
        hints = OutboxHints(configuration)
        pool = PostgresPool(configuration, limits: .init(connectionsMax: connectionsMax))
    }

    package func claim(kind: OutboxKind, worker: String, limit: Int, leaseSeconds: Int) async throws -> [OutboxJob] {
        let values: [PostgresValue] = [
            .text(kind.rawValue), .text(worker), .int32(Int32(clamping: limit)), .int32(Int32(clamping: leaseSeconds)),
        ]
        return try await pool.withConnection { connection async throws(PostgresError) in
            try await connection.query(Self.claimStatement, values).map { row throws(PostgresError) in try Self.job(row)
            }
        }
    }

    package func accepted(_ job: OutboxJob, providerID: String) async throws {
        try await call(
            Self.acceptedStatement,
            [.int64(job.id), .int16(Int16(clamping: job.attempt)), PostgresValue.reason(providerID)])
    }

    package func refused(_ job: OutboxJob, code: Int32?, error: String, retryAfterMilliseconds: Int64?) async throws {
        try await call(
            Self.failStatement,
            [
                .int64(job.id), .int16(Int16(clamping: job.attempt)), PostgresValue.reason(error),
                .int64(retryAfterMilliseconds ?? 0),
                .bool(retryAfterMilliseconds == nil), PostgresValue(code) { .int32($0) },
            ])
    }

    package func uncertain(_ job: OutboxJob, error: String) async throws {
        try await call(
            Self.uncertainStatement,
            [.int64(job.id), .int16(Int16(clamping: job.attempt)), PostgresValue.reason(error)])
    }

    package func sweep() async throws -> Int {
        try await pool.withConnection { connection async throws(PostgresError) in
            Int(try await connection.query("SELECT gateway.outbox_sweep()").one().int32(0))
        }
    }

    package func jobsAvailable(atMostSeconds seconds: Int) async { await hints.next(atMostSeconds: seconds) }

    private func call(_ statement: PostgresStatement, _ values: [PostgresValue]) async throws {
        try await pool.withConnection { connection async throws(PostgresError) in
            _ = try await connection.query(statement, values)
        }
    }

    private static func job(_ row: PostgresRow) throws(PostgresError) -> OutboxJob {
        OutboxJob(
            id: try row.int64(0), attempt: Int(try row.int32(1)), attemptsMax: Int(try row.int32(2)),
            message: try message(row),
            permission: try row.nullableText(11) ?? "ok")
    }

    /// `nil` when something is missing that a send needs.
    private static func message(_ row: PostgresRow) throws(PostgresError) -> OutboundMessage? {
        guard let id = try row.nullableID(3), let sentAt = try row.nullableTime(4),
            let kind = try row.nullableText(5).flatMap(EndpointKind.init(rawValue:)),
            let provider = try row.nullableText(6),
            let text = try row.nullableText(9)
        else { return nil }
        let phone = try row.nullableInt64(7).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) }
        let account = try row.nullableText(8)
        guard let recipient = phone.map(Recipient.phone) ?? account.map(Recipient.accountID) else { return nil }
        return OutboundMessage(
            reference: MessageReference(id: id, sentAt: sentAt),
            endpoint: EndpointReference(kind: kind, providerID: provider),
            recipient: recipient, text: text, form: try form(row, text: text),
            quotedMessageID: try row.nullableText(10))
    }

    private static func form(_ row: PostgresRow, text: String) throws(PostgresError) -> OutboundMessage.Form {
        if let name = try row.nullableText(12) {
            return .template(name: name, language: try row.nullableText(13) ?? "en")
        }
        guard let question = try row.nullableID(14), let labels = try row.nullableText(17) else { return .text }
        let wording = QuestionWording(
            text: text, button: try row.nullableText(15) ?? QuestionWording.standard.button,
            numberHint: try row.nullableText(16) ?? QuestionWording.standard.numberHint)
        return .question(
            QuestionForm(
                wording, question: question,
                labels: labels.split(separator: "\u{1E}", omittingEmptySubsequences: false).map(label)))
    }

    private static func label(_ text: Substring) -> ChoiceLabel {
        let parts = text.split(separator: "\u{1F}", maxSplits: 1, omittingEmptySubsequences: false)
        return ChoiceLabel(property: String(parts[0]), landlord: parts.count > 1 ? String(parts[1]) : nil)
    }
}

extension PostgresOutboxStore {
    private static let claimStatement = PostgresStatement(
        name: "outbox_claim",
        sql: """
            SELECT id, attempt::integer, max_attempts::integer, message_id, sent_at, endpoint_kind,
                   endpoint_provider_id, recipient_phone, recipient_account, text, quoted_wamid, permission, template,
                   language, question, button, hint, labels
              FROM gateway.claim_sends($1::text, $2::text, $3::integer, make_interval(secs => $4::integer))
            """)
    private static let acceptedStatement = PostgresStatement(
        name: "outbox_accepted", sql: "SELECT gateway.outbox_accepted($1::bigint, $2::smallint, $3::text)")
    private static let failStatement = PostgresStatement(
        name: "outbox_fail",
        sql: """
            SELECT gateway.outbox_fail($1::bigint, $2::smallint, $3::text, $4::bigint * interval '1 millisecond',
                                       $5::boolean, $6::integer)
            """)
    private static let uncertainStatement = PostgresStatement(
        name: "outbox_uncertain", sql: "SELECT gateway.outbox_uncertain($1::bigint, $2::smallint, $3::text)")
}

extension PostgresValue {
    /// Why a job failed. What came over the network must not keep an outcome from being recorded: PostgreSQL holds no
    /// U+0000.
    static func reason(_ text: String) -> PostgresValue {
        let lengthMax = 2000
        return .text(String(String.UnicodeScalarView(text.unicodeScalars.prefix(lengthMax).filter { $0 != "\0" })))
    }
}
