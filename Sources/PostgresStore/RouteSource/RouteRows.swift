import Messaging
import PostgresClient
import Routing

/// The columns of the routing feed, and how a row of each becomes a value.
enum RouteRows {
    /// A lease may begin or end at an infinity, which is no day of ours: it becomes one far away.
    private static let routeColumns = """
        phone_key, landlord_id, property_id,
               CASE WHEN valid_from IS NOT NULL THEN least(greatest(valid_from, '0001-01-01'), '9999-12-31') END,
               CASE WHEN valid_until IS NOT NULL THEN least(greatest(valid_until, '0001-01-01'), '9999-12-31') END,
               lease_status = 'active' AS is_active, learnt_at
        """
    static let routes = "SELECT \(routeColumns) FROM gateway.routes"
    /// With what routing does not need.
    static let records = "SELECT \(routeColumns), tenant_id, lease_id, property_address FROM gateway.routes"
    static let landlords =
        "SELECT landlord_id, landlord_name, whatsapp_enabled, message_signature FROM gateway.route_landlords"
    static let identities = "SELECT kind, scope, value, person_id, route_key, moved_at FROM gateway.identity_feed"
    static let endpoints = "SELECT id, kind, provider_id, owner_id, phone_scope, id_scope FROM gateway.endpoints"

    /// The keys that changed.
    static let changes = PostgresStatement(
        name: "route_changes",
        sql: """
            SELECT kind::text, phone_key, landlord_id, id_kind, id_scope, id_value
              FROM gateway.route_changes_since($1::text::pg_snapshot) LIMIT $2::bigint
            """)

    // What some keys hold now: an index probe a key, never a join, for what changed is little beside what is there.
    // OFFSET keeps the planner from making a join of it.

    static let changedRoutes = PostgresStatement(
        name: "changed_routes",
        sql: """
            SELECT d.key, r.phone_key IS NOT NULL, r.* FROM unnest($1::bigint[]) d(key) LEFT JOIN LATERAL (
              \(routes) WHERE phone_key = d.key OFFSET 0) r ON true
            """)
    static let changedLandlords = PostgresStatement(
        name: "changed_landlords",
        sql: """
            SELECT d.id, l.landlord_id IS NOT NULL, l.* FROM unnest($1::uuid[]) d(id) LEFT JOIN LATERAL (
              \(landlords) WHERE landlord_id = d.id OFFSET 0) l ON true
            """)
    static let changedIdentities = PostgresStatement(
        name: "changed_identities",
        sql: """
            SELECT d.kind, d.scope, d.value, f.person_id IS NOT NULL, f.*
              FROM unnest($1::text[], $2::text[], $3::text[]) d(kind, scope, value) LEFT JOIN LATERAL (
              \(identities) WHERE kind = d.kind AND scope = d.scope AND value = d.value OFFSET 0) f ON true
            """)

    @Sendable
    static func route(_ row: PostgresCopyRow) throws(PostgresError) -> Route {
        Route(
            key: PhoneKey(folded: UInt64(clamping: try row.int64(0))), landlordID: id(try row.uuid(1)),
            propertyID: try row.nullableUUID(2).map(id),
            validFrom: try row.nullableDate(3).map(CalendarDay.init(daysSince1970:)),
            validUntil: try row.nullableDate(4).map(CalendarDay.init(daysSince1970:)), isActive: try row.bool(5),
            learntAt: Timestamp(microseconds: try row.timestamp(6)))
    }

    @Sendable
    static func record(_ row: PostgresCopyRow) throws(PostgresError) -> RouteRecord {
        RouteRecord(
            route: try route(row), tenantID: id(try row.uuid(7)), leaseID: id(try row.uuid(8)),
            propertyAddress: try row.nullableText(9))
    }

    static func record(_ row: PostgresRow) throws(PostgresError) -> RouteRecord {
        RouteRecord(
            route: try route(row, from: 0), tenantID: try row.id(7), leaseID: try row.id(8),
            propertyAddress: try row.nullableText(9))
    }

    static func route(_ row: PostgresRow, from first: Int) throws(PostgresError) -> Route {
        Route(
            key: PhoneKey(folded: UInt64(clamping: try row.int64(first))), landlordID: try row.id(first + 1),
            propertyID: try row.nullableID(first + 2), validFrom: try row.nullableDay(first + 3),
            validUntil: try row.nullableDay(first + 4), isActive: try row.bool(first + 5),
            learntAt: try row.time(first + 6))
    }

    @Sendable
    static func landlord(_ row: PostgresCopyRow) throws(PostgresError) -> Landlord {
        Landlord(
            id: id(try row.uuid(0)), name: try row.nullableText(1), isEnabled: try row.bool(2),
            signature: try row.nullableText(3))
    }

    static func landlord(_ row: PostgresRow, from first: Int) throws(PostgresError) -> Landlord {
        Landlord(
            id: try row.id(first), name: try row.nullableText(first + 1), isEnabled: try row.bool(first + 2),
            signature: try row.nullableText(first + 3))
    }

    /// `nil` for a kind this program does not know: a newer one wrote it.
    @Sendable
    static func identity(_ row: PostgresCopyRow) throws(PostgresError) -> IdentityLink? {
        guard let kind = IdentityKind(rawValue: try row.text(0)) else { return nil }
        return IdentityLink(
            kind: kind, scope: try row.text(1), value: try row.text(2), personID: id(try row.uuid(3)),
            routeKey: try row.nullableInt64(4).map { PhoneKey(folded: UInt64(clamping: $0)) },
            movedAt: try row.nullableTimestamp(5).map(Timestamp.init(microseconds:)))
    }

    static func identity(_ row: PostgresRow, from first: Int) throws(PostgresError) -> IdentityLink? {
        guard let kind = IdentityKind(rawValue: try row.text(first)) else { return nil }
        return IdentityLink(
            kind: kind, scope: try row.text(first + 1), value: try row.text(first + 2), personID: try row.id(first + 3),
            routeKey: try row.nullableInt64(first + 4).map { PhoneKey(folded: UInt64(clamping: $0)) },
            movedAt: try row.nullableTime(first + 5))
    }

    static func endpoint(_ row: PostgresRow) throws(PostgresError) -> Endpoint? {
        guard let kind = EndpointKind(rawValue: try row.text(1)) else { return nil }
        return Endpoint(
            id: try row.id(0), reference: EndpointReference(kind: kind, providerID: try row.text(2)),
            ownerID: try row.nullableID(3), phoneScope: try row.text(4), accountIDScope: try row.text(5))
    }

    private static func id(_ words: (high: UInt64, low: UInt64)) -> UniqueID {
        UniqueID(high: words.high, low: words.low)
    }
}
