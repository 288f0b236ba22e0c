import Messaging
import PostgresClient
import PostgresStore
import Routing

/// The routing table as the database has it now: `routes lookup`, `stats` and `export`. Works as the gateway's own login.
package struct RouteAdministration: Sendable {
    private let address: DatabaseSession.Address
    private let countryCode: String

    /// - Throws: `SettingError` when there is no database to connect to, or the country code is none.
    package init(_ settings: SettingsReader) async throws {
        countryCode = try settings.countryCode()
        address = try await DatabaseSession.address(settings)
    }

    private var source: PostgresRouteSource {
        PostgresRouteSource(DatabaseSession.configuration(address, command: "routes"))
    }

    /// A table loaded now, as the gateway would load it.
    private func loadTable() async throws -> RoutingTable {
        do {
            var builder = RoutingTableBuilder()
            let cursor = try await source.loadAll { builder.add($0) }
            return builder.finish(cursor: cursor)
        } catch let error as PostgresError {
            throw DatabaseSession.explained(error, address)
        }
    }

    /// The table's size by name.
    package func statistics() async throws -> RouteStatistics { RouteStatistics(try await loadTable().statistics) }

    /// Which landlords a number leads to, and why each lease counts or not.
    /// - Returns: `nil` for a text that is no telephone number.
    package func lookup(_ phone: String) async throws -> RouteLookup? {
        guard let number = PhoneNumber(parsing: phone, defaultCountryCode: countryCode) else { return nil }
        let explanations = try await loadTable().explain(
            phone: number.key, account: nil, endpoint: Self.platform, today: SystemTime.now().day)
        return RouteLookup(number, explanations)
    }

    /// The platform's number, where every landlord may be meant.
    private static let platform = Endpoint(
        id: UniqueID(high: 0, low: 0), reference: EndpointReference(kind: .cloud, providerID: ""), ownerID: nil,
        phoneScope: "", accountIDScope: "")

    /// Writes every lease as the database has it, also those whose number is none.
    /// - Parameters:
    ///   - isUnmasked: whole numbers instead of their beginning and end.
    ///   - write: gets some lines at a time, the last with its line feed.
    package func export(
        _ format: RouteExportFormat, isUnmasked: Bool, write: (String) throws -> Void
    ) async throws {
        if let header = format.header { try write(header + "\n") }
        do {
            _ = try await source.loadAll { chunk in
                guard case .routes(let routes) = chunk, !routes.isEmpty else { return }
                try write(routes.map { format.line($0, isUnmasked: isUnmasked) + "\n" }.joined())
            }
        } catch let error as PostgresError {
            throw DatabaseSession.explained(error, address)
        }
    }
}

/// How large the routing table is.
package struct RouteStatistics: Encodable, Hashable, Sendable {
    package let routes: Int
    /// Different numbers they are filed under.
    package let keys: Int
    package let landlords: Int
    package let identities: Int
    package let endpoints: Int
    /// Leases left out because their number is none.
    package let rejected: Int
    /// Memory the table takes.
    package let bytes: Int

    init(_ statistics: RoutingStatistics) {
        routes = statistics.routes
        keys = statistics.keys
        landlords = statistics.landlords
        identities = statistics.identities
        endpoints = statistics.endpoints
        rejected = statistics.rejectedRoutes
        bytes = statistics.bytes
    }
}
