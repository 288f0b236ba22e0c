import Messaging

/// The leases of a full load, found by phone key. Immutable, so readers share it without a lock.
///
/// A key is mixed by a reversible function of 50 bits (15 digits fit) and cut in two: the upper bits name a bucket, the
/// lower ones, 32 at most, are what is left to tell its keys apart. Rows lie sorted by bucket and remainder, column by column:
///
///     starts      UInt32 a bucket     first row of each bucket; 2 to 4 rows a bucket: 1 to 2 bytes a route
///     remainders  UInt32 a row        key = unmix(bucket, remainder): exact, the key itself is not stored
///     owners      UInt32 a row        index of the landlord, and whether the lease is active
///     terms       2 × UInt16 a row    first and last day
///     learnt      Int64 a row         microseconds
///     tenants, leases, properties     16 bytes each a row
///
/// A miss reads one start and, mostly, one line of remainders; nothing is ever chained, so misses are as fast as hits, and
/// all leases of a key are neighbours. About 70 bytes a route. To get below 48: the property can come from the
/// row that the recording transaction checks anyway (16 bytes), and `learnt` is needed only for numbers that somebody has
/// left (8 bytes).
final class RouteStore: Sendable {
    /// Keys with more bits than this do not exist: 15 digits have 50.
    static let keyBits: UInt64 = 50

    let landlordIDs: [UniqueID]
    /// Different keys.
    let keyCount: Int

    private let remainderBits: UInt64
    private let starts: [UInt32]
    private let remainders: [UInt32]
    private let owners: [UInt32]
    private let terms: [LeaseTerm]
    private let learnt: [Int64]
    private let tenants: [UniqueID]
    private let leases: [UniqueID]
    private let properties: [UniqueID]

    private static let activeBit: UInt32 = 1 << 31
    /// Stands for "no property": the nil id of RFC 9562 names nothing.
    private static let noProperty = UniqueID(high: 0, low: 0)

    var routeCount: Int { remainders.count }

    /// Bytes of memory its columns take.
    var byteCount: Int {
        4 * starts.count + (4 + 4 + 4 + 8 + 16 + 16 + 16) * remainders.count + 16 * landlordIDs.count
    }

    /// The rows of a key, empty when it has none.
    func rows(of key: PhoneKey) -> Range<Int> {
        guard key.value >> Self.keyBits == 0 else { return 0..<0 }
        let mixed = Self.mix(key.value)
        let bucket = Int(truncatingIfNeeded: mixed >> remainderBits)
        let remainder = UInt32(truncatingIfNeeded: mixed & (1 << remainderBits - 1))
        let end = Int(starts[bucket + 1])
        var row = Int(starts[bucket])
        while row < end, remainders[row] != remainder { row += 1 }
        guard row < end else { return 0..<0 }
        var after = row + 1
        while after < end, remainders[after] == remainder { after += 1 }
        return row..<after
    }

    /// The lease in a row. `key` is the one its row was found by.
    func route(at row: Int, key: PhoneKey) -> Route {
        let owner = owners[row]
        let property = properties[row]
        let term = terms[row]
        return Route(
            key: key, landlordID: landlordIDs[Int(owner & ~Self.activeBit)], tenantID: tenants[row], leaseID: leases[row],
            propertyID: property == Self.noProperty ? nil : property, validFrom: term.from, validUntil: term.until,
            isActive: owner & Self.activeBit != 0, learntAt: Timestamp(microseconds: learnt[row]))
    }

    /// Every lease, in the order of the rows; the leases of a key come one after the other.
    func forEachRoute(_ body: (Route) -> Void) {
        for bucket in 0..<starts.count - 1 {
            for row in Int(starts[bucket])..<Int(starts[bucket + 1]) {
                let mixed = UInt64(bucket) << remainderBits | UInt64(remainders[row])
                body(route(at: row, key: PhoneKey(folded: Self.unmix(mixed))))
            }
        }
    }

    private static let mask: UInt64 = 1 << 50 - 1

    /// Spreads keys over all 50 bits; `unmix` takes it back. Neighbouring numbers end up in different buckets.
    static func mix(_ key: UInt64) -> UInt64 {
        ((key ^ key >> 25) &* 0x3_79B9_7F4A_7C15) & mask
    }

    static func unmix(_ mixed: UInt64) -> UInt64 {
        let key = mixed &* 0x2_83E1_9937_733D & mask
        return key ^ key >> 25
    }

    /// Collects leases in any order and sorts them into a store.
    struct Builder {
        /// Leases whose key is not one of 15 digits at most: they cannot be found and are left out.
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
            guard route.key.value >> RouteStore.keyBits == 0 else {
                rejectedCount += 1
                return
            }
            keys.append(RouteStore.mix(route.key.value))
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
            precondition(keys.count < UInt32.max, "a routing table holds at most 4 billion leases")
            let order = RowOrder(sorting: keys)
            keys = []
            return RouteStore(
                landlordIDs: landlordIDs, order: order, owners: Self.arrange(&owners, order.rows),
                terms: Self.arrange(&terms, order.rows), learnt: Self.arrange(&learnt, order.rows),
                tenants: Self.arrange(&tenants, order.rows), leases: Self.arrange(&leases, order.rows),
                properties: Self.arrange(&properties, order.rows))
        }

        private static func arrange<Value>(_ column: inout [Value], _ rows: [UInt32]) -> [Value] {
            let arranged = rows.map { column[Int($0)] }
            column = []
            return arranged
        }
    }

    private init(
        landlordIDs: [UniqueID], order: RowOrder, owners: [UInt32], terms: [LeaseTerm], learnt: [Int64],
        tenants: [UniqueID], leases: [UniqueID], properties: [UniqueID]
    ) {
        self.landlordIDs = landlordIDs
        self.keyCount = order.keyCount
        self.remainderBits = order.remainderBits
        self.starts = order.starts
        self.remainders = order.remainders
        self.owners = owners
        self.terms = terms
        self.learnt = learnt
        self.tenants = tenants
        self.leases = leases
        self.properties = properties
    }
}

/// Where each row goes: rows by bucket, and by remainder within it. A counting sort, then tiny sorts.
private struct RowOrder {
    var rows: [UInt32]
    var remainders: [UInt32]
    var starts: [UInt32]
    let remainderBits: UInt64
    private(set) var keyCount = 0

    init(sorting mixedKeys: [UInt64]) {
        // At least 18 bits of bucket, so that a remainder fits 32 bits; otherwise 2 to 4 rows a bucket.
        let bucketBits = max(18, UInt64.bitWidth - 2 - (UInt64(mixedKeys.count) | 1).leadingZeroBitCount)
        remainderBits = RouteStore.keyBits - UInt64(bucketBits)
        starts = [UInt32](repeating: 0, count: 1 << bucketBits + 1)
        for key in mixedKeys { starts[Int(truncatingIfNeeded: key >> remainderBits) + 1] += 1 }
        for bucket in 1..<starts.count { starts[bucket] += starts[bucket - 1] }

        rows = [UInt32](repeating: 0, count: mixedKeys.count)
        remainders = rows
        var next = starts
        let mask: UInt64 = 1 << remainderBits - 1
        for (row, key) in mixedKeys.enumerated() {
            let bucket = Int(truncatingIfNeeded: key >> remainderBits)
            let place = Int(next[bucket])
            next[bucket] += 1
            rows[place] = UInt32(truncatingIfNeeded: row)
            remainders[place] = UInt32(truncatingIfNeeded: key & mask)
        }
        sortBuckets()
    }

    private mutating func sortBuckets() {
        for bucket in 0..<starts.count - 1 {
            let range = Int(starts[bucket])..<Int(starts[bucket + 1])
            if range.count > 32 { sortLarge(range) } else if range.count > 1 { sortSmall(range) }
            var previous: UInt32?
            for place in range {
                if remainders[place] != previous { keyCount += 1 }
                previous = remainders[place]
            }
        }
    }

    private mutating func sortSmall(_ range: Range<Int>) {
        for place in range.dropFirst() {
            var hole = place
            while hole > range.lowerBound, remainders[hole - 1] > remainders[hole] {
                remainders.swapAt(hole - 1, hole)
                rows.swapAt(hole - 1, hole)
                hole -= 1
            }
        }
    }

    /// A number given as the phone of very many tenants makes a bucket this large.
    private mutating func sortLarge(_ range: Range<Int>) {
        let sorted = range.map { (remainders[$0], rows[$0]) }.sorted { $0 < $1 }
        for (place, pair) in zip(range, sorted) { (remainders[place], rows[place]) = pair }
    }
}
