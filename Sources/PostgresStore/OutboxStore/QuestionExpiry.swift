package import Messaging
package import PostgresClient

/// Questions that nobody answered in time are closed; their messages go where the rules say, or go on waiting.
package struct QuestionExpiry: Sendable {
    private let pool: PostgresPool

    package init(_ pool: PostgresPool) { self.pool = pool }

    package struct Outcome: Hashable, Sendable {
        package var expired = 0
        /// Messages that went to the landlord named.
        package var released = 0

        package init(expired: Int = 0, released: Int = 0) {
            self.expired = expired
            self.released = released
        }
    }

    /// - Parameter landlord: who gets the messages of a sender who is a tenant of theirs still; `nil` = they wait.
    package func run(assigningTo landlord: UniqueID?) async throws(PostgresError) -> Outcome {
        try await pool.withConnection { connection async throws(PostgresError) in
            let row = try await connection.query(Self.statement, [.id(landlord)]).one()
            return Outcome(expired: Int(try row.int32(0)), released: Int(try row.int32(1)))
        }
    }

    private static let statement = PostgresStatement(
        name: "expire_questions", sql: "SELECT expired, released FROM gateway.expire_questions($1::uuid)")
}
