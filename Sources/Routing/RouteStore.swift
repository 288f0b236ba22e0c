import Messaging

/// The leases of a full load, found by phone key. Immutable, so readers share it without a lock.
///
/// `RouteIndex` says in which rows the leases of a key are: about 7 bytes a lease, and one read of memory. Beside it a
/// lease has 16 bytes that decide and 16 for its property, about 39 together. Its tenant and its own id are not kept: a
/// candidate is a landlord and the number the lease is filed under, and which lease that is says the transaction that
/// records (`gateway.sender_lease`).
final class RouteStore: Sendable {
    struct Row: BitwiseCopyable, Sendable {
        var learntAt: Timestamp
        var term: LeaseTerm
        /// Index of the landlord; the upper bit says that the lease is active.
        var owner: UInt32
    }

    private let index: RouteIndex
    private let rows: LargeBuffer<Row>
    /// The nil id of RFC 9562 stands for "none": it names nothing.
    private let properties: LargeBuffer<UniqueID>
    private let landlordIDs: [UniqueID]
    let routeCount: Int

    static let activeBit: UInt32 = 1 << 31
    static let noProperty = UniqueID(high: 0, low: 0)

    init(
        index: consuming RouteIndex, rows: consuming LargeBuffer<Row>, properties: consuming LargeBuffer<UniqueID>,
        landlordIDs: [UniqueID]
    ) {
        self.index = index
        routeCount = rows.count
        self.rows = rows
        self.properties = properties
        self.landlordIDs = landlordIDs
    }

    var keyCount: Int { index.keyCount }

    /// Bytes of memory it takes.
    var byteCount: Int { index.byteCount + rows.byteCount + properties.byteCount + 16 * landlordIDs.count }

    /// The rows of a key, empty when it has none.
    @inline(__always)
    func rows(of key: PhoneKey) -> Range<Int> { index.rows(of: key) }

    func routeCount(of keys: UnsafeBufferPointer<PhoneKey>) -> Int {
        var sum = 0
        index.rows(of: keys) { sum &+= $0.count }
        return sum
    }

    func prefetch(_ keys: UnsafeBufferPointer<PhoneKey>) {
        index.rows(of: keys) { found in
            guard !found.isEmpty else { return }
            rows.prefetch(found.lowerBound)
            properties.prefetch(found.lowerBound)
        }
    }

    /// The lease in a row. `key` is the one its row was found by.
    @inline(__always)
    func route(at number: Int, key: PhoneKey) -> Route {
        let row = rows[number]
        let property = properties[number]
        return Route(
            key: key, landlordID: landlordIDs[Int(row.owner & ~Self.activeBit)],
            propertyID: property == Self.noProperty ? nil : property,
            validFrom: row.term.from, validUntil: row.term.until, isActive: row.owner & Self.activeBit != 0,
            learntAt: row.learntAt)
    }

    /// Every lease; those of a key come one after the other.
    func forEachRoute(_ body: (Route) -> Void) {
        index.forEachKey { key, rows in
            for row in rows { body(route(at: row, key: key)) }
        }
    }
}
