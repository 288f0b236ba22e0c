package import PostgresClient

/// The one connection that records, opened when it is first needed and again after it broke.
package actor RecorderSession {
    private let configuration: PostgresConfiguration
    private var connection: PostgresConnection?

    /// Connects to nothing yet.
    ///
    /// Each setting has its reason: planning the recording statement costs a millisecond, and the planner would do it
    /// every time; a plan made while the tables were empty must not read them whole once they are full; the price put on
    /// such a plan must not look like work worth compiling for.
    package init(_ configuration: PostgresConfiguration) {
        var own = configuration
        own.applicationName += " recorder"
        own.settings += [("plan_cache_mode", "force_generic_plan"), ("enable_seqscan", "off"), ("jit", "off")]
        self.configuration = own
    }

    /// The open connection.
    func open() async throws(PostgresError) -> PostgresConnection {
        if let connection, connection.phase != .closed { return connection }
        let fresh = try await PostgresConnection.connect(configuration)
        connection = fresh
        return fresh
    }

    /// The open connection, out of any transaction that somebody began and did not end.
    func openIdle() async throws(PostgresError) -> PostgresConnection {
        let connection = try await open()
        guard connection.phase == .inTransaction else { return connection }
        await connection.rollback()
        return try await open()
    }

    /// Undoes the transaction that is open, if any.
    func abandon() async {
        if let connection, connection.phase == .inTransaction { await connection.rollback() }
    }

    /// Closes it; the next call opens another.
    package func close() async {
        await connection?.close()
        connection = nil
    }
}
