import Messaging
import Testing

@testable import Routing

@Suite struct RouteIndexTests {
    @Test("a key comes back from its place, however many lines there are")
    func placesAreReversible() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        let counts = [RouteIndex.lineCountMin, RouteIndex.lineCountMin + 1, 12_345, 1 << 17, 1_111_112, 33_333_334]
        for count in counts {
            for step in 0..<2000 {
                let key = step < 2 ? UInt64(step) * (1 << 43 - 1) : generator.next() >> 21
                let mixed = RouteIndex.mix(key)
                let place = RouteIndex.place(mixed, among: count)
                #expect(RouteIndex.unmix(mixed) == key, "seed \(seed)")
                #expect((0..<count).contains(place.line) && place.lane >= 0 && place.lane < 1 << 30, "seed \(seed)")
                #expect(RouteIndex.mixed(line: place.line, lane: place.lane, among: count) == mixed, "seed \(seed)")
            }
        }
    }

    /// Numbers whose mixed keys lie side by side: they all want the same line.
    private static func neighbours(_ count: Int, from mixed: UInt64) -> [PhoneKey] {
        var keys: [PhoneKey] = []
        var next = mixed
        while keys.count < count {
            let number = RouteIndex.unmix(next)
            if PhoneNumber(digits: number) != nil { keys.append(PhoneKey(folded: number)) }
            next += 1
        }
        return keys
    }

    @Test(
        "numbers that all want one line are found, and no others", arguments: [1, 14, 15, 16, 31, 200, 3000],
        [0, 1 << 42, 1 << 43 - 40_000] as [UInt64])
    func collisions(count: Int, start: UInt64) {
        let keys = Self.neighbours(count * 2, from: start)
        var leases: [Route] = []
        for (number, key) in keys.prefix(count).enumerated() {
            for lease in 0...number % 3 { leases.append(makeLease(UInt64(number * 4 + lease), key: key)) }
        }
        for table in [makeTable(leases), makeTable(leases.reversed()).compacted()] {
            #expect(table.routeCount == leases.count && table.statistics.keys == count)
            #expect(keys.prefix(count).enumerated().allSatisfy { table.routeCount(of: $1) == $0 % 3 + 1 })
            #expect(keys.dropFirst(count).allSatisfy { table.routeCount(of: $0) == 0 })
            #expect(table.routeCount(of: keys) == leases.count)
            let found = keys.prefix(count).flatMap { key in
                var routes: [Route] = []
                table.forEachRoute(of: key) { routes.append($0) }
                return routes
            }
            #expect(Set(found) == Set(leases))
        }
    }

    @Test("a number given for very many tenants leaves its neighbours in the line alone")
    func manyTenantsBesideNeighbours() {
        let keys = Self.neighbours(9, from: 77)
        let leases = (0..<5000).map { makeLease($0, key: keys[4]) } + keys.map { makeLease(9000, key: $0) }
        let table = makeTable(leases)
        #expect(keys.map { table.routeCount(of: $0) } == [1, 1, 1, 1, 5001, 1, 1, 1, 1])
        #expect(table.routeCount(of: keys) == 5009)
        table.prefetch(keys)
    }
}

@Suite struct RoutingTableModelTests {
    /// What a table should hold: a plain dictionary.
    private struct Model {
        var routes: [PhoneKey: [Route]] = [:]
        var keys: [PhoneKey]
        var nextLease: UInt64 = 0
    }

    @Test(
        "agrees with a dictionary through changes, removals, compactions and growth",
        arguments: (0..<8).map { _ in UInt64.random(in: 0...UInt64.max) })
    func agreesWithDictionary(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var model = Model(keys: Self.keys(using: &generator))
        var table = makeTable([])
        compare(table, model, seed)
        for step in 0..<40 {
            let delta = change(&model, Int.random(in: 1...1 << (step % 10), using: &generator), using: &generator)
            let before = (table, table.routeCount, table.statistics.keys)
            table = table.applying(delta)
            #expect(before.0.routeCount == before.1 && before.0.statistics.keys == before.2, "seed \(seed)")
            switch Int.random(in: 0..<4, using: &generator) {
            case 0: table = table.compacted()
            case 1: table = makeTable(model.routes.values.joined().shuffled(using: &generator))
            default: break
            }
            compare(table, model, seed)
        }
    }

    /// Numbers of every length, some in a row, some that want the same line, and some that are very long.
    private static func keys(using generator: inout SeededGenerator) -> [PhoneKey] {
        var keys = (0..<60).map { PhoneKey(folded: 447_911_000_000 + UInt64($0)) }
        let mixed = UInt64.random(in: 0..<1 << 42, using: &generator)
        keys += (0..<60).map { PhoneKey(folded: RouteIndex.unmix(mixed + $0)) }
        keys += (0..<200).map { _ in
            PhoneKey(folded: UInt64.random(in: 10_000_000...999_999_999_999_999, using: &generator))
        }
        return Array(Set(keys.filter { PhoneNumber(digits: $0.value) != nil }))
    }

    private func change(
        _ model: inout Model, _ count: Int, using generator: inout SeededGenerator
    ) -> RouteDelta {
        var delta = RouteDelta(cursor: cursor, endpoints: [.shared])
        for _ in 0..<count {
            guard let key = model.keys.randomElement(using: &generator) else { continue }
            let leases = Int.random(in: 0..<4, using: &generator) * Int.random(in: 0..<3, using: &generator)
            let held = (0..<leases).map { _ in
                model.nextLease += 1
                return makeLease(model.nextLease, key: key, landlord: model.nextLease % 5)
            }
            model.routes[key] = held.isEmpty ? nil : held
            delta.routes[key] = held
        }
        return delta
    }

    private func compare(_ table: RoutingTable, _ model: Model, _ seed: UInt64) {
        #expect(table.routeCount == model.routes.values.map(\.count).reduce(0, +), "seed \(seed)")
        #expect(table.statistics.keys == model.routes.count, "seed \(seed)")
        #expect(table.routeCount(of: model.keys) == table.routeCount, "seed \(seed)")
        for key in model.keys {
            var found: [Route] = []
            table.forEachRoute(of: key) { found.append($0) }
            let expected = model.routes[key] ?? []
            guard Set(found) == Set(expected), found.count == expected.count else {
                Issue.record("seed \(seed): \(key.value) has \(found.count) leases, expected \(expected.count)")
                return
            }
        }
    }
}

@Suite struct AccountIndexTests {
    private static func key(_ hash: UInt64) -> AccountIndex.Key { AccountIndex.Key(hash: hash) }
    private static func link(_ number: UInt64) -> AccountIndex.Link {
        AccountIndex.Link(person: .init(uid(number)), key: PhoneKey(folded: number))
    }

    @Test(
        "agrees with a dictionary, also where hashes lie side by side", arguments: [0, 1, 3, 40, 5000],
        [0, 56] as [UInt64])
    func agreesWithDictionary(count: Int, shift: UInt64) {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var plain: [AccountIndex.Key: [AccountIndex.Link]] = [:]
        var entries: [AccountIndex.Entry] = []
        for number in 0..<UInt64(count) {
            let key = Self.key(generator.next() >> shift)
            plain[key, default: []].append(Self.link(number))
            entries.append(AccountIndex.Entry(key: key, link: Self.link(number)))
        }
        var index = AccountIndex(entries)
        for step in 0..<300 as Range<UInt64> {
            let key = Self.key(generator.next() >> shift)
            let links = (0..<step % 3).map { Self.link(10_000 + $0) }
            index[key] = links
            plain[key] = links.isEmpty ? nil : links
            if step % 100 == 99 { index = index.merged() }
        }
        #expect(index.count == plain.count, "seed \(seed)")
        #expect(plain.allSatisfy { index[$0] == $1 }, "seed \(seed)")
        let others = (0..<500).map { _ in Self.key(generator.next() >> shift) }
        #expect(others.allSatisfy { index[$0] == plain[$0] ?? [] }, "seed \(seed)")
    }
}
