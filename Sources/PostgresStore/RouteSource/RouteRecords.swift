package import Messaging
import PostgresClient
package import Routing

/// A row that no message can be routed by, because its telephone number is none.
package struct RejectedRoute: Hashable, Sendable {
    package var landlordID: UniqueID?
    package var tenantID: UniqueID
    /// `nil` for a tenant whose number is already refused where routes are made.
    package var leaseID: UniqueID?
    /// As it was written down.
    package var phone: String
}

// What people ask about routes; nothing that a message waits for.
extension PostgresRouteSource {
    /// Every row, in chunks.
    package func records(_ receive: ([RouteRecord]) throws -> Void) async throws {
        try await withPicture { connection in
            try await Self.copy(connection, RouteRows.records, RouteRows.record, receive)
        }
    }

    /// All that decides about a number at the platform's own endpoints: a small table, and the rows in it, those of one
    /// beginning in the order in which they speak.
    package func neighbourhood(of key: PhoneKey) async throws -> (table: RoutingTable, records: [RouteRecord]) {
        try await neighbourhood(of: key, nil, phoneScope: "", landlords: [])
    }

    /// All that decides about a sender: a small table with every endpoint, and the rows in it.
    /// - Parameters:
    ///   - phoneScope: of the endpoint the sender writes to.
    ///   - others: landlords the table is to know besides.
    package func neighbourhood(
        of phone: PhoneKey?, _ account: AccountIdentity?, phoneScope: String, landlords others: Set<UniqueID>
    ) async throws -> (table: RoutingTable, records: [RouteRecord]) {
        try await withPicture { connection in
            let (cursor, settings) = try await Self.moment(connection)
            var delta = RouteDelta(cursor: cursor, settings: settings)
            let keys = Set([phone].compactMap { $0 })
            func named(_ keys: Set<PhoneKey>) -> Set<AccountIdentity> {
                Set(keys.map { AccountIdentity(phone: $0, scope: phoneScope) })
            }
            try await ChangedRoutes(
                keys: keys, identities: named(keys).union([account].compactMap { $0 })
            ).read(connection, into: &delta)
            let linked = Set(delta.identities.values.joined().compactMap(\.routeKey)).subtracting(keys)
            try await ChangedRoutes(keys: linked, identities: named(linked)).read(connection, into: &delta)
            let landlords = others.union(delta.routes.values.joined().map(\.landlordID))
            try await ChangedRoutes(landlords: landlords).read(connection, into: &delta)
            delta.endpoints = try await ChangedRoutes.endpoints(connection)
            let records = try await Self.records(under: linked.union(keys), connection)
            return (RoutingTableBuilder().finish(cursor: cursor).applying(delta), records)
        }
    }

    /// The rows under some numbers, those of one beginning in the order in which they speak.
    static func records(
        under keys: some Sequence<PhoneKey>, _ connection: PostgresConnection
    ) async throws(PostgresError) -> [RouteRecord] {
        var array = PostgresArrayBuilder(.int8)
        for key in keys { array.append(int64: Int64(clamping: key.value)) }
        return try await connection.query(
            "\(RouteRows.records) WHERE phone_key = ANY ($1::bigint[]) ORDER BY tenant_id, lease_id", [array.value]
        ).map { row throws(PostgresError) in try RouteRows.record(row) }
    }

    /// Everything we receive on and send from.
    package func endpoints() async throws -> [Endpoint] {
        try await withPicture { try await ChangedRoutes.endpoints($0) }
    }

    /// Rows that no message can be routed by, and how many there are.
    /// - Parameter limit: of the rows; the count is of all.
    package func rejected(limit: Int) async throws -> (rows: [RejectedRoute], count: Int) {
        try await withPicture { connection in
            let isAttached = try await connection.query(
                "SELECT to_regclass('gateway.unroutable_tenants') IS NOT NULL"
            ).one().bool(0)
            let refused = """
                UNION ALL SELECT landlord_id, tenant_id, NULL, raw_phone FROM gateway.unroutable_tenants
                           WHERE reason = 'bad_phone'
                """
            let rows = try await connection.query(
                """
                SELECT landlord_id, tenant_id, lease_id, phone, count(*) OVER () FROM (
                  SELECT landlord_id, tenant_id, lease_id, phone_key::text AS phone FROM gateway.routes
                   WHERE phone_key NOT BETWEEN 10000000 AND 999999999999999 \(isAttached ? refused : "")) r
                 ORDER BY landlord_id, tenant_id LIMIT $1
                """, [.int64(Int64(limit))], timeout: .seconds(600))
            let rejected = try rows.map { row throws(PostgresError) in
                RejectedRoute(
                    landlordID: try row.nullableID(0), tenantID: try row.id(1), leaseID: try row.nullableID(2),
                    phone: try row.text(3))
            }
            return (rejected, try rows.first.map { row throws(PostgresError) in Int(try row.int64(4)) } ?? 0)
        }
    }
}
