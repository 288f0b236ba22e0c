package import Messaging
package import PostgresClient

extension PostgresInbox {
    /// Two people who may be one: for a human to decide.
    package struct Conflict: Sendable {
        package struct Person: Sendable {
            package let id: UniqueID
            /// Numbers they have now.
            package let phones: [PhoneNumber]
            /// Account ids they have now.
            package let accounts: [(kind: String, value: String)]
            package let threads: Int
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
        try await connection.query(Self.conflicts, [.int32(Int32(clamping: limit))]).map { row throws(PostgresError) in
            Conflict(
                id: try row.id(0), reason: try row.text(1), times: Int(try row.int32(2)), createdAt: try row.time(3),
                personA: try Self.person(row, from: 4), personB: try Self.person(row, from: 7))
        }
    }

    /// Settles a conflict: the two are one person from now on, or stay two for good. With an audit line.
    package func close(
        conflict: UniqueID, merging isMerge: Bool, actor: String
    ) async throws(PostgresError) {
        _ = try await connection.query(
            "SELECT gateway.inbox_close_conflict($1::uuid, $2::boolean, $3::text)::text",
            [.id(conflict), .bool(isMerge), .text(actor)])
    }

    /// Identities come as `kind:value`, separated by line feeds.
    private static func person(_ row: PostgresRow, from column: Int) throws(PostgresError) -> Conflict.Person {
        var phones: [PhoneNumber] = []
        var accounts: [(kind: String, value: String)] = []
        for line in try row.nullableText(column + 1)?.split(separator: "\n") ?? [] {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let (kind, value) = (line[..<colon], line[line.index(after: colon)...])
            if kind == "phone", let phone = UInt64(value).flatMap({ PhoneNumber(digits: $0) }) {
                phones.append(phone)
            } else {
                accounts.append((String(kind), String(value)))
            }
        }
        return Conflict.Person(
            id: try row.id(column), phones: phones, accounts: accounts, threads: Int(try row.int64(column + 2)))
    }

    private static let conflicts: String = {
        func person(_ name: String) -> String {
            """
            c.\(name), (SELECT string_agg(i.kind || ':' || i.value, E'\\n' ORDER BY i.kind, i.id) FROM gateway.identities i
                          WHERE i.person_id = c.\(name) AND i.retired_at IS NULL AND i.kind <> 'username'),
                   (SELECT count(*) FROM gateway.whatsapp_conversations w WHERE w.person_id = c.\(name))
            """
        }
        return """
            SELECT c.id, c.reason, c.times, c.created_at, \(person("person_a")),
                   \(person("person_b"))
              FROM gateway.identity_conflicts c WHERE c.status = 'open'
             ORDER BY c.created_at DESC, c.id DESC LIMIT $1::integer
            """
    }()
}
