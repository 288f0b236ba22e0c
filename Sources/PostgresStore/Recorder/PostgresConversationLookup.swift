package import Intake
import Messaging
import PostgresClient
package import Routing

/// Answers a batch's questions about senders and leases with one query each, on the recorder's connection: intake asks,
/// then records; or it asks between two steps, and sees the ones before.
package struct PostgresConversationLookup: ConversationLookup {
    private let session: RecorderSession

    package init(_ session: RecorderSession) { self.session = session }

    package func facts(for questions: [ThreadQuestion]) async throws(RecorderError) -> [SenderFacts] {
        guard !questions.isEmpty else { return [] }
        return try await RecorderError.mapping { () async throws(PostgresError) in
            let rows = try await session.open().query(Self.statement, Self.parameters(questions))
            var answers = [SenderFacts](repeating: SenderFacts(), count: questions.count)
            for row in rows { try Self.add(row, to: &answers[Int(try row.int32(0))]) }
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
        var asked = PostgresArrayBuilder(.uuid)
        var sentAt = PostgresArrayBuilder(.timestamptz)
        for (index, question) in questions.enumerated() {
            number.append(int32: Int32(index))
            endpoint.append(id: question.endpoint.id)
            phoneKey.append(int64: question.phone.map { Int64(clamping: $0.value) })
            account.append(text: question.accountID)
            quoted.append(text: question.quotedMessageID)
            asked.append(id: question.questionID)
            sentAt.append(time: question.sentAt)
        }
        return [
            number.value, endpoint.value, phoneKey.value, account.value, quoted.value, asked.value, sentAt.value,
        ]
    }

    /// A thread, or a choice of a question; those of a question follow each other in their order.
    private static func add(_ row: PostgresRow, to facts: inout SenderFacts) throws(PostgresError) {
        guard let question = try row.nullableID(8) else {
            facts.threads.append(try thread(row))
            return
        }
        let choice = AskedQuestion.Choice(
            landlordID: try row.id(3), conversationID: try row.nullableID(2),
            label: ChoiceLabel(property: try row.nullableText(11), landlord: try row.nullableText(12)))
        if facts.questions.last?.id == question {
            facts.questions[facts.questions.count - 1].choices.append(choice)
        } else {
            facts.questions.append(AskedQuestion(id: question, isOpen: try row.bool(9), choices: [choice]))
        }
    }

    private static func thread(_ row: PostgresRow) throws(PostgresError) -> ThreadReference {
        ThreadReference(
            conversationID: try row.id(2), landlordID: try row.id(3), tenantID: try row.nullableID(4),
            propertyID: try row.nullableID(5), isQuoted: try row.bool(1), lastMessageAt: try row.nullableTime(6),
            lastOutboundAt: try row.nullableTime(7), isArchived: try row.bool(10))
    }

    private static let statement = PostgresStatement(
        name: "ladder_facts",
        sql: """
            SELECT n, is_quoted, conversation_id, landlord_id, tenant_id, property_id, last_message_at, last_outbound_at,
                   question_id, is_open, is_archived, shown_property, shown_landlord
              FROM gateway.ladder_facts($1::integer[], $2::uuid[], $3::bigint[], $4::text[], $5::text[], $6::uuid[],
                $7::timestamptz[])
             ORDER BY n, question_id, choice, last_message_at DESC, conversation_id
            """)
}
