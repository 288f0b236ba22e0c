import Messaging
package import PostgresClient
package import Routing

/// Routes out of the tables that triggers keep: everything by binary COPY, changes by the change log. Each as one
/// picture, in a read-only transaction at REPEATABLE READ, on connections of its own, which stay open between calls.
package struct PostgresRouteSource: RouteSource {
    private let pool: PostgresPool

    /// Connects to nothing yet. Two connections, so that changes can be asked for while everything is loaded.
    package init(_ configuration: PostgresConfiguration) {
        pool = PostgresPool(configuration, limits: .init(connectionsMax: 2))
    }

    /// Rows handed over at once.
    private static let chunkRows = 8192
    /// A table of millions takes its time.
    private static let loadTimeout = Duration.seconds(600)

    package func loadAll(_ receive: (RouteChunk) throws -> Void) async throws -> RouteCursor {
        try await withPicture { connection in
            let cursor = try await Self.cursor(connection)
            try await Self.copy(connection, RouteRows.routes, RouteRows.route) { try receive(.routes($0)) }
            try await Self.copy(connection, RouteRows.landlords, RouteRows.landlord) { try receive(.landlords($0)) }
            try await Self.copy(connection, RouteRows.identities, RouteRows.identity) {
                try receive(.identities($0.compactMap { $0 }))
            }
            try receive(.endpoints(try await Self.endpoints(connection)))
            try receive(.settings(try await Self.settings(connection)))
            return cursor
        }
    }

    package func changes(since cursor: RouteCursor) async throws -> RouteDelta? {
        try await withPicture { connection in
            let now = try await Self.cursor(connection)
            guard now.epoch == cursor.epoch else { return nil }
            var delta = RouteDelta(cursor: now)
            do {
                try await Self.changedRoutes(connection, cursor, into: &delta)
                try await Self.changedLandlords(connection, cursor, into: &delta)
                try await Self.changedIdentities(connection, cursor, into: &delta)
            } catch let error as PostgresError where error.sqlState == "ZR001" {
                return nil
            }
            delta.endpoints = try await Self.endpoints(connection)
            delta.settings = try await Self.settings(connection)
            return delta
        }
    }

    /// Everything `body` reads is one moment's. A connection it leaves in the middle of a COPY is not used again.
    private func withPicture<Value>(_ body: (PostgresConnection) async throws -> Value) async throws -> Value {
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

    private static func cursor(_ connection: PostgresConnection) async throws(PostgresError) -> RouteCursor {
        let row = try await connection.query("SELECT pg_current_snapshot()::text, gateway.cluster_epoch()").one()
        return RouteCursor(snapshot: try row.text(0), epoch: try row.text(1))
    }

    private static func copy<Row: Sendable>(
        _ connection: PostgresConnection, _ select: String,
        _ decode: @escaping @Sendable (PostgresCopyRow) throws(PostgresError) -> Row, _ receive: ([Row]) throws -> Void
    ) async throws {
        try await connection.startCopy("COPY (\(select)) TO STDOUT (FORMAT binary)", timeout: loadTimeout)
        while true {
            let rows = try await connection.readCopy(atMost: chunkRows, timeout: loadTimeout, decode)
            if rows.isEmpty { return }
            try receive(rows)
        }
    }

    private static func endpoints(_ connection: PostgresConnection) async throws(PostgresError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for row in try await connection.query(RouteRows.endpoints) {
            if let endpoint = try RouteRows.endpoint(row) { endpoints.append(endpoint) }
        }
        return endpoints
    }

    private static func settings(_ connection: PostgresConnection) async throws(PostgresError) -> RouteSettings {
        let row = try await connection.query(
            """
            SELECT gateway.setting('lease_grace_days')::integer, gateway.setting('conversation_outlives_lease')::boolean
            """
        ).one()
        return RouteSettings(leaseGraceDays: try row.int32(0), conversationOutlivesLease: try row.bool(1))
    }
}

// MARK: Changes

extension PostgresRouteSource {
    private static func changedRoutes(
        _ connection: PostgresConnection, _ cursor: RouteCursor, into delta: inout RouteDelta
    ) async throws(PostgresError) {
        let rows = try await connection.query(
            """
            WITH d AS MATERIALIZED (
              SELECT DISTINCT phone_key AS key FROM gateway.route_changes_since($1::text::pg_snapshot) WHERE kind = 'p')
            SELECT d.key, r.lease_id IS NOT NULL, r.* FROM d LEFT JOIN LATERAL (
              \(RouteRows.routes) WHERE phone_key = d.key) r ON true
            """, [.text(cursor.snapshot)])
        for row in rows {
            let key = PhoneKey(folded: UInt64(clamping: try row.int64(0)))
            let known = delta.routes[key] ?? []
            delta.routes[key] = try row.bool(1) ? known + [try RouteRows.route(row, from: 2)] : known
        }
    }

    private static func changedLandlords(
        _ connection: PostgresConnection, _ cursor: RouteCursor, into delta: inout RouteDelta
    ) async throws(PostgresError) {
        let rows = try await connection.query(
            """
            WITH d AS MATERIALIZED (
              SELECT DISTINCT landlord_id AS id FROM gateway.route_changes_since($1::text::pg_snapshot)
               WHERE kind = 'l')
            SELECT d.id, l.landlord_id IS NOT NULL, l.* FROM d LEFT JOIN LATERAL (
              \(RouteRows.landlords) WHERE landlord_id = d.id) l ON true
            """, [.text(cursor.snapshot)])
        for row in rows {
            delta.landlords[try row.id(0)] = .some(try row.bool(1) ? try RouteRows.landlord(row, from: 2) : nil)
        }
    }

    private static func changedIdentities(
        _ connection: PostgresConnection, _ cursor: RouteCursor, into delta: inout RouteDelta
    ) async throws(PostgresError) {
        let rows = try await connection.query(
            """
            WITH d AS MATERIALIZED (
              SELECT DISTINCT id_kind, id_scope, id_value FROM gateway.route_changes_since($1::text::pg_snapshot)
               WHERE kind = 'i')
            SELECT d.id_kind, d.id_scope, d.id_value, f.person_id IS NOT NULL, f.* FROM d LEFT JOIN LATERAL (
              \(RouteRows.identities) WHERE kind = d.id_kind AND scope = d.id_scope AND value = d.id_value) f ON true
            """, [.text(cursor.snapshot)])
        for row in rows {
            guard let kind = IdentityKind(rawValue: try row.text(0)) else { continue }
            let identity = AccountIdentity(kind: kind, scope: try row.text(1), value: try row.text(2))
            let known = delta.identities[identity] ?? []
            guard try row.bool(3), let link = try RouteRows.identity(row, from: 4) else {
                delta.identities[identity] = known
                continue
            }
            delta.identities[identity] = known + [link]
        }
    }
}
