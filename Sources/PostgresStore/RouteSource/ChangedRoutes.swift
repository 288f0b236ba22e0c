import Messaging
import PostgresClient
import Routing

/// What the change log names since a cursor: the keys, whose rows are read afterwards in the same picture.
struct ChangedRoutes {
    private var phones = PostgresArrayBuilder(.int8)
    private var landlords = PostgresArrayBuilder(.uuid)
    private var identityKinds = PostgresArrayBuilder(.text)
    private var identityScopes = PostgresArrayBuilder(.text)
    private var identityValues = PostgresArrayBuilder(.text)
    private var hasEndpoints = false

    /// Of more keys, everything is loaded sooner than them.
    private static let keysMax: Int64 = 100_000

    /// - Returns: `nil` when the log does not reach back to the cursor, or holds more than is worth reading one by one.
    init?(_ connection: PostgresConnection, since cursor: RouteCursor) async throws(PostgresError) {
        let rows: PostgresRows
        do {
            rows = try await connection.query(RouteRows.changes, [.text(cursor.snapshot), .int64(Self.keysMax + 1)])
        } catch  where error.sqlState == "ZR001" {
            return nil
        }
        guard rows.count <= Self.keysMax else { return nil }
        for row in rows { try add(row) }
    }

    /// As if these had changed: to read about some senders alone.
    init(keys: Set<PhoneKey> = [], identities: Set<AccountIdentity> = [], landlords: Set<UniqueID> = []) {
        for key in keys { phones.append(int64: Int64(clamping: key.value)) }
        for identity in identities {
            identityKinds.append(text: identity.kind.rawValue)
            identityScopes.append(text: identity.scope)
            identityValues.append(text: identity.value)
        }
        for landlord in landlords { self.landlords.append(id: landlord) }
    }

    private mutating func add(_ row: PostgresRow) throws(PostgresError) {
        switch try row.text(0) {
        case "p": phones.append(int64: try row.int64(1))
        case "l": landlords.append(id: try row.id(2))
        case "i":
            identityKinds.append(text: try row.text(3))
            identityScopes.append(text: try row.text(4))
            identityValues.append(text: try row.text(5))
        default: hasEndpoints = true
        }
    }

    /// Reads all that the keys hold now. Nothing is asked about a kind of which nothing changed.
    func read(_ connection: PostgresConnection, into delta: inout RouteDelta) async throws(PostgresError) {
        if phones.count > 0 { try await readRoutes(connection, into: &delta) }
        if landlords.count > 0 { try await readLandlords(connection, into: &delta) }
        if identityKinds.count > 0 { try await readIdentities(connection, into: &delta) }
        if hasEndpoints { delta.endpoints = try await Self.endpoints(connection) }
    }

    static func endpoints(_ connection: PostgresConnection) async throws(PostgresError) -> [Endpoint] {
        var endpoints: [Endpoint] = []
        for row in try await connection.query(RouteRows.endpoints) {
            if let endpoint = try RouteRows.endpoint(row) { endpoints.append(endpoint) }
        }
        return endpoints
    }

    private func readRoutes(_ connection: PostgresConnection, into delta: inout RouteDelta) async throws(PostgresError)
    {
        for row in try await connection.query(RouteRows.changedRoutes, [phones.value]) {
            let key = PhoneKey(folded: UInt64(clamping: try row.int64(0)))
            delta.routes[key, default: []] += try row.bool(1) ? [try RouteRows.route(row, from: 2)] : []
        }
    }

    private func readLandlords(
        _ connection: PostgresConnection, into delta: inout RouteDelta
    ) async throws(PostgresError) {
        for row in try await connection.query(RouteRows.changedLandlords, [landlords.value]) {
            delta.landlords[try row.id(0)] = .some(try row.bool(1) ? try RouteRows.landlord(row, from: 2) : nil)
        }
    }

    private func readIdentities(
        _ connection: PostgresConnection, into delta: inout RouteDelta
    ) async throws(PostgresError) {
        let rows = try await connection.query(
            RouteRows.changedIdentities, [identityKinds.value, identityScopes.value, identityValues.value])
        for row in rows {
            guard let kind = IdentityKind(rawValue: try row.text(0)) else { continue }
            let identity = AccountIdentity(kind: kind, scope: try row.text(1), value: try row.text(2))
            let link = try row.bool(3) ? try RouteRows.identity(row, from: 4) : nil
            delta.identities[identity, default: []] += link.map { [$0] } ?? []
        }
    }
}
