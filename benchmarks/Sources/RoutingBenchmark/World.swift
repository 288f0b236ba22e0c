import CReference
import Messaging
import Routing

/// Random numbers with a lease each, keys to look for, and keys that are not there.
struct World {
    var keys: [UInt64] = []
    var values: [UInt64] = []
    var hits: [UInt64] = []
    var misses: [UInt64] = []

    static let lookups = 1 << 20
    static let today: Int32 = 20_500
    private static let numbers: ClosedRange<UInt64> = 447_000_000_000...447_999_999_999

    init(count: Int) {
        var generator = SystemRandomNumberGenerator()
        var seen: Set<UInt64> = []
        seen.reserveCapacity(count)
        while seen.count < count {
            seen.insert(UInt64.random(in: Self.numbers, using: &generator))
        }
        keys = Array(seen)
        values = keys.indices.map { UInt64($0 + 1) }
        hits = (0..<Self.lookups).map { _ in keys[Int.random(in: 0..<count, using: &generator)] }
        while misses.count < Self.lookups {
            let key = UInt64.random(in: Self.numbers, using: &generator)
            if !seen.contains(key) { misses.append(key) }
        }
    }

    /// How long a table takes to be made: while its rows come, and when all have come.
    struct BuildTimes {
        var takingIn = Duration.zero
        var sorting = Duration.zero
    }

    func table(_ times: inout BuildTimes) -> RoutingTable {
        let clock = ContinuousClock()
        var builder = RoutingTableBuilder()
        for start in stride(from: 0, to: keys.count, by: 8192) {
            let rows = (start..<min(start + 8192, keys.count)).map(route)
            times.takingIn += clock.measure { builder.add(.routes(rows)) }
        }
        let began = clock.now
        let table = builder.finish(cursor: RouteCursor(snapshot: "", epoch: ""))
        times.sorting += began.duration(to: clock.now)
        return table
    }

    /// Every lease with a property of its own: the most that there can be to keep.
    private func route(_ number: Int) -> Route {
        let id = UInt64(number)
        return Route(
            key: PhoneKey(folded: keys[number]), landlordID: UniqueID(high: 1, low: id % 10_000),
            propertyID: UniqueID(high: 4, low: id),
            validFrom: CalendarDay(daysSince1970: 20_000), validUntil: nil, isActive: true,
            learntAt: Timestamp(seconds: 0))
    }

    /// The same leases for the reference.
    func records() -> UnsafeMutablePointer<lease_record>? {
        guard let records = lease_records_create(keys.count) else { return nil }
        for number in keys.indices {
            let id = UInt64(number)
            records[number] = lease_record(
                landlord: (1, id % 10_000), property: (4, id), learnt_at: 0, first_day: 20_000, last_day: .max)
        }
        return records
    }
}
