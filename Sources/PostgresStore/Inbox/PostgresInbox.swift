package import Messaging
package import PostgresClient

/// What waits for an administrator: held and unclaimed messages, parked updates, people in doubt.
package struct PostgresInbox: Sendable {
    let connection: PostgresConnection

    package init(_ connection: PostgresConnection) { self.connection = connection }

    /// Why a message waits.
    package enum Waiting: String, Sendable {
        /// Several landlords could be meant.
        case held = "ambiguous"
        /// Nobody has this sender.
        case unclaimed = "unknown_sender"
    }

    /// A waiting message. Its text is shown to nobody here.
    package struct Message: Sendable {
        package let id: UniqueID
        package let sentAt: Timestamp
        package let phone: PhoneNumber?
        package let accountID: String?
        package let type: String
        /// The landlords it could be for, as JSON: `[{landlord, tenant, lease, landlord_name, …}]`.
        package let candidatesJSON: String?
    }

    package struct Parked: Sendable {
        package let id: Int64
        package let reason: String
        package let detail: String?
        package let source: String
        package let receivedAt: Timestamp
        package let times: Int
        package let attempts: Int
    }

    package func messages(_ waiting: Waiting, limit: Int) async throws(PostgresError) -> [Message] {
        try await connection.query(
            """
            SELECT id, sent_at, phone, account_id, message_type, candidates::text
              FROM gateway.inbox_messages($1::text, $2::integer)
            """, [.text(waiting.rawValue), .int32(Int32(clamping: limit))]
        ).map { row throws(PostgresError) in
            Message(
                id: try row.id(0), sentAt: try row.time(1),
                phone: try row.nullableInt64(2).flatMap { PhoneNumber(digits: UInt64(clamping: $0)) },
                accountID: try row.nullableText(3), type: try row.text(4), candidatesJSON: try row.nullableText(5))
        }
    }

    package func parked(limit: Int) async throws(PostgresError) -> [Parked] {
        try await connection.query(
            """
            SELECT id, reason, detail, source, received_at, times, attempts FROM gateway.parked_updates
             ORDER BY last_seen DESC, id DESC LIMIT $1::integer
            """, [.int32(Int32(clamping: limit))]
        ).map { row throws(PostgresError) in
            Parked(
                id: try row.int64(0), reason: try row.text(1), detail: try row.nullableText(2), source: try row.text(3),
                receivedAt: try row.time(4), times: Int(try row.int32(5)), attempts: Int(try row.int32(6)))
        }
    }

    /// All that this message's sender has waiting at that endpoint goes to a landlord. With an audit line.
    /// - Returns: how many messages moved.
    package func assign(
        message: UniqueID, landlord: UniqueID, tenant: UniqueID?, actor: String
    ) async throws(PostgresError) -> Int {
        try await Contention.repeating { () async throws(PostgresError) in
            Int(
                try await connection.query(
                    "SELECT gateway.inbox_assign($1::uuid, $2::uuid, $3::uuid, $4::text)",
                    [.id(message), .id(landlord), .id(tenant), .text(actor)]
                ).one().int32(0))
        }
    }

    /// Moves one message of a tenant into the thread of one of their leases. With an audit line.
    /// - Returns: `false` when it is there already.
    package func reassign(message: UniqueID, lease: UniqueID, actor: String) async throws(PostgresError) -> Bool {
        try await connection.query(
            "SELECT gateway.inbox_reassign($1::uuid, $2::uuid, $3::text)", [.id(message), .id(lease), .text(actor)]
        ).one().bool(0)
    }

    /// Asks the running gateway to try parked updates again.
    /// - Parameter ids: `nil` = all.
    /// - Returns: how many were asked for.
    package func redrive(_ ids: [Int64]?, actor: String) async throws(PostgresError) -> Int {
        var array = PostgresArrayBuilder(.int8)
        for id in ids ?? [] { array.append(int64: id) }
        let all = "ARRAY(SELECT id FROM gateway.parked_updates)"
        return Int(
            try await connection.query(
                "SELECT gateway.inbox_redrive(CASE WHEN $3::boolean THEN \(all) ELSE $1::bigint[] END, $2::text)",
                [array.value, .text(actor), .bool(ids == nil)]
            ).one().int32(0))
    }
}
