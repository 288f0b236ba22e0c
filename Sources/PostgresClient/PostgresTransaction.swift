import CPostgres

/// How a transaction begins.
package enum TransactionMode: String, Sendable {
    case readCommitted = "BEGIN"
    /// One picture of the database for all statements.
    case repeatableReadOnly = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
}

/// Whom a transaction runs as, for row security. Both last until its end, whichever it is.
package struct TransactionIdentity: Sendable, Hashable {
    /// A role the login is a member of: lower-case letters and underscores.
    package let role: String
    /// For `request.jwt.claims`, where `auth.jwt()` reads it.
    package let claimsJSON: String

    package init(role: String, claimsJSON: String) {
        precondition(
            !role.isEmpty && role.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }, "not a role: \(role)")
        self.role = role
        self.claimsJSON = claimsJSON
    }
}

extension PostgresConnection {
    /// Runs `body` in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// The body runs on the connection's own executor, so nothing else can come between its statements. When COMMIT
    /// ends in `connectionLost`, it may or may not have happened.
    package func transaction<Value: Sendable>(
        _ mode: TransactionMode = .readCommitted, as identity: TransactionIdentity? = nil,
        _ body: @Sendable (isolated PostgresConnection) throws(PostgresError) -> Value
    ) throws(PostgresError) -> Value {
        try begin(mode, as: identity)
        let value: Value
        do {
            value = try body(self)
        } catch {
            rollback()
            throw error
        }
        try commit()
        return value
    }

    /// Begins a transaction that spans several calls. It ends with `commit`, `rollback` or the connection.
    package func begin(
        _ mode: TransactionMode = .readCommitted, as identity: TransactionIdentity? = nil
    ) throws(PostgresError) {
        precondition(phase != .inTransaction, "transactions do not nest")
        guard let identity else { return try execute(mode.rawValue) }
        do {
            try execute("\(mode.rawValue); SET LOCAL ROLE \(identity.role)")
            _ = try query(Self.setClaims, [.text(identity.claimsJSON)])
        } catch {
            rollback()
            throw error
        }
    }

    private static let setClaims = PostgresStatement(
        name: "set_claims", sql: "SELECT set_config('request.jwt.claims', $1::text, true)")

    package func commit() throws(PostgresError) {
        let answer = try query("COMMIT").commandTag
        guard answer == "COMMIT" else {
            throw PostgresError(.server, "the transaction had failed, and was rolled back", sqlState: "25P02")
        }
    }

    /// A connection on which even this fails is closed.
    package func rollback() {
        guard phase == .inTransaction else { return }
        do { try execute("ROLLBACK") } catch { close() }
    }
}
