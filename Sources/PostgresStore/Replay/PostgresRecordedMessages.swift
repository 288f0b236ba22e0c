package import Intake
import Messaging
import PostgresClient
import Routing

/// Reads recorded messages for a replay through rules, by the index of their time, a page at a time.
///
/// What a message tapped is not stored; who answered a question is known by the question that it answered.
package struct PostgresRecordedMessages: RecordedMessages {
    private let session: RecorderSession

    package init(_ session: RecorderSession) { self.session = session }

    package func inbound(
        before place: RecordedPlace?, limit: Int
    ) async throws(RecorderError) -> RecordedMessagesPage {
        // A bound that is always there: one that may be absent keeps the index from being entered at it.
        let place = place ?? RecordedPlace(sentAt: Self.end, id: UniqueID(high: .max, low: .max))
        return try await RecorderError.mapping { () async throws(PostgresError) in
            let rows = try await session.open().query(
                Self.statement,
                [
                    .time(place.sentAt), .id(place.id), .int32(Int32(clamping: limit)), .int32(Self.bodyLengthMax),
                ])
            let last = rows.count < limit ? nil : rows.last
            let next = try last.map { row throws(PostgresError) in
                RecordedPlace(sentAt: try row.time(0), id: try row.id(1))
            }
            return RecordedMessagesPage(
                messages: try rows.map { row throws(PostgresError) in try Self.recorded(row) }, next: next)
        }
    }

    /// Later than any message: the year 9999.
    private static let end = Timestamp(seconds: 253_402_300_799)
    /// Characters of a text that rules are asked about: more words than they look at.
    private static let bodyLengthMax: Int32 = 16_384

    private static func recorded(_ row: PostgresRow) throws(PostgresError) -> RecordedInbound {
        let sender = Sender(
            phone: try row.nullableInt64(8).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
            accountID: try row.nullableText(9))
        var message = InboundMessage(
            endpoint: EndpointReference(
                kind: EndpointKind(rawValue: try row.text(2)) ?? .messenger, providerID: try row.text(3)),
            id: try row.nullableText(4) ?? "", sender: sender, sentAt: try row.time(0), type: try row.text(5),
            body: try row.nullableText(6), quotedMessageID: try row.nullableText(7))
        if let question = try row.nullableID(10), let choice = try row.nullableInt32(11) {
            message.replyPayload = ChoiceToken(question: question, choice: Int(choice)).text
        }
        return RecordedInbound(id: try row.id(1), message: message)
    }

    /// LATERAL: an index probe a row. Messages that an answer released bear its question, too, and were recorded before it.
    static let statement = PostgresStatement(
        name: "recorded_messages",
        sql: """
            SELECT m.sent_at, m.id, coalesce(e.kind, ''), coalesce(e.provider_id, ''), m.wamid, m.message_type,
                   left(m.body, $4::integer), m.context_wamid, m.tenant_phone, a.value, q.id,
                   (m.routing_metadata ->> 'choice')::integer
              FROM (SELECT * FROM gateway.whatsapp_messages x
                     WHERE x.direction = 'incoming' AND x.sent_at <= $1::timestamptz
                       AND (x.sent_at, x.id) < ($1::timestamptz, $2::uuid)
                     ORDER BY x.sent_at DESC, x.id DESC LIMIT $3::integer) m
              LEFT JOIN LATERAL (SELECT * FROM gateway.endpoints x WHERE x.id = m.endpoint_id LIMIT 1) e ON true
              LEFT JOIN LATERAL (SELECT x.person_id FROM gateway.whatsapp_conversations x
                                  WHERE x.id = m.conversation_id LIMIT 1) c ON true
              LEFT JOIN LATERAL (SELECT x.value FROM gateway.identities x
                                  WHERE x.person_id = coalesce(m.person_id, c.person_id) AND x.kind = e.id_kind
                                    AND x.scope = e.id_scope AND x.retired_at IS NULL
                                  ORDER BY x.last_seen DESC, x.id DESC LIMIT 1) a ON true
              LEFT JOIN LATERAL (SELECT x.id FROM gateway.questions x
                                  WHERE x.id = (m.routing_metadata ->> 'question')::uuid
                                    AND m.recorded_at >= x.answered_at LIMIT 1) q ON true
             ORDER BY m.sent_at DESC, m.id DESC
            """)
}
