import Messaging

/// The leases of a full load, found by phone key. Immutable, so readers share it without a lock.
///
/// `RouteIndex` says in which rows the leases of a key are; the rest of a lease lies in columns:
///
///     owners      UInt32          index of the landlord, and whether the lease is active
///     terms       2 × UInt16      first and last day
///     learnt      Int64           microseconds
///     tenants, leases, properties 16 bytes each
///
/// With the index about 71 bytes a route. The way below 48: the property comes from the row that the recording
/// transaction checks anyway (16 bytes), and `learnt` is kept for numbers that somebody has left only (8 bytes).
final class RouteStore: Sendable {
    let landlordIDs: [UniqueID]

    private let index: RouteIndex
    private let owners: [UInt32]
    private let terms: [LeaseTerm]
    private let learnt: [Int64]
    private let tenants: [UniqueID]
    private let leases: [UniqueID]
    private let properties: [UniqueID]

    private static let activeBit: UInt32 = 1 << 31
    /// Stands for "no property": the nil id of RFC 9562 names nothing.
    private static let noProperty = UniqueID(high: 0, low: 0)

    var routeCount: Int { owners.count }
    var keyCount: Int { index.keyCount }

    /// Bytes of memory its columns take.
    var byteCount: Int { index.byteCount + (4 + 4 + 8 + 16 + 16 + 16) * owners.count + 16 * landlordIDs.count }

    /// The rows of a key, empty when it has none.
    func rows(of key: PhoneKey) -> Range<Int> { index.rows(of: key) }

    /// The lease in a row. `key` is the one its row was found by.
    func route(at row: Int, key: PhoneKey) -> Route {
        let owner = owners[row]
        let property = properties[row]
        let term = terms[row]
        return Route(
            key: key, landlordID: landlordIDs[Int(owner & ~Self.activeBit)], tenantID: tenants[row],
            leaseID: leases[row], propertyID: property == Self.noProperty ? nil : property, validFrom: term.from,
            validUntil: term.until,
            isActive: owner & Self.activeBit != 0, learntAt: Timestamp(microseconds: learnt[row]))
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
        private var owners: [UInt32] = []
        private var terms: [LeaseTerm] = []
        private var learnt: [Int64] = []
        private var tenants: [UniqueID] = []
        private var leases: [UniqueID] = []
        private var properties: [UniqueID] = []
        private var landlordIDs: [UniqueID] = []
        private var landlordIndexes: [UniqueID: UInt32] = [:]

        init() {}

        mutating func add(_ route: Route) {
            guard PhoneNumber(digits: route.key.value) != nil else {
                rejectedCount += 1
                return
            }
            keys.append(route.key.value)
            owners.append(index(of: route.landlordID) | (route.isActive ? RouteStore.activeBit : 0))
            terms.append(LeaseTerm(from: route.validFrom, until: route.validUntil))
            learnt.append(route.learntAt.microseconds)
            tenants.append(route.tenantID)
            leases.append(route.leaseID)
            properties.append(route.propertyID ?? RouteStore.noProperty)
        }

        private mutating func index(of landlord: UniqueID) -> UInt32 {
            if let known = landlordIndexes[landlord] { return known }
            let index = UInt32(landlordIDs.count)
            landlordIDs.append(landlord)
            landlordIndexes[landlord] = index
            return index
        }

        /// Sorts, and gives each column's old memory back as soon as its new one stands.
        consuming func finish() -> RouteStore {
            precondition(keys.count < Int32.max, "a routing table holds at most 2 billion leases")
            let (index, order) = RouteIndex.build(keys)
            keys = []
            return RouteStore(
                landlordIDs: landlordIDs, index: index, owners: Self.arrange(&owners, order),
                terms: Self.arrange(&terms, order), learnt: Self.arrange(&learnt, order),
                tenants: Self.arrange(&tenants, order), leases: Self.arrange(&leases, order),
                properties: Self.arrange(&properties, order))
        }

        private static func arrange<Value>(_ column: inout [Value], _ rows: [UInt32]) -> [Value] {
            let arranged = rows.map { column[Int($0)] }
            column = []
            return arranged
        }
    }

    private init(
        landlordIDs: [UniqueID], index: RouteIndex, owners: [UInt32], terms: [LeaseTerm], learnt: [Int64],
        tenants: [UniqueID], leases: [UniqueID], properties: [UniqueID]
    ) {
        self.landlordIDs = landlordIDs
        self.index = index
        self.owners = owners
        self.terms = terms
        self.learnt = learnt
        self.tenants = tenants
        self.leases = leases
        self.properties = properties
    }
}
