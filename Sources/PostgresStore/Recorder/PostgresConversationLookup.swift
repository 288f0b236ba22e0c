package import Intake
import Messaging
import PostgresClient
package import Routing

/// Answers a batch's questions about threads and leases with one query each, on the recorder's connection: intake asks,
/// then records; or it asks between two steps, and sees the ones before.
package struct PostgresConversationLookup: ConversationLookup {
    private let session: RecorderSession

    package init(_ session: RecorderSession) { self.session = session }

    package func threads(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[ThreadReference]] {
        guard !questions.isEmpty else { return [] }
        return try await RecorderError.mapping { () async throws(PostgresError) in
            let rows = try await session.open().query(Self.statement, Self.parameters(questions))
            var answers = [[ThreadReference]](repeating: [], count: questions.count)
            for row in rows { answers[Int(try row.int32(0))].append(try Self.thread(row)) }
            return answers
        }
    }

    package func routes(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[Route]] {
        guard !questions.isEmpty else { return [] }
        return try await RecorderError.mapping { () async throws(PostgresError) in
            try await SenderRoutes.of(questions, on: session.open())
        }
    }

    private static func parameters(_ questions: [ThreadQuestion]) -> [PostgresValue] {
        var number = PostgresArrayBuilder(.int4)
        var endpoint = PostgresArrayBuilder(.uuid)
        var phoneKey = PostgresArrayBuilder(.int8)
        var account = PostgresArrayBuilder(.text)
        var quoted = PostgresArrayBuilder(.text)
        for (index, question) in questions.enumerated() {
            number.append(int32: Int32(index))
            endpoint.append(id: question.endpoint.id)
            phoneKey.append(int64: question.phone.map { Int64(clamping: $0.value) })
            account.append(text: question.accountID)
            quoted.append(text: question.quotedMessageID)
        }
        return [number.value, endpoint.value, phoneKey.value, account.value, quoted.value]
    }

    private static func thread(_ row: PostgresRow) throws(PostgresError) -> ThreadReference {
        ThreadReference(
            conversationID: try row.id(2), landlordID: try row.id(3), tenantID: try row.nullableID(4),
            propertyID: try row.nullableID(5), isQuoted: try row.bool(1), lastMessageAt: try row.nullableTime(6),
            lastOutboundAt: try row.nullableTime(7))
    }

    private static let statement = PostgresStatement(
        name: "ladder_lookup",
        sql: """
            SELECT n, is_quoted, conversation_id, landlord_id, tenant_id, property_id, last_message_at, last_outbound_at
              FROM gateway.ladder_lookup($1::integer[], $2::uuid[], $3::bigint[], $4::text[], $5::text[])
             ORDER BY n, last_message_at DESC, conversation_id
            """)
}
