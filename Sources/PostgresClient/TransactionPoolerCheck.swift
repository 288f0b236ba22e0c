extension PostgresConfiguration {
    /// Finds out whether a pooler in transaction mode stands between us and the server. LISTEN, prepared statements and
    /// session settings do not survive one.
    ///
    /// Two sessions look at which server process they talk to, one of them inside a transaction: with a direct
    /// connection each keeps its own; through such a pooler the second gets the first one's, and the first another.
    /// - Throws: `PostgresError.Code.transactionPooler`, with the cure; or why no connection could be made.
    package func checkForTransactionPooler() async throws(PostgresError) {
        let first: PostgresConnection
        let second: PostgresConnection
        let pooled: Bool
        do throws(PostgresError) {
            first = try await PostgresConnection.connect(self)
            second = try await PostgresConnection.connect(self)
            let before = try await first.serverProcess()
            try await second.begin()
            let other = try await second.serverProcess()
            let after = try await first.serverProcess()
            await second.rollback()
            pooled = before == other || before != after
        } catch  where Self.isPoolersAnswer(error) {
            throw Self.pooler
        }
        await first.close()
        await second.close()
        if pooled { throw Self.pooler }
    }

    /// A prepared statement that is not there any more, a transaction that is not allowed: no server says that here.
    private static func isPoolersAnswer(_ error: PostgresError) -> Bool {
        ["26000", "08P01"].contains(error.sqlState) || error.message.contains("unsupported startup parameter")
    }

    private static var pooler: PostgresError {
        PostgresError(
            .transactionPooler,
            "the database is reached through a pooler in transaction mode, which loses what a session holds",
            hint: "set DATABASE_URL to the server itself or the pooler's session mode; on Supabase port 5432, not 6543")
    }
}

extension PostgresConnection {
    fileprivate func serverProcess() throws(PostgresError) -> Int32 {
        try query("SELECT pg_backend_pid()").one().int32(0)
    }
}
