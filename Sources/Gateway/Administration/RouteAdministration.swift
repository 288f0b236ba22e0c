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

    /// What `body` does with the database; its errors are told with their cure.
    private func explaining<Value>(_ body: () async throws -> Value) async throws -> Value {
        do {
            return try await body()
        } catch let error as PostgresError {
            throw DatabaseSession.explained(error, address)
        }
    }

    /// The table's size by name.
    /// - Parameters:
    ///   - rejectedMax: rows listed of those that cannot be routed by; `nil`: they are counted as far as the table knows.
    ///   - progress: told now and then how far the load has come, in a line.
    package func statistics(
        rejectedMax: Int? = nil, progress report: (String) -> Void = { _ in }
    ) async throws -> RouteStatistics {
        try await explaining {
            var builder = RoutingTableBuilder()
            let began = ContinuousClock.now
            var progress = RouteLoadProgress(began: began, interval: .milliseconds(250))
            let cursor = try await source.loadAll { chunk in
                builder.add(chunk)
                if progress.note(rows: builder.rowCount, expected: builder.expectedRowCount, at: .now) {
                    report(progress.line)
                }
            }
            let table = builder.finish(cursor: cursor)
            var statistics = RouteStatistics(table.statistics, loadSeconds: began.duration(to: .now) / .seconds(1))
            if let rejectedMax {
                let found = try await source.rejected(limit: rejectedMax)
                statistics.rejected = found.count
                statistics.rejectedRoutes = found.rows.map(RouteStatistics.Rejected.init)
            }
            return statistics
        }
    }

    /// Which landlords a number leads to, and why each lease counts or not. Reads what is about that number alone.
    /// - Returns: `nil` for a text that is no telephone number.
    package func lookup(_ phone: String) async throws -> RouteLookup? {
        guard let number = PhoneNumber(parsing: phone, defaultCountryCode: countryCode) else { return nil }
        return try await explaining {
            let (table, records) = try await source.neighbourhood(of: number.key)
            let today = SystemTime.now().day
            let explanations = table.explain(phone: number.key, account: nil, endpoint: Self.platform, today: today)
            return RouteLookup(number, explanations, records)
        }
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
        try await explaining {
            try await source.records { records in
                try write(records.map { format.line($0, isUnmasked: isUnmasked) + "\n" }.joined())
            }
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
    /// Leases left out because their number is none; with `rejectedRoutes`, tenants whose number is none as well.
    package var rejected: Int
    /// Of those, the first ones, if they were asked for.
    package var rejectedRoutes: [Rejected]?
    /// Memory the table takes.
    package let bytes: Int
    /// How long it took to load.
    package let loadSeconds: Double

    /// A row that no message can be routed by.
    package struct Rejected: Encodable, Hashable, Sendable {
        package let landlord: String?
        package let tenant: String
        /// `nil` for a tenant whose number is refused where routes are made.
        package let lease: String?
        /// Its beginning and end.
        package let phone: String

        init(_ route: RejectedRoute) {
            landlord = route.landlordID.map { "\($0)" }
            tenant = "\(route.tenantID)"
            lease = route.leaseID.map { "\($0)" }
            phone = route.phone.count > 6 ? "\(route.phone.prefix(2))…\(route.phone.suffix(2))" : "…"
        }
    }

    init(_ statistics: RoutingStatistics, loadSeconds: Double) {
        routes = statistics.routes
        keys = statistics.keys
        landlords = statistics.landlords
        identities = statistics.identities
        endpoints = statistics.endpoints
        rejected = statistics.rejectedRoutes
        bytes = statistics.bytes
        self.loadSeconds = loadSeconds
    }
}
