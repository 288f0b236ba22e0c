import Messaging
package import PostgresClient
package import Routing

/// Routes out of the tables that triggers keep: everything by binary COPY, changes by the change log, hints by LISTEN.
///
/// Each load is one picture, in a read-only transaction at REPEATABLE READ, on connections of its own, which stay open
/// between calls; one more connection listens.
package final class PostgresRouteSource: RouteSource {
    private let pool: PostgresPool
    private let listener: RouteListener

    /// Connects to nothing yet. Two connections, so that changes can be asked for while everything is loaded.
    package init(_ configuration: PostgresConfiguration) {
        pool = PostgresPool(configuration, limits: .init(connectionsMax: 2))
        listener = RouteListener(configuration)
    }

    /// Rows handed over at once.
    private static let chunkRows = 8192
    /// A table of millions takes its time.
    private static let loadTimeout = Duration.seconds(600)

    package func loadAll(_ receive: (RouteChunk) throws -> Void) async throws -> RouteCursor {
        try await withPicture { connection in
            let (cursor, settings) = try await Self.moment(connection)
            try receive(.estimate(rows: try await Self.estimate(connection)))
            try await Self.copy(connection, RouteRows.routes, RouteRows.route) { try receive(.routes($0)) }
            try await Self.copy(connection, RouteRows.landlords, RouteRows.landlord) { try receive(.landlords($0)) }
            try await Self.copy(connection, RouteRows.identities, RouteRows.identity) {
                try receive(.identities($0.compactMap { $0 }))
            }
            try receive(.endpoints(try await ChangedRoutes.endpoints(connection)))
            try receive(.settings(settings))
            return cursor
        }
    }

    package func changes(since cursor: RouteCursor) async throws -> RouteDelta? {
        try await withPicture { connection in
            // A plan made while the tables were small must not read them whole once they are large.
            let (now, settings) = try await Self.moment(connection, isByIndex: true)
            guard now.epoch == cursor.epoch, let changed = try await ChangedRoutes(connection, since: cursor) else {
                return nil
            }
            var delta = RouteDelta(cursor: now, settings: settings)
            try await changed.read(connection, into: &delta)
            return delta
        }
    }

    package func changesAvailable(atMost limit: Duration) async -> RouteHint {
        await listener.wait(atMost: limit)
    }

    /// Everything `body` reads is one moment's. A connection it leaves in the middle of a COPY is not used again.
    func withPicture<Value>(_ body: (PostgresConnection) async throws -> Value) async throws -> Value {
        let lease = try await pool.lease()
        let connection = lease.connection
        do {
            try await connection.begin(.repeatableReadOnly)
            let value = try await body(connection)
            await connection.rollback()
            return value
        } catch {
            await connection.rollback()
            throw error
        }
    }

    /// The moment of a picture, and what the settings were then.
    ///
    /// A snapshot means something only in the cluster, database and timeline it was taken in (`cluster_epoch`), and only
    /// while the server runs: copies of a data directory bring everything back but the moment they were started.
    /// - Parameter isByIndex: whether the rest of the transaction is to look everything up by probing indexes, none of
    ///   which is read whole either.
    static func moment(
        _ connection: PostgresConnection, isByIndex: Bool = false
    ) async throws(PostgresError) -> (RouteCursor, RouteSettings) {
        let row = try await connection.query(
            """
            SELECT pg_current_snapshot()::text, gateway.cluster_epoch() || '.' || extract(epoch FROM pg_postmaster_start_time()),
                   gateway.setting('lease_grace_days')::integer, gateway.setting('conversation_outlives_lease')::boolean,
                   CASE WHEN $1::boolean THEN
                     set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true) END
            """, [.bool(isByIndex)]
        ).one()
        return (
            RouteCursor(snapshot: try row.text(0), epoch: try row.text(1)),
            RouteSettings(leaseGraceDays: try row.int32(2), conversationOutlivesLease: try row.bool(3))
        )
    }

    /// What the server's statistics say.
    private static func estimate(_ connection: PostgresConnection) async throws(PostgresError) -> Int {
        let row = try await connection.query(
            """
            SELECT coalesce(sum(greatest(reltuples, 0)), 0)::bigint FROM pg_class
             WHERE oid IN ('gateway.routes'::regclass, 'gateway.route_landlords'::regclass)
            """
        ).one()
        return Int(try row.int64(0))
    }

    static func copy<Row: Sendable>(
        _ connection: PostgresConnection, _ select: String,
        _ decode: @escaping @Sendable (PostgresCopyRow) throws(PostgresError) -> Row, _ receive: ([Row]) throws -> Void
    ) async throws {
        try await connection.startCopy("COPY (\(select)) TO STDOUT (FORMAT binary)", timeout: loadTimeout)
        var rows = try await connection.readCopy(atMost: chunkRows, timeout: loadTimeout, decode)
        while !rows.isEmpty {
            // The server is read from while what came before is taken in.
            async let next = connection.readCopy(atMost: chunkRows, timeout: loadTimeout, decode)
            try receive(rows)
            rows = try await next
        }
    }
}
