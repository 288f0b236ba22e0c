package import Messaging
package import PostgresClient

extension PostgresInbox {
    /// Something a rule wants somebody to take up, or ordered in vain.
    package struct Notice: Sendable {
        package let id: UniqueID
        package let at: Timestamp
        package let rule: String
        /// `notify`; `forward` to an endpoint and `send_notice` to one, where they failed.
        package let action: String
        /// The subject, or the endpoint's name.
        package let value: String?
        package let messageID: UniqueID
        package let landlordID: UniqueID?
        package let landlordName: String?
        package let phone: PhoneNumber?
        /// Why the endpoint was not told, for what it should have been.
        package let failure: String?
    }

    /// Newest first.
    package func notices(limit: Int) async throws(PostgresError) -> [Notice] {
        try await connection.query(
            """
            SELECT id, at, rule, action, value, message_id, landlord_id, landlord_name, phone, failure
              FROM gateway.rule_notices($1::integer)
            """, [.int32(Int32(clamping: limit))]
        ).map { row throws(PostgresError) in
            Notice(
                id: try row.id(0), at: try row.time(1), rule: try row.text(2), action: try row.text(3),
                value: try row.nullableText(4), messageID: try row.id(5), landlordID: try row.nullableID(6),
                landlordName: try row.nullableText(7),
                phone: try row.nullableInt64(8).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
                failure: try row.nullableText(9))
        }
    }

    /// Takes notices off the list, with an audit line.
    /// - Returns: how many were on it.
    package func close(notices ids: [UniqueID], actor: String) async throws(PostgresError) -> Int {
        var array = PostgresArrayBuilder(.uuid)
        for id in ids { array.append(id: id) }
        return Int(
            try await connection.query(
                "SELECT gateway.close_notices($1::uuid[], $2::text)", [array.value, .text(actor)]
            ).one().int32(0))
    }
}
