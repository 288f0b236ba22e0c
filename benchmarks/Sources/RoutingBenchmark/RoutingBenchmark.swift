import CReference
import Glibc
import Messaging
import Reporting
import Routing

/// Lookups of random keys in the routing table, in a Swift dictionary and in a plain C table, in one run.
@main
struct RoutingBenchmark {
    static let help = """
        Measures lookups of random keys: the routing table beside Dictionary and an open-addressing table in C. A lookup
        finds a key's leases; candidates are the landlords whose leases run today; a batch is what intake looks up at once.

        usage: routing-benchmark [--sizes N,N…] [--large]
          --sizes  routes in the table; default 1000,100000,1000000
          --large  10 million routes as well (2 GB of memory)
        example: swift run -c release routing-benchmark --sizes 1000000
        """

    static func main() {
        var sizes = [1000, 100_000, 1_000_000]
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
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
        print(report.json)
    }

    private static func refuse(_ problem: String) -> Never {
        print("routing-benchmark: \(problem)\n\n\(help)")
        exit(2)
    }

    static func measure(_ count: Int) -> [Result] {
        let world = World(count: count)
        let before = resident_bytes()
        var buildTimes = World.BuildTimes()
        let built = world.table(&buildTimes)
        let resident = resident_bytes() - before
        guard let records = world.records(),
            let reference = open_addressing_create(world.keys, world.values, world.keys.count)
        else { refuse("there is not enough memory for \(count) routes") }
        defer {
            open_addressing_destroy(reference)
            lease_records_destroy(records, count)
        }
        let dictionary = Dictionary(zip(world.keys, world.values), uniquingKeysWith: { first, _ in first })
        var results: [Result] = []
        do {
            let contestants = Contestants(
                table: built, dictionary: dictionary, reference: reference, records: records)
            for (kind, keys) in [("hit", world.hits), ("miss", world.misses)] {
                results += Self.results("\(count) \(kind)", Times(keys: keys, contestants))
            }
        }
        func perRoute(_ value: Double) -> Double { value / Double(count) }
        let cBytes = perRoute(Double(open_addressing_bytes(reference) + count * MemoryLayout<lease_record>.stride))
        results += [
            Result(
                name: "\(count) memory", value: perRoute(Double(built.statistics.bytes)), unit: "B/route",
                reference: cBytes),
            Result(
                name: "\(count) memory, resident", value: perRoute(Double(resident)), unit: "B/route", reference: cBytes
            ),
            Result(
                name: "\(count) build: while rows come", value: perRoute(nanoseconds(buildTimes.takingIn)),
                unit: "ns/route", reference: nil),
            Result(
                name: "\(count) build: at the end", value: perRoute(nanoseconds(buildTimes.sorting)), unit: "ns/route",
                reference: nil),
        ]
        return results
    }

    private static func results(_ name: String, _ times: Times) -> [Result] {
        [
            ("lookup", times.table, times.reference), ("Dictionary", times.dictionary, times.reference),
            ("lookups in a batch", times.batch, times.batchReference),
            ("candidates", times.candidates, times.candidatesReference),
            ("candidates in a batch", times.intake, times.intakeReference),
        ].map { Result(name: "\(name): \($0)", value: $1, unit: "ns", reference: $2) }
    }

    static func nanoseconds(_ duration: Duration) -> Double {
        Double(duration.components.seconds) * 1e9 + Double(duration.components.attoseconds) / 1e9
    }
}
