import Dispatch
import Synchronization

/// A bounded number of connections with the same settings, lent to one caller at a time.
///
/// Callers that find none free wait in line, for a limited time. A connection that comes back broken or inside a
/// transaction is closed, and replaced when it is next needed.
package final class PostgresPool: Sendable {
    package struct Limits: Sendable, Hashable {
        package var connectionsMax: Int
        /// Callers in line; one more is refused at once.
        package var waitersMax: Int
        /// How long a caller stays in line.
        package var waitTimeout: Duration

        package init(connectionsMax: Int, waitersMax: Int = 1000, waitTimeout: Duration = .seconds(10)) {
            precondition(connectionsMax > 0 && waitersMax >= 0, "a pool needs a connection")
            self.connectionsMax = connectionsMax
            self.waitersMax = waitersMax
            self.waitTimeout = waitTimeout
        }
    }

    private typealias Turn = CheckedContinuation<Result<PoolGrant<PostgresConnection>, PostgresError>, Never>

    private let configuration: PostgresConfiguration
    private let limits: Limits
    private let state: Mutex<PoolState<PostgresConnection, Turn>>
    private let timers = DispatchQueue(label: "postgres pool")

    /// Connects to nothing yet.
    package init(_ configuration: PostgresConfiguration, limits: Limits) {
        self.configuration = configuration
        self.limits = limits
        self.state = Mutex(PoolState(connectionsMax: limits.connectionsMax, waitersMax: limits.waitersMax))
    }

    /// Lends a connection to `body`, and takes it back however that ends.
    package func withConnection<Value>(
        _ body: (PostgresConnection) async throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let lease = try await lease()
        return try await body(lease.connection)
    }

    /// Runs `body` in a transaction of its own; see `PostgresConnection.transaction`.
    package func withTransaction<Value: Sendable>(
        _ mode: TransactionMode = .readCommitted, as identity: TransactionIdentity? = nil,
        _ body: @Sendable (isolated PostgresConnection) throws(PostgresError) -> Value
    ) async throws(PostgresError) -> Value {
        let lease = try await lease()
        return try await lease.connection.transaction(mode, as: identity, body)
    }

    /// Lends a connection for as long as the lease lives.
    package func lease() async throws(PostgresError) -> PostgresLease {
        while true {
            switch try await nextGrant() {
            case .connection(let connection):
                if connection.isQuiet { return PostgresLease(connection: connection, pool: self) }
                await connection.close()
                give(state.withLock { $0.lost() })
            case .open:
                do {
                    return PostgresLease(connection: try await PostgresConnection.connect(configuration), pool: self)
                } catch {
                    give(state.withLock { $0.lost() })
                    throw error
                }
            }
        }
    }

    /// Closes what is idle, refuses who waits; what is lent is closed when it comes back.
    package func close() async {
        let (idle, waiters) = state.withLock { $0.close() }
        for waiter in waiters { waiter.resume(returning: .failure(Self.closed)) }
        for connection in idle { await connection.close() }
    }

    /// Connections in use, idle, and callers in line: for metrics.
    package var usage: (lent: Int, idle: Int, waiting: Int) { state.withLock { $0.usage } }

    fileprivate func takeBack(_ connection: PostgresConnection) {
        guard connection.phase == .idle else {
            Task { await connection.close() }
            give(state.withLock { $0.lost() })
            return
        }
        switch state.withLock({ $0.returned(connection) }) {
        case .none: break
        case .give(let waiter): waiter.resume(returning: .success(.connection(connection)))
        case .close: Task { await connection.close() }
        }
    }

    /// Somebody who waited may open a connection in place of one that is gone.
    private func give(_ waiter: Turn?) { waiter?.resume(returning: .success(.open)) }

    private func nextGrant() async throws(PostgresError) -> PoolGrant<PostgresConnection> {
        let ticket = state.withLock { $0.ticket() }
        let turn = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: Turn) in wait(ticket, continuation) }
        } onCancel: {
            expire(ticket, PostgresError(.cancelled, "cancelled while waiting for a connection"))
        }
        return try turn.get()
    }

    private func wait(_ ticket: UInt64, _ continuation: Turn) {
        let answer = state.withLock { state -> PoolAnswer<PostgresConnection> in
            // The flag is set before the handler runs: whoever is not in line yet sees it here.
            if Task.isCancelled { return .cancelled }
            return state.ask(ticket, continuation)
        }
        switch answer {
        case .grant(let grant): continuation.resume(returning: .success(grant))
        case .inLine:
            let milliseconds = Int(limits.waitTimeout / .milliseconds(1))
            timers.asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
                self?.expire(
                    ticket, PostgresError(.poolExhausted, "no database connection became free in \(milliseconds) ms"))
            }
        case .lineFull:
            continuation.resume(
                returning: .failure(
                    PostgresError(.poolExhausted, "\(limits.waitersMax) callers wait for a database connection")))
        case .closed: continuation.resume(returning: .failure(Self.closed))
        case .cancelled:
            continuation.resume(
                returning: .failure(PostgresError(.cancelled, "cancelled while waiting for a connection")))
        }
    }

    private func expire(_ ticket: UInt64, _ error: PostgresError) {
        state.withLock { $0.leave(ticket) }?.resume(returning: .failure(error))
    }

    private static var closed: PostgresError {
        PostgresError(.poolClosed, "the connections to the database are closed")
    }
}

/// A connection lent by a pool: goes back when the lease ends.
package struct PostgresLease: ~Copyable, Sendable {
    package let connection: PostgresConnection
    private let pool: PostgresPool

    fileprivate init(connection: PostgresConnection, pool: PostgresPool) {
        self.connection = connection
        self.pool = pool
    }

    deinit { pool.takeBack(connection) }
}
