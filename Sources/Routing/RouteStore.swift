import Messaging

/// The leases of a full load, found by phone key. Immutable, so readers share it without a lock.
///
/// `RouteIndex` says in which rows the leases of a key are. A row has 64 bytes, so that a lease costs one read of
/// memory; with the index about 71 bytes a route. The way below 48: the property comes from the row that the recording
/// transaction checks anyway (16 bytes), and `learntAt` is kept for numbers that somebody has left only (8 bytes).
final class RouteStore: Sendable {
    private struct Row: Sendable {
        var tenantID: UniqueID
        var leaseID: UniqueID
        /// The nil id of RFC 9562 stands for "none": it names nothing.
        var propertyID: UniqueID
        var learntAt: Timestamp
        var term: LeaseTerm
        /// Index of the landlord; the upper bit says that the lease is active.
        var owner: UInt32
    }

    private let index: RouteIndex
    private let rows: [Row]
    private let landlordIDs: [UniqueID]

    private static let activeBit: UInt32 = 1 << 31
    private static let noProperty = UniqueID(high: 0, low: 0)

    private init(index: RouteIndex, rows: [Row], landlordIDs: [UniqueID]) {
        self.index = index
        self.rows = rows
        self.landlordIDs = landlordIDs
    }

    var routeCount: Int { rows.count }
    var keyCount: Int { index.keyCount }

    /// Bytes of memory it takes.
    var byteCount: Int { index.byteCount + MemoryLayout<Row>.stride * rows.count + 16 * landlordIDs.count }

    /// The rows of a key, empty when it has none.
    func rows(of key: PhoneKey) -> Range<Int> { index.rows(of: key) }

    /// The lease in a row. `key` is the one its row was found by.
    func route(at number: Int, key: PhoneKey) -> Route {
        let row = rows[number]
        return Route(
            key: key, landlordID: landlordIDs[Int(row.owner & ~Self.activeBit)], tenantID: row.tenantID,
            leaseID: row.leaseID, propertyID: row.propertyID == Self.noProperty ? nil : row.propertyID,
            validFrom: row.term.from, validUntil: row.term.until, isActive: row.owner & Self.activeBit != 0,
            learntAt: row.learntAt)
    }

    /// Every lease; those of a key come one after the other.
    func forEachRoute(_ body: (Route) -> Void) {
        index.forEachKey { key, rows in
            for row in rows { body(route(at: row, key: key)) }
        }
    }

    /// Collects leases in any order and sorts them into a store.
    struct Builder {
        /// Leases whose key is not a phone number: nobody writes from there, and they are left out.
        private(set) var rejectedCount = 0
        private var keys: [UInt64] = []
        private var rows: [Row] = []
        private var landlordIDs: [UniqueID] = []
        private var landlordIndexes: [UniqueID: UInt32] = [:]

        init() {}

        mutating func add(_ route: Route) {
            guard PhoneNumber(digits: route.key.value) != nil else {
                rejectedCount += 1
                return
            }
            keys.append(route.key.value)
            rows.append(
                Row(
                    tenantID: route.tenantID, leaseID: route.leaseID,
                    propertyID: route.propertyID ?? RouteStore.noProperty, learntAt: route.learntAt,
                    term: LeaseTerm(from: route.validFrom, until: route.validUntil),
                    owner: index(of: route.landlordID) | (route.isActive ? RouteStore.activeBit : 0)))
        }

        private mutating func index(of landlord: UniqueID) -> UInt32 {
            if let known = landlordIndexes[landlord] { return known }
            let index = UInt32(landlordIDs.count)
            landlordIDs.append(landlord)
            landlordIndexes[landlord] = index
            return index
        }

        consuming func finish() -> RouteStore {
            precondition(keys.count < Int32.max, "a routing table holds at most 2 billion leases")
            let (index, order) = RouteIndex.build(keys)
            keys = []
            Self.arrange(&rows, as: order)
            return RouteStore(index: index, rows: rows, landlordIDs: landlordIDs)
        }

        /// Puts at each place the row that `order` names, in place: a second copy of a large table would be felt.
        private static func arrange(_ rows: inout [Row], as order: consuming [UInt32]) {
            for start in rows.indices where order[start] != start {
                let first = rows[start]
                var place = start
                while true {
                    let source = Int(order[place])
                    order[place] = UInt32(place)
                    if source == start { break }
                    rows[place] = rows[source]
                    place = source
                }
                rows[place] = first
            }
        }
    }
}
