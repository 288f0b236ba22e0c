import Messaging
import Routing
import Testing

@Suite struct RoutingTableTests {
    @Test("a delta replaces what a key holds, and leaves the table it came from alone")
    func deltaReplaces() {
        let first = makeTable([makeLease(1), makeLease(2, key: .bob)])
        let second = first.applying(
            RouteDelta(
                cursor: RouteCursor(snapshot: "2:2:", epoch: "test"),
                routes: [.ann: [makeLease(3, landlord: 2)], .bob: []],
                endpoints: [.shared]))
        #expect(second.candidates(phone: .ann).candidates.map(\.leaseID) == [uid(3)])
        #expect(second.candidates(phone: .bob).candidates.isEmpty)
        #expect(first.candidates(phone: .ann).candidates.map(\.leaseID) == [uid(1)])
        #expect(second.generation == first.generation + 1)
        #expect(second.cursor.snapshot == "2:2:")
        #expect(second.routeCount == 1 && second.statistics.keys == 1 && first.routeCount == 2)
    }

    @Test("a delta without a change moves the cursor alone")
    func emptyDelta() {
        let first = makeTable([makeLease(1)])
        let later = RouteCursor(snapshot: "9:9:", epoch: "test")
        let second = first.applying(RouteDelta(cursor: later, endpoints: [.shared]))
        #expect(second.generation == first.generation && second.cursor == later && second.routeCount == 1)
        #expect(second.allEndpoints == [.shared])
        #expect(second.applying(RouteDelta(cursor: later, endpoints: [])).generation == first.generation + 1)
    }

    @Test("landlords, endpoints and settings follow a delta")
    func deltaOfTheRest() {
        let ada = Landlord(id: uid(1), name: "Ada", isEnabled: true, signature: nil)
        let bea = Landlord(id: uid(2), name: "Bea", isEnabled: false, signature: "{landlord}: ")
        let first = makeTable([makeLease(1, until: -3)], landlords: [ada])
        #expect(first.landlord(uid(1)) == ada && first.landlord(uid(2)) == nil)
        #expect(first.endpoint(Endpoint.shared.reference) == .shared)
        let second = first.applying(
            RouteDelta(
                cursor: cursor, landlords: [uid(1): nil, uid(2): bea], endpoints: [.owned(by: 2)],
                settings: RouteSettings(leaseGraceDays: 1)))
        #expect(second.landlord(uid(1)) == nil && second.landlord(uid(2)) == bea)
        #expect(second.statistics.landlords == 1)
        #expect(second.endpoint(Endpoint.shared.reference) == nil)
        #expect(second.allEndpoints == [.owned(by: 2)])
        #expect(second.candidates(phone: .ann).candidates.isEmpty)
        #expect(second.compacted().landlord(uid(2)) == bea)
    }

    @Test("compaction empties the overlay and changes no answer")
    func compaction() {
        let changes = Dictionary(
            uniqueKeysWithValues: (0..<UInt64(RoutingTable.overlayLimit + 1)).map { number in
                let key = PhoneKey(folded: 447_900_000_000 + number)
                return (key, [makeLease(number + 10, key: key)])
            })
        let changed = makeTable([makeLease(1)]).applying(
            RouteDelta(cursor: cursor, routes: changes, endpoints: [.shared]))
        #expect(changed.needsCompaction)
        let compacted = changed.compacted()
        #expect(!compacted.needsCompaction)
        #expect(compacted.statistics.overlayEntries == 0)
        #expect(compacted.generation == changed.generation)
        #expect(compacted.routeCount == changes.count + 1 && compacted.statistics.keys == changes.count + 1)
        for (key, routes) in changes.prefix(500) {
            #expect(compacted.candidates(phone: key).running == RouteList(routes))
        }
        #expect(compacted.candidates(phone: .ann).running == [makeLease(1)])
    }

    @Test("a reload continues the generation")
    func reloadContinuesGeneration() {
        let first = makeTable([makeLease(1)])
        var builder = RoutingTableBuilder()
        builder.add(.routes([makeLease(1), makeLease(2)]))
        #expect(builder.rowCount == 2)
        #expect(builder.finish(cursor: cursor, replacing: first).generation == first.generation + 1)
    }

    @Test("a table that takes another's place counts on from there, changed or not")
    func replacing() {
        let old = (0..<4).reduce(makeTable([makeLease(1)])) { table, step in
            table.applying(RouteDelta(cursor: cursor, routes: [.bob: [makeLease(UInt64(step + 2), key: .bob)]]))
        }
        let fresh = makeTable([makeLease(1)])
        #expect(fresh.applying(RouteDelta(cursor: cursor), replacing: old).generation == old.generation + 1)
        let changed = fresh.applying(RouteDelta(cursor: cursor, routes: [.bob: []]), replacing: old)
        #expect(changed.generation > old.generation)
    }

    @Test("a number given for very many tenants is found in full")
    func manyTenantsOfOneNumber() {
        let office = (1...5000).map { makeLease($0, landlord: $0 % 7, from: -Int32($0 % 90)) }
        let table = makeTable(office + [makeLease(9000, key: .bob)])
        #expect(table.routeCount(of: .ann) == 5000)
        #expect(table.candidates(phone: .ann).candidates.count == 7)
        #expect(table.candidates(phone: .bob).only?.leaseID == uid(9000))
        #expect(table.statistics.keys == 2)
    }

    @Test("every number is found, however many there are and however long, and no other", arguments: [1, 77, 120_000])
    func findsEveryNumber(count: Int) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var leases: [PhoneKey: Int] = [:]
        while leases.count < count {
            let digits = Int.random(in: 8...15, using: &generator)
            let start = (1..<digits).reduce(UInt64(1)) { power, _ in power * 10 }
            let key = PhoneKey(folded: UInt64.random(in: start..<start * 10, using: &generator))
            leases[key] = Bool.random(using: &generator) ? 1 : Int.random(in: 1...18, using: &generator) / 6 + 1
        }
        let routes = leases.flatMap { key, count in (0..<count).map { makeLease(UInt64($0), key: key) } }
        for table in [makeTable(routes), makeTable(routes).compacted()] {
            #expect(table.routeCount == routes.count && table.statistics.keys == count, "seed \(seed)")
            #expect(leases.allSatisfy { table.routeCount(of: $0) == $1 }, "seed \(seed)")
            let others = (0..<20_000).map { _ in PhoneKey(folded: generator.next() >> UInt64.random(in: 14...40)) }
            #expect(others.allSatisfy { table.routeCount(of: $0) == leases[$0] ?? 0 }, "seed \(seed)")
        }
    }

    @Test("days that no calendar of ours holds are kept as the nearest")
    func farDays() {
        let ancient = makeLease(1, from: -2_000_000, until: 2_000_000)
        let running = makeTable([ancient]).candidates(phone: .ann).running
        #expect(running.map(\.leaseID) == [uid(1)])
        #expect(running.first?.validFrom == CalendarDay(year: 1900, month: 1, day: 1))
        let gone = makeLease(1, from: nil, until: -2_000_000)
        #expect(makeTable([gone]).candidates(phone: .ann).candidates.isEmpty)
    }

    @Test("the table in use is nobody's until the first is published")
    func liveTable() {
        let live = LiveRoutingTable()
        #expect(live.snapshot == nil)
        #expect(live.asOf == nil)
        let moment = ContinuousClock.now
        live.publish(makeTable([makeLease(1)]), asOf: moment)
        #expect(live.snapshot?.routeCount == 1 && live.asOf == moment)
        live.publish(makeTable([]), asOf: moment)
        #expect(live.snapshot?.routeCount == 0)
    }

    @Test("an old table's memory is given back when its last reader ends")
    func oldTableIsReleased() {
        let live = LiveRoutingTable(makeTable([makeLease(1)]))
        weak var old: RoutingTable?
        do {
            let reader = live.snapshot
            old = reader
            live.publish(makeTable([makeLease(2)]), asOf: .now)
            #expect(old != nil)
            withExtendedLifetime(reader) {}
        }
        #expect(old == nil)
    }

    @Test("readers and the writer do not disturb each other")
    func concurrentReaders() async {
        let live = LiveRoutingTable(makeTable([makeLease(1)]))
        await withTaskGroup { group in
            for _ in 0..<4 {
                group.addTask {
                    var last: UInt64 = 0
                    for _ in 0..<2000 {
                        guard let snapshot = live.snapshot else { return #expect(Bool(false)) }
                        #expect(snapshot.generation >= last)
                        last = snapshot.generation
                        #expect(snapshot.candidates(phone: .ann).candidates.count == 1)
                    }
                }
            }
            group.addTask {
                for step in 2..<500 {
                    guard let table = live.snapshot else { return }
                    let delta = RouteDelta(cursor: cursor, routes: [.ann: [makeLease(UInt64(step))]])
                    live.publish(table.applying(delta), asOf: .now)
                }
            }
        }
    }
}
