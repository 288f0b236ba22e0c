/// Why something with PostgreSQL failed.
///
/// `description` holds what the server calls the primary message and its hint, never its DETAIL, for that may show the
/// values of a row; of data errors (class 22) even the quoted parts of the message are left out.
package struct PostgresError: Error, Sendable, Hashable {
    package enum Code: String, Sendable, Hashable, CaseIterable {
        /// No connection could be made.
        case connectFailed = "connect_failed"
        /// The connection broke, or no answer came in time. What was under way may or may not have happened.
        case connectionLost = "connection_lost"
        /// The server refused a statement; `sqlState` says why. The connection is usable.
        case server
        /// The answer is not what was asked for: another type, a NULL, a missing column, no row.
        case unexpectedResult = "unexpected_result"
        /// All connections were in use for as long as a caller was willing to wait, or too many waited already.
        case poolExhausted = "pool_exhausted"
        case poolClosed = "pool_closed"
        /// The task was cancelled while it waited for a connection.
        case cancelled
        /// A pooler in transaction mode stands between us and the server.
        case transactionPooler = "transaction_pooler"
    }

    package let code: Code
    /// The five characters the server gave, also where the connection was lost with them.
    package let sqlState: String?
    /// One line, without values.
    package let message: String
    package let hint: String?
    /// The constraint that was violated.
    package let constraint: String?
    /// The server's DETAIL: it may hold values of a row, so it goes into no log and no answer.
    package let detail: String?

    package init(
        _ code: Code, _ message: String, sqlState: String? = nil, hint: String? = nil, constraint: String? = nil,
        detail: String? = nil
    ) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
        self.hint = hint
        self.constraint = constraint
        self.detail = detail
    }

    /// The data itself was refused, and would be again: class 22, a failed check, a value too long for an index.
    ///
    /// A missing partition has the SQLSTATE of a failed check, but names no constraint, and is no error of the data.
    package var isDataError: Bool {
        guard code == .server, let sqlState else { return false }
        return sqlState.hasPrefix("22") || sqlState == "54000" || (sqlState == "23514" && constraint != nil)
    }

    /// A bounded word for metric labels.
    package var metricLabel: String {
        code == .server ? "sqlstate_class_\(sqlState?.prefix(2) ?? "none")" : code.rawValue
    }
}

extension PostgresError: CustomStringConvertible {
    package var description: String {
        let state = sqlState.map { " [\($0)]" } ?? ""
        let advice = hint.map { " (\($0))" } ?? ""
        return message + advice + state
    }
}
