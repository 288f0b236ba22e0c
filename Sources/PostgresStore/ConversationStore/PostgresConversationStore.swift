package import Conversations
package import Messaging
package import PostgresClient

/// Conversations as row security shows them: every call is a transaction with the role `authenticated` and the caller's
/// claims, which end with it.
package struct PostgresConversationStore: ConversationStore {
    private let pool: PostgresPool

    /// - Parameter pool: for landlords' requests alone.
    package init(_ pool: PostgresPool) { self.pool = pool }

    package func conversations(
        for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ConversationSummary> {
        let rows = try await asLandlord(principal) { connection throws(PostgresError) in
            try connection.query(ConversationRows.conversations, Self.parameters(page)).map {
                row throws(PostgresError) in
                try ConversationRows.summary(row)
            }
        }
        return Self.page(rows, page) { PageCursor(at: $0.lastMessageAt, id: $0.id) }
    }

    package func messages(
        in conversation: UniqueID, for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ThreadMessage> {
        let rows = try await asLandlord(principal) { connection throws(PostgresError) -> [ThreadMessage]? in
            guard try !connection.query(ConversationRows.exists, [.id(conversation)]).isEmpty else { return nil }
            let values = Self.parameters(page) + [.id(conversation)]
            return try connection.query(ConversationRows.messages, values).map { row throws(PostgresError) in
                try ConversationRows.message(row)
            }
        }
        guard let rows else { throw .notFound }
        return Self.page(rows, page) { PageCursor(at: $0.sentAt, id: $0.id) }
    }

    package func reply(_ reply: Reply, for principal: Principal) async throws(ConversationError) -> ReplyReceipt {
        let values: [PostgresValue] = [
            .id(reply.conversationID), .id(reply.reference.id), .time(reply.reference.sentAt), .text(reply.text),
            .text(reply.signatureTemplate.template), PostgresValue(reply.quotedMessageID) { .text($0) },
            PostgresValue(reply.idempotency?.key) { .text($0) }, PostgresValue(reply.idempotency?.route) { .text($0) },
            PostgresValue(reply.idempotency?.requestHash) { .bytea($0) },
        ]
        return try await asLandlord(principal) { connection throws(PostgresError) in
            let row = try connection.query(ConversationRows.reply, values).one()
            return ReplyReceipt(message: try ConversationRows.message(row), isReplay: try row.bool(17))
        }
    }

    private func asLandlord<Value: Sendable>(
        _ principal: Principal, _ body: @Sendable (isolated PostgresConnection) throws(PostgresError) -> Value
    ) async throws(ConversationError) -> Value {
        do throws(PostgresError) {
            let identity = TransactionIdentity(role: "authenticated", claimsJSON: principal.claimsJSON)
            return try await pool.withTransaction(as: identity, body)
        } catch {
            throw ConversationError(error)
        }
    }

    /// One row more than asked for tells whether something follows.
    private static func parameters(_ page: PageRequest) -> [PostgresValue] {
        [.int32(Int32(page.limit + 1)), PostgresValue(page.cursor?.at) { .time($0) }, .id(page.cursor?.id)]
    }

    private static func page<Row: Sendable>(
        _ rows: [Row], _ request: PageRequest, _ cursor: (Row) -> PageCursor
    ) -> Page<Row> {
        let items = Array(rows.prefix(request.limit))
        return Page(items: items, next: rows.count > request.limit ? items.last.map(cursor) : nil)
    }
}

extension ConversationError {
    /// The refusals of `gateway.reply`; everything else is a database that cannot serve now.
    init(_ error: PostgresError) {
        switch error.sqlState {
        case "ZR404": self = .notFound
        case "ZR422": self = .idempotencyMismatch
        case "ZR010":
            let last = error.detail.flatMap { Int64($0) }
            self = .windowClosed(lastInboundAt: last.map(Timestamp.init(microseconds:)))
        case "ZR011": self = .cannotSend
        case "ZR012": self = .conversationBlocked
        case "ZR013": self = .recipientOptedOut
        case "ZR014":
            self = .textTooLong(units: error.detail.flatMap { Int($0) } ?? 0, max: OutboundMessage.textLengthMax)
        default: self = .unavailable(error.description)
        }
    }
}
