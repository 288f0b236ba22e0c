import Conversations
import Messaging
import PostgresClient

/// What landlords are shown, column by column.
enum ConversationRows {
    /// $1 limit, $2 and $3 where the last page ended. The window belongs to the person and the number, so it may have
    /// been opened by an exchange the landlord cannot see: a function of the database answers for the page's threads.
    static let conversations = PostgresStatement(
        name: "conversations",
        sql: """
            WITH page AS MATERIALIZED (
              SELECT * FROM gateway.whatsapp_conversations
               WHERE landlord_id = (SELECT auth.uid())
                 AND ($2::timestamptz IS NULL OR (last_message_at, id) < ($2::timestamptz, $3::uuid))
               ORDER BY last_message_at DESC, id DESC LIMIT $1::integer)
            SELECT c.id, c.tenant_id, r.tenant_name, c.tenant_phone::bigint, c.property_id, r.property_address,
                   c.channel::text, c.status, c.unread_count, c.last_message_at,
                   CASE WHEN w.open_until > now() THEN w.open_until END, c.priority,
                   array_to_string(c.tags, E'\\x1F')
              FROM page c
              LEFT JOIN gateway.conversation_windows(ARRAY(SELECT id FROM page)) w ON w.conversation_id = c.id
              LEFT JOIN LATERAL (
                SELECT x.tenant_name, x.property_address FROM gateway.routes x
                 WHERE x.tenant_id = c.tenant_id AND x.landlord_id = c.landlord_id
                 ORDER BY (x.property_id IS NOT DISTINCT FROM c.property_id) DESC, x.valid_from DESC NULLS LAST,
                          x.lease_id
                 LIMIT 1) r ON true
             ORDER BY c.last_message_at DESC, c.id DESC
            """)

    static let exists = PostgresStatement(
        name: "conversation_exists",
        sql: "SELECT 1 FROM gateway.whatsapp_conversations WHERE id = $1::uuid AND landlord_id = (SELECT auth.uid())")

    private static let messageColumns = """
        id, conversation_id, direction, message_type, body, landlord_signature, context_wamid, wamid, status::text,
               routing_status::text, outcome, error_code, error_detail, sent_at, delivered_at, read_at, failed_at
        """

    /// $1 limit, $2 and $3 where the last page ended, $4 conversation. The bare comparison of `sent_at` lets the months
    /// after it be left out.
    static let messages = PostgresStatement(
        name: "thread_messages",
        sql: """
            SELECT \(messageColumns)
              FROM gateway.whatsapp_messages
             WHERE conversation_id = $4::uuid AND landlord_id = (SELECT auth.uid())
               AND sent_at <= coalesce($2::timestamptz, 'infinity')
               AND ($2::timestamptz IS NULL OR (sent_at, id) < ($2::timestamptz, $3::uuid))
             ORDER BY sent_at DESC, id DESC LIMIT $1::integer
            """)

    static let reply = PostgresStatement(
        name: "reply",
        sql: """
            SELECT \(messageColumns), is_replay
              FROM gateway.reply($1::uuid, $2::uuid, $3::timestamptz, $4::text, $5::text, $6::text, $7::text, $8::text,
                                 $9::bytea)
            """)

    static func summary(_ row: PostgresRow) throws(PostgresError) -> ConversationSummary {
        ConversationSummary(
            id: try row.id(0), tenantID: try row.nullableID(1), tenantName: try row.nullableText(2),
            tenantPhone: try row.nullableInt64(3).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
            propertyID: try row.nullableID(4), propertyAddress: try row.nullableText(5), channel: try row.text(6),
            status: try row.text(7), unreadCount: Int(try row.int32(8)), lastMessageAt: try row.time(9),
            windowOpenUntil: try row.nullableTime(10),
            tags: try row.text(12).split(separator: "\u{1F}").map(String.init), priority: try row.text(11))
    }

    static func message(_ row: PostgresRow) throws(PostgresError) -> ThreadMessage {
        ThreadMessage(
            id: try row.id(0), conversationID: try row.id(1), direction: try row.text(2), type: try row.text(3),
            body: try row.nullableText(4), signature: try row.nullableText(5), quotedMessageID: try row.nullableText(6),
            providerID: try row.nullableText(7), status: try row.text(8), routingStatus: try row.text(9),
            outcome: try row.nullableText(10), errorCode: try row.nullableInt32(11),
            errorDetail: try row.nullableText(12),
            sentAt: try row.time(13), deliveredAt: try row.nullableTime(14), readAt: try row.nullableTime(15),
            failedAt: try row.nullableTime(16))
    }
}
