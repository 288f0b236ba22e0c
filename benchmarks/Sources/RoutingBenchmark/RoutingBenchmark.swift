import CReference
import Glibc
import Messaging
import Reporting
import Routing

/// Lookups of random keys in the routing table, in a Swift dictionary and in a plain C table, in one run.
@main
struct RoutingBenchmark {
    static let help = """
        Measures lookups of random keys: the routing table beside Dictionary and an open-addressing table in C.

        usage: routing-benchmark [--sizes N,N…] [--large] [--json]
          --sizes  routes in the table; default 1000,100000,1000000
          --large  10 million routes as well (2 GB of memory)
          --json   one JSON object in place of the table
        example: swift run -c release routing-benchmark --sizes 1000000
        """

    static func main() {
        var sizes = [1000, 100_000, 1_000_000]
        var asJSON = false
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--json": asJSON = true
            case "--large": sizes.append(10_000_000)
            case "--sizes":
                sizes = (arguments.popFirst() ?? "").split(separator: ",").compactMap { Int($0) }.filter { $0 > 0 }
                guard !sizes.isEmpty else { refuse("--sizes needs numbers, as in --sizes 1000,1000000") }
            case "-h", "--help": return print(help)
            default: refuse("there is no option '\(argument)'")
            }
        }
        var report = Report(name: "routing")
        for size in sizes { report.results += measure(size) }
        print(asJSON ? report.json : report.table)
    }

    private static func refuse(_ problem: String) -> Never {
        print("routing-benchmark: \(problem)\n\n\(help)")
        exit(2)
    }

    static func measure(_ count: Int) -> [Result] {
        let world = World(count: count)
        let clock = ContinuousClock()
        var table: RoutingTable?
        let buildTime = clock.measure { table = world.table() }
        guard let table else { return [] }
        let dictionary = Dictionary(zip(world.keys, world.values), uniquingKeysWith: { first, _ in first })
        guard let reference = open_addressing_create(world.keys, world.values, world.keys.count) else {
            refuse("there is not enough memory for \(count) routes")
        }
        defer { open_addressing_destroy(reference) }

        var results: [Result] = []
        for (kind, keys) in [("hit", world.hits), ("miss", world.misses)] {
            let times = Times(keys: keys, table: table, dictionary: dictionary, reference: reference)
            let measured = [
                ("table", times.table), ("table, candidates", times.candidates), ("Dictionary", times.dictionary),
                ("C, prefetching", times.prefetching),
            ]
            results += measured.map { name, time in
                Result(name: "\(count) \(kind): \(name)", value: time, unit: "ns", reference: times.reference)
            }
        }
        let bytes = Double(table.statistics.bytes) / Double(count)
        let buildTimePerRoute = nanoseconds(buildTime) / Double(count)
        results += [
            Result(name: "\(count) memory", value: bytes, unit: "B/route", reference: nil),
            Result(name: "\(count) build", value: buildTimePerRoute, unit: "ns/route", reference: nil),
        ]
        return results
    }

    static func nanoseconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) * 1e9 + Double(duration.components.attoseconds) / 1e9
    }
}

/// Random numbers with a lease each, keys to look for, and keys that are not there.
struct World {
    var keys: [UInt64] = []
    var values: [UInt64] = []
    var hits: [UInt64] = []
    var misses: [UInt64] = []

    static let lookups = 1 << 20
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

    func table() -> RoutingTable {
        var builder = RoutingTableBuilder()
        for start in stride(from: 0, to: keys.count, by: 4096) {
            builder.add(.routes((start..<min(start + 4096, keys.count)).map(route)))
        }
        return builder.finish(cursor: RouteCursor(snapshot: "", epoch: ""))
    }

    private func route(_ number: Int) -> Route {
        let id = UInt64(number)
        return Route(
            key: PhoneKey(folded: keys[number]), landlordID: UniqueID(high: 1, low: id % 10_000),
            tenantID: UniqueID(high: 2, low: id), leaseID: UniqueID(high: 3, low: id),
            propertyID: UniqueID(high: 4, low: id),
            validFrom: CalendarDay(daysSince1970: 20_000), validUntil: nil, isActive: true,
            learntAt: Timestamp(seconds: 0))
    }
}

/// Nanoseconds a lookup: the best of several rounds in which all take turns.
struct Times {
    var table = Double.infinity
    var candidates = Double.infinity
    var dictionary = Double.infinity
    var reference = Double.infinity
    var prefetching = Double.infinity

    private static let rounds = 7
    private static let endpoint = Endpoint(
        id: UniqueID(high: 0, low: 0), reference: EndpointReference(kind: .cloud, providerID: "1"), ownerID: nil,
        phoneScope: "", accountIDScope: "")

    init(keys: [UInt64], table: RoutingTable, dictionary: [UInt64: UInt64], reference: OpaquePointer) {
        let today = CalendarDay(daysSince1970: 20_500)
        var sums: Set<UInt64> = []
        for _ in 0..<Self.rounds {
            Self.time(&self.reference, keys) { open_addressing_sum(reference, keys, keys.count) }
            Self.time(&self.prefetching, keys) { open_addressing_sum_prefetching(reference, keys, keys.count) }
            Self.time(&self.table, keys) { keys.reduce(0) { $0 &+ UInt64(table.routeCount(of: PhoneKey(folded: $1))) } }
            Self.time(&self.dictionary, keys) { keys.reduce(0) { $0 &+ (dictionary[$1] ?? 0) } }
            Self.time(&self.candidates, keys) {
                keys.reduce(0) { sum, key in
                    let list = table.candidates(
                        phone: PhoneKey(folded: key), account: nil, endpoint: Self.endpoint, today: today)
                    return sum &+ UInt64(list.running.count)
                }
            }
            sums.insert(open_addressing_sum(reference, keys, keys.count))
        }
        precondition(sums.count == 1, "the reference gives different answers")
    }

    private static func time(_ best: inout Double, _ keys: [UInt64], _ body: () -> UInt64) {
        let clock = ContinuousClock()
        var sum: UInt64 = 0
        let elapsed = clock.measure { sum = body() }
        withExtendedLifetime(sum) {}
        best = min(best, RoutingBenchmark.nanoseconds(elapsed) / Double(keys.count))
    }
}
