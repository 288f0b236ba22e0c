import Messaging

/// Builds a routing table from the chunks of a full load.
public struct RoutingTableBuilder: Sendable {
    private var routes = RouteStoreBuilder()
    private var identities = IdentityIndex.Builder()
    private var landlords: [UniqueID: Landlord] = [:]
    private var endpoints: [Endpoint] = []
    private var settings = RouteSettings()
    /// Rows taken in so far, of all kinds: for the progress of a load.
    public private(set) var rowCount = 0
    /// About how many there will be, where the source knows.
    public private(set) var expectedRowCount: Int?

    public init() {}

    public mutating func add(_ chunk: RouteChunk) {
        switch chunk {
        case .estimate(let rows): expectedRowCount = rows
        case .routes(let rows):
            rowCount += rows.count
            for row in rows { routes.add(row) }
        case .landlords(let rows):
            rowCount += rows.count
            for row in rows { landlords[row.id] = row }
        case .identities(let rows):
            rowCount += rows.count
            for row in rows { identities.add(row) }
        case .endpoints(let rows):
            rowCount += rows.count
            endpoints += rows
        case .settings(let settings): self.settings = settings
        }
    }

    /// Sorts what came in.
    /// - Parameters:
    ///   - cursor: of the picture that was loaded, as `RouteSource.loadAll` returns it.
    ///   - previous: the table it takes the place of, whose generation it continues.
    public consuming func finish(cursor: RouteCursor, replacing previous: RoutingTable? = nil) -> RoutingTable {
        let rejected = routes.rejectedCount
        let store = routes.finish()
        return RoutingTable(
            generation: (previous?.generation ?? 0) + 1, cursor: cursor, settings: settings, store: store,
            routeCount: store.routeCount, keyCount: store.keyCount, rejectedCount: rejected,
            landlords: OverlaidDictionary(landlords), identities: identities.finish(),
            endpoints: RoutingTable.index(endpoints))
    }
}
