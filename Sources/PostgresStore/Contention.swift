import PostgresClient

extension PostgresError {
    /// The server undid a transaction because of another beside it: the same again finds what the other did.
    var isContention: Bool { code == .server && (sqlState == "40001" || sqlState == "40P01") }
}

/// Transactions that lock people and threads may be undone for another's sake: a person was absorbed meanwhile
/// (SQLSTATE 40001), or two waited for each other (40P01).
enum Contention {
    /// Times a transaction is tried before its caller hears of it.
    static let attemptsMax = 5

    /// Runs a transaction that leaves nothing behind when it fails, again at once while another undoes it.
    static func repeating<Value>(
        _ transaction: () async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        for _ in 1..<attemptsMax {
            do {
                return try await transaction()
            } catch  where error.isContention {
                continue
            }
        }
        return try await transaction()
    }
}
