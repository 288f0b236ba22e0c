public import Messaging

/// Who belongs to whom, in memory: leases by phone key, identities, landlords and endpoints, as of one moment.
///
/// Immutable: a reader takes it once a batch and is never in anybody's way. A change makes a new table that shares
/// what is large (`applying`) and carries its changes in an overlay; `compacted()` folds the overlay in.
public final class RoutingTable: Sendable {
    /// Grows by one with each change; stands in `routing_metadata`, so that a decision can be traced to its table.
    public let generation: UInt64
    /// Where the next changes are to be asked from.
    public let cursor: RouteCursor
    public let settings: RouteSettings
    /// Leases in the table.
    public let routeCount: Int

    let store: RouteStore
    /// All leases of the keys that changed since `store` was built; an empty list = the key is gone.
    let changedRoutes: Overlay<PhoneKey, [Route]>
    let landlords: OverlaidDictionary<UniqueID, Landlord>
    let identities: IdentityIndex
    private let endpoints: [EndpointReference: Endpoint]
    private let keyCount: Int
    private let rejectedCount: Int

    /// From this many changes on, `compacted()` is worth its time: what changed is looked up in a second place, and takes
    /// three times the memory.
    public static let overlayLimit = 32_768

    init(
        generation: UInt64, cursor: RouteCursor, settings: RouteSettings, store: RouteStore,
        changedRoutes: Overlay<PhoneKey, [Route]> = Overlay(), routeCount: Int, keyCount: Int, rejectedCount: Int,
        landlords: OverlaidDictionary<UniqueID, Landlord>, identities: IdentityIndex,
        endpoints: [EndpointReference: Endpoint]
    ) {
        self.generation = generation
        self.cursor = cursor
        self.settings = settings
        self.store = store
        self.changedRoutes = changedRoutes
        self.routeCount = routeCount
        self.keyCount = keyCount
        self.rejectedCount = rejectedCount
        self.landlords = landlords
        self.identities = identities
        self.endpoints = endpoints
    }

    // MARK: Looking up

    /// The landlords a sender's message could be for.
    ///
    /// Counted are the leases filed under the sender's own number, and under the numbers their identities link to; of a
    /// number somebody left, only those learnt on the sender's side of that moment. On an endpoint that has an owner,
    /// only the owner's.
    /// - Parameter today: the day on which leases run or not.
    public func candidates(
        phone: PhoneKey?, account: AccountIdentity?, endpoint: Endpoint, today: CalendarDay
    ) -> CandidateList {
        if let phone, changedRoutes.isEmpty || changedRoutes[phone] == nil,
            identities.knowsNothing(about: phone, account, phoneScope: endpoint.phoneScope)
        {
            return candidates(under: phone, endpoint, today)
        }
        return candidates(reachedBy: phone, account, endpoint, today)
    }

    /// Of nearly every sender: a number that did not change of late, and nothing known beyond it.
    @inline(__always)
    private func candidates(under phone: PhoneKey, _ endpoint: Endpoint, _ today: CalendarDay) -> CandidateList {
        var list = CandidateList()
        let rows = store.rows(of: phone)
        for row in rows {
            let route = store.route(at: row, key: phone)
            guard endpoint.admits(landlord: route.landlordID) else { continue }
            list.add(route, today: today, graceDays: settings.leaseGraceDays)
        }
        if rows.count > 1 { list.settle() }
        return list
    }

    @inline(never)
    private func candidates(
        reachedBy phone: PhoneKey?, _ account: AccountIdentity?, _ endpoint: Endpoint, _ today: CalendarDay
    ) -> CandidateList {
        var list = CandidateList()
        identities.forEachReach(phone: phone, account: account, phoneScope: endpoint.phoneScope) { reach in
            forEachRoute(of: reach.key) { route in
                guard endpoint.admits(landlord: route.landlordID), reach.includes(route.learntAt) else { return }
                list.add(route, today: today, graceDays: settings.leaseGraceDays)
            }
        }
        list.settle()
        return list
    }

    /// Whether the account is known to have this number now: seeing the two together teaches nothing.
    public func knows(_ account: AccountIdentity, has phone: PhoneKey, at endpoint: Endpoint) -> Bool {
        let links = identities.links(of: account)
        guard let link = links.first(where: { $0.key == phone }) else { return false }
        guard let facts = identities.facts(of: phone, scope: endpoint.phoneScope), !facts.departures.isEmpty
        else { return true }
        return facts.links.contains { $0.person == link.person }
    }

    /// The numbers an account's person is known to have or to have had.
    public func phones(of account: AccountIdentity) -> [PhoneKey] { identities.links(of: account).map(\.key) }

    /// How many leases are filed under a key, of whatever standing.
    public func routeCount(of key: PhoneKey) -> Int {
        changedRoutes.isEmpty ? store.rows(of: key).count : changedRouteCount(of: key)
    }

    @inline(never)
    private func changedRouteCount(of key: PhoneKey) -> Int { changedRoutes[key]?.count ?? store.rows(of: key).count }

    /// How many leases are filed under many keys together. What waits for memory waits once for many of them, not once
    /// for each.
    public func routeCount(of keys: [PhoneKey]) -> Int {
        guard changedRoutes.isEmpty else { return keys.reduce(0) { $0 + routeCount(of: $1) } }
        return keys.withUnsafeBufferPointer { store.routeCount(of: $0) }
    }

    /// Asks for the memory that decisions about these keys will read, all at once: who decides then waits for none of it.
    public func prefetch(_ keys: [PhoneKey]) { keys.withUnsafeBufferPointer { store.prefetch($0) } }

    public func landlord(_ id: UniqueID) -> Landlord? { landlords[id] }

    /// The endpoint of ours that a webhook names.
    public func endpoint(_ reference: EndpointReference) -> Endpoint? { endpoints[reference] }

    /// Every endpoint, in no particular order.
    public var allEndpoints: [Endpoint] { Array(endpoints.values) }

    func forEachRoute(of key: PhoneKey, _ body: (Route) -> Void) {
        if !changedRoutes.isEmpty, let changed = changedRoutes[key] {
            changed.forEach(body)
            return
        }
        for row in store.rows(of: key) { body(store.route(at: row, key: key)) }
    }

    public var statistics: RoutingStatistics {
        RoutingStatistics(
            generation: generation, routes: routeCount, keys: keyCount, landlords: landlords.count,
            identities: identities.count, endpoints: endpoints.count, rejectedRoutes: rejectedCount,
            overlayEntries: overlayCount, bytes: byteCount)
    }

    // MARK: Changing

    /// Whether enough has changed that the next step should be `compacted()`.
    public var needsCompaction: Bool { overlayCount > Self.overlayLimit }

    private var overlayCount: Int { changedRoutes.count + landlords.changes.count + identities.changeCount }

    private var byteCount: Int {
        var bytes = store.byteCount + 140 * landlords.count + identities.byteCount + 64 * changedRoutes.count
        changedRoutes.forEach { _, routes in bytes += 136 * routes.count }
        return bytes
    }

    /// The table with some changes: the next generation, or the same if there are none. Costs as much as these changes,
    /// whatever the size of the table and however much changed before.
    /// - Parameter previous: the table the result takes the place of, where that is another: the result's generation is
    ///   beyond it.
    public func applying(_ delta: RouteDelta, replacing previous: RoutingTable? = nil) -> RoutingTable {
        var changed = changedRoutes
        var routes = routeCount
        var keys = keyCount
        for (key, held) in delta.routes {
            let before = routeCount(of: key)
            changed.set(key, to: held)
            routes += held.count - before
            keys += (held.isEmpty ? 0 : 1) - (before == 0 ? 0 : 1)
        }
        var landlords = landlords
        for (id, landlord) in delta.landlords { landlords[id] = landlord }
        let endpoints = delta.endpoints.map(Self.index) ?? self.endpoints
        let isUnchanged =
            delta.routes.isEmpty && delta.landlords.isEmpty && delta.identities.isEmpty
            && delta.settings == settings && (delta.endpoints == nil || endpoints == self.endpoints)
        let generation = max(generation, previous.map { $0.generation + 1 } ?? 0)
        return RoutingTable(
            generation: isUnchanged ? generation : generation + 1, cursor: delta.cursor, settings: delta.settings,
            store: store, changedRoutes: changed, routeCount: routes, keyCount: keys, rejectedCount: rejectedCount,
            landlords: landlords, identities: identities.applying(delta.identities), endpoints: endpoints)
    }

    /// The same table without an overlay, and the same generation. Takes as long as building a table, so it is not for
    /// a thread that decides messages.
    public func compacted() -> RoutingTable {
        var builder = RouteStoreBuilder()
        store.forEachRoute { if changedRoutes[$0.key] == nil { builder.add($0) } }
        changedRoutes.forEach { _, routes in routes.forEach { builder.add($0) } }
        let rejected = builder.rejectedCount
        let store = builder.finish()
        return RoutingTable(
            generation: generation, cursor: cursor, settings: settings, store: store, routeCount: store.routeCount,
            keyCount: store.keyCount, rejectedCount: rejectedCount + rejected,
            landlords: OverlaidDictionary(landlords.merged()), identities: identities.compacted(),
            endpoints: endpoints)
    }

    static func index(_ endpoints: [Endpoint]) -> [EndpointReference: Endpoint] {
        Dictionary(endpoints.map { ($0.reference, $0) }, uniquingKeysWith: { first, _ in first })
    }
}

/// The size of a routing table.
public struct RoutingStatistics: Hashable, Sendable {
    public var generation: UInt64
    /// Leases, and the different numbers they are filed under.
    public var routes: Int
    public var keys: Int
    public var landlords: Int
    /// Identities that say something beyond their own digits.
    public var identities: Int
    public var endpoints: Int
    /// Leases left out because their key is no phone number.
    public var rejectedRoutes: Int
    /// Changes since the last full load or compaction.
    public var overlayEntries: Int
    /// Memory in bytes: exact for the leases, close for the rest.
    public var bytes: Int
}

extension Endpoint {
    /// Whether a landlord may receive what comes in here: on an endpoint that has an owner, the owner alone.
    func admits(landlord id: UniqueID) -> Bool { ownerID.map { $0 == id } ?? true }
}
