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
    }

    static func of(
        _ questions: [ThreadQuestion], on connection: PostgresConnection
    ) async throws(PostgresError) -> [[Route]] {
        try await of(
            questions.map { Sender(endpointID: $0.endpoint.id, phone: $0.phone, accountID: $0.accountID) },
            on: connection)
    }

    static func of(
        _ senders: [Sender], on connection: PostgresConnection
    ) async throws(PostgresError) -> [[Route]] {
        var number = PostgresArrayBuilder(.int4)
        var endpoint = PostgresArrayBuilder(.uuid)
        var phoneKey = PostgresArrayBuilder(.int8)
        var account = PostgresArrayBuilder(.text)
        for (index, sender) in senders.enumerated() {
            number.append(int32: Int32(index))
            endpoint.append(id: sender.endpointID)
            phoneKey.append(int64: sender.phone.map { Int64(clamping: $0.value) })
            account.append(text: sender.accountID)
        }
        let rows = try await connection.query(
            statement, [number.value, endpoint.value, phoneKey.value, account.value])
        var answers = [[Route]](repeating: [], count: senders.count)
        for row in rows { answers[Int(try row.int32(0))].append(try route(row)) }
        return answers
    }

    private static func route(_ row: PostgresRow) throws(PostgresError) -> Route {
        Route(
            key: PhoneKey(folded: UInt64(clamping: try row.int64(1))), landlordID: try row.id(2),
            tenantID: try row.id(3), leaseID: try row.id(4), propertyID: try row.nullableID(5),
            validFrom: try row.nullableDay(6), validUntil: try row.nullableDay(7), isActive: try row.bool(8),
            learntAt: try row.time(9))
    }

    /// A lease may begin or end at an infinity, which is no day of ours: it becomes one far away.
    private static let statement = PostgresStatement(
        name: "sender_routes",
        sql: """
            SELECT n, phone_key, landlord_id, tenant_id, lease_id, property_id,
                   CASE WHEN valid_from IS NOT NULL THEN least(greatest(valid_from, '0001-01-01'), '9999-12-31') END,
                   CASE WHEN valid_until IS NOT NULL THEN least(greatest(valid_until, '0001-01-01'), '9999-12-31') END,
                   is_active, learnt_at
              FROM gateway.sender_routes($1::integer[], $2::uuid[], $3::bigint[], $4::text[])
            """)
}
