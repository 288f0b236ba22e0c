import CReference
import Messaging
import Routing

/// What is measured against each other: the routing table, a dictionary, and the table and records in C.
struct Contestants {
    let table: RoutingTable
    let dictionary: [UInt64: UInt64]
    let reference: OpaquePointer
    let records: UnsafeMutablePointer<lease_record>
}

/// Nanoseconds a lookup: the best of several rounds in which all take turns.
struct Times {
    // A key's rows, or its value.
    var table = Double.infinity
    var dictionary = Double.infinity
    var reference = Double.infinity
    // The same for many keys at once.
    var batch = Double.infinity
    var batchReference = Double.infinity
    // A key's landlord, if the lease runs.
    var candidates = Double.infinity
    var candidatesReference = Double.infinity
    // The same for many keys at once, as intake does.
    var intake = Double.infinity
    var intakeReference = Double.infinity

    private static let rounds = 7
    /// Messages of a batch.
    private static let batchSize = 256
    private static let endpoint = Endpoint(
        id: UniqueID(high: 0, low: 0), reference: EndpointReference(kind: .cloud, providerID: "1"), ownerID: nil,
        phoneScope: "", accountIDScope: "")

    init(keys: [UInt64], _ contestants: Contestants) {
        let (table, dictionary) = (contestants.table, contestants.dictionary)
        let (reference, records) = (contestants.reference, contestants.records)
        let phones = keys.map { PhoneKey(folded: $0) }
        let batches = stride(from: 0, to: phones.count, by: Self.batchSize).map {
            Array(phones[$0..<min($0 + Self.batchSize, phones.count)])
        }
        var sums: Set<UInt64> = []
        var decisions: Set<UInt64> = []
        for _ in 0..<Self.rounds {
            sums.insert(Self.time(&self.reference, keys) { open_addressing_sum(reference, keys, keys.count) })
            Self.time(&self.table, keys) { phones.reduce(0) { $0 &+ UInt64(table.routeCount(of: $1)) } }
            sums.insert(
                Self.time(&batchReference, keys) { open_addressing_sum_prefetching(reference, keys, keys.count) })
            Self.time(&batch, keys) { batches.reduce(0) { $0 &+ UInt64(table.routeCount(of: $1)) } }
            Self.time(&self.dictionary, keys) { keys.reduce(0) { $0 &+ (dictionary[$1] ?? 0) } }
            decisions.insert(
                Self.time(&candidatesReference, keys) {
                    open_addressing_decide(reference, records, keys, keys.count, World.today)
                })
            decisions.insert(
                Self.time(&candidates, keys) { phones.reduce(0) { $0 &+ Self.decide($1, by: table) } })
            decisions.insert(
                Self.time(&intakeReference, keys) {
                    open_addressing_decide_prefetching(reference, records, keys, keys.count, World.today)
                })
            decisions.insert(
                Self.time(&intake, keys) {
                    batches.reduce(0) { sum, batch in
                        table.prefetch(batch)
                        return batch.reduce(sum) { $0 &+ Self.decide($1, by: table) }
                    }
                })
        }
        precondition(sums.count == 1 && decisions.count == 1, "the contestants give different answers")
    }

    private static func decide(_ key: PhoneKey, by table: RoutingTable) -> UInt64 {
        let list = table.candidates(
            phone: key, account: nil, endpoint: endpoint, today: CalendarDay(daysSince1970: World.today))
        guard let only = list.only else { return 0 }
        return only.landlordID.high ^ only.landlordID.low ^ (only.propertyID?.low ?? 0)
    }

    @discardableResult
    private static func time(_ best: inout Double, _ keys: [UInt64], _ body: () -> UInt64) -> UInt64 {
        let clock = ContinuousClock()
        var sum: UInt64 = 0
        let elapsed = clock.measure { sum = body() }
        best = min(best, RoutingBenchmark.nanoseconds(elapsed) / Double(keys.count))
        return sum
    }
}
