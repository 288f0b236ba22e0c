package import Messaging
package import PostgresClient

extension PostgresInbox {
    /// Two people who may be one: for a human to decide.
    package struct Conflict: Sendable {
        package struct Person: Sendable {
            package let id: UniqueID
            /// Numbers they have now, masked.
            package let phones: [String]
            /// How many account ids they have now.
            package let accounts: Int
            /// The names of the landlords they have threads with.
            package let landlords: [String]
        }

        package let id: UniqueID
        package let reason: String
        /// How often the two were seen together.
        package let times: Int
        package let createdAt: Timestamp
        package let personA: Person
        package let personB: Person
    }

    /// Those that are open, newest first.
    package func conflicts(limit: Int) async throws(PostgresError) -> [Conflict] {
        try await connection.query(
            """
            SELECT id, reason, times, created_at,
                   person_a, array_to_string(phones_a, chr(31)), accounts_a, array_to_string(landlords_a, chr(31)),
                   person_b, array_to_string(phones_b, chr(31)), accounts_b, array_to_string(landlords_b, chr(31))
              FROM gateway.open_conflicts($1::integer)
            """, [.int32(Int32(clamping: limit))]
        ).map { row throws(PostgresError) in
            Conflict(
                id: try row.id(0), reason: try row.text(1), times: Int(try row.int32(2)), createdAt: try row.time(3),
                personA: try Self.person(row, from: 4), personB: try Self.person(row, from: 8))
        }
    }

    /// Settles a conflict: the two are one person from now on, or stay two for good. With an audit line.
    package func close(
        conflict: UniqueID, merging isMerge: Bool, actor: String
    ) async throws(PostgresError) {
        _ = try await Contention.repeating { () async throws(PostgresError) in
            try await connection.query(
                "SELECT gateway.inbox_close_conflict($1::uuid, $2::boolean, $3::text)::text",
                [.id(conflict), .bool(isMerge), .text(actor)])
        }
    }

    private static func person(_ row: PostgresRow, from column: Int) throws(PostgresError) -> Conflict.Person {
        func list(_ text: String) -> [String] { text.split(separator: "\u{1F}").map(String.init) }
        return Conflict.Person(
            id: try row.id(column), phones: list(try row.text(column + 1)), accounts: Int(try row.int32(column + 2)),
            landlords: list(try row.text(column + 3)))
    }
}
