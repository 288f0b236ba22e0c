import Intake
import Messaging
import PostgresClient
import Routing

/// All leases that may be a sender's, as the database knows it now.
enum SenderRoutes {
    /// What a sender is known by on an endpoint.
    struct Sender: Sendable {
        var endpointID: UniqueID
        var phone: PhoneKey?
        var accountID: String?
        /// When the number was shown.
        var sentAt: Timestamp?
    }

    static func of(
        _ questions: [ThreadQuestion], on connection: PostgresConnection
    ) async throws(PostgresError) -> [[Route]] {
        try await of(
            questions.map {
                Sender(endpointID: $0.endpoint.id, phone: $0.phone, accountID: $0.accountID, sentAt: $0.sentAt)
            },
            on: connection)
    }

    static func of(
        _ senders: [Sender], on connection: PostgresConnection
    ) async throws(PostgresError) -> [[Route]] {
        var number = PostgresArrayBuilder(.int4)
        var endpoint = PostgresArrayBuilder(.uuid)
        var phoneKey = PostgresArrayBuilder(.int8)
        var account = PostgresArrayBuilder(.text)
        var sentAt = PostgresArrayBuilder(.timestamptz)
        for (index, sender) in senders.enumerated() {
            number.append(int32: Int32(index))
            endpoint.append(id: sender.endpointID)
            phoneKey.append(int64: sender.phone.map { Int64(clamping: $0.value) })
            account.append(text: sender.accountID)
            sentAt.append(time: sender.sentAt)
        }
        let rows = try await connection.query(
            statement, [number.value, endpoint.value, phoneKey.value, account.value, sentAt.value])
        var answers = [[Route]](repeating: [], count: senders.count)
        for row in rows { answers[Int(try row.int32(0))].append(try route(row)) }
        return answers
    }

    private static func route(_ row: PostgresRow) throws(PostgresError) -> Route {
        Route(
            key: PhoneKey(folded: UInt64(clamping: try row.int64(1))), landlordID: try row.id(2),
            propertyID: try row.nullableID(3), validFrom: try row.nullableDay(4), validUntil: try row.nullableDay(5),
            isActive: try row.bool(6), learntAt: try row.time(7))
    }

    /// A lease may begin or end at an infinity, which is no day of ours: it becomes one far away.
    private static let statement = PostgresStatement(
        name: "sender_routes",
        sql: """
            SELECT r.n, r.phone_key, r.landlord_id, r.property_id,
                   CASE WHEN r.valid_from IS NOT NULL
                        THEN least(greatest(r.valid_from, '0001-01-01'), '9999-12-31') END,
                   CASE WHEN r.valid_until IS NOT NULL
                        THEN least(greatest(r.valid_until, '0001-01-01'), '9999-12-31') END,
                   r.is_active, r.learnt_at
              FROM gateway.sender_routes(
                     $1::integer[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[]) r
            """)
}
