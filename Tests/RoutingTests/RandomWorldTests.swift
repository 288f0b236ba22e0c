import Messaging
import Routing
import Testing

/// The rules written down as plainly as can be, over lists that are searched from end to end.
private struct NaiveWorld {
    var routes: [Route] = []
    var identities: [IdentityLink] = []
    var settings = RouteSettings()

    func leases(of phone: PhoneKey?, account: AccountIdentity?, at endpoint: Endpoint) -> [Route] {
        let own = phone.map { phone in identities.filter { isPhone($0, phone, endpoint) && $0.routeKey != nil } } ?? []
        let links = identities.filter {
            account == AccountIdentity(kind: $0.kind, scope: $0.scope, value: $0.value) && $0.routeKey != nil
        }
        let senders = Set((own + links).map(\.personID))
        return routes.filter { route in
            guard endpoint.ownerID == nil || endpoint.ownerID == route.landlordID else { return false }
            if let phone, route.key == phone {
                // Shown with the account id of somebody who left it, it is theirs as it was then.
                let leavers = (own + links).filter { $0.routeKey == phone && hasLeft($0.personID, phone, endpoint) }
                if leavers.isEmpty {
                    return isSince(route, departures(from: route.key, endpoint, of: { !senders.contains($0) }))
                }
                return leavers.contains { reaches(route, by: $0, endpoint) }
            }
            return (own + links).contains { $0.routeKey == route.key && reaches(route, by: $0, endpoint) }
        }
    }

    private func reaches(_ route: Route, by link: IdentityLink, _ endpoint: Endpoint) -> Bool {
        let others = departures(from: route.key, endpoint, of: { $0 != link.personID })
        guard hasLeft(link.personID, route.key, endpoint),
            let left = departures(from: route.key, endpoint, of: { $0 == link.personID }).max()
        else {
            return isSince(route, others)
        }
        return route.learntAt < left && isSince(route, others.filter { $0 <= left })
    }

    /// Whether somebody left a number and does not have it again.
    private func hasLeft(_ person: UniqueID, _ key: PhoneKey, _ endpoint: Endpoint) -> Bool {
        let isBack = identities.contains { isPhone($0, key, endpoint) && $0.routeKey != nil && $0.personID == person }
        return !isBack && !departures(from: key, endpoint, of: { $0 == person }).isEmpty
    }

    private func isPhone(_ row: IdentityLink, _ key: PhoneKey, _ endpoint: Endpoint) -> Bool {
        row.kind == .phone && row.scope == endpoint.phoneScope && row.value == "\(key.value)"
    }

    private func departures(
        from key: PhoneKey, _ endpoint: Endpoint, of isWho: (UniqueID) -> Bool
    ) -> [Timestamp] {
        identities.filter { isPhone($0, key, endpoint) && isWho($0.personID) }.compactMap(\.movedAt)
    }

    private func isSince(_ route: Route, _ departures: [Timestamp]) -> Bool {
        departures.allSatisfy { route.learntAt >= $0 }
    }

    func candidates(of phone: PhoneKey?, account: AccountIdentity?, at endpoint: Endpoint) -> [Candidate] {
        let leases = leases(of: phone, account: account, at: endpoint)
        for standing in [LeaseStanding.running, .inGrace] {
            let counting = leases.filter { $0.standing(on: today, graceDays: settings.leaseGraceDays) == standing }
            let sorted = counting.sorted {
                ($0.validFrom?.daysSince1970 ?? .min, $0.leaseID) < ($1.validFrom?.daysSince1970 ?? .min, $1.leaseID)
            }
            var seen: Set<UniqueID> = []
            let firsts = sorted.filter { seen.insert($0.landlordID).inserted }
            if !firsts.isEmpty { return firsts.map { Candidate($0) } }
        }
        return []
    }
}

/// A small world, so that people, numbers and landlords meet often.
private struct Dice {
    var generator: SeededGenerator
    static let keys = (0..<40).map { PhoneKey(folded: 447_911_000_000 + UInt64($0 * $0 * 7919)) }
    static let accounts = (0..<12).map { "US.\($0)" }
    private var nextLease: UInt64 = 1

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }

    mutating func route(_ key: PhoneKey) -> Route {
        nextLease += 1
        return makeLease(
            nextLease, key: key, landlord: UInt64(1 + roll(4)),
            from: roll(4) == 0 ? nil : Int32(roll(300)) - 280, until: roll(3) == 0 ? nil : Int32(roll(160)) - 80,
            isActive: roll(4) != 0, learntAt: Int64(roll(8)))
    }

    mutating func identity() -> IdentityLink {
        let key = Self.keys[roll(Self.keys.count)]
        let person = UInt64(roll(5))
        switch roll(3) {
        case 0: return link(account: Self.accounts[roll(Self.accounts.count)], person: person, to: key)
        case 1: return link(phone: Self.keys[roll(Self.keys.count)], person: person, to: key)
        default: return departure(of: person, from: key, at: Int64(roll(8)))
        }
    }
}

@Suite struct RandomWorldTests {
    @Test(
        "full loads, deltas and compactions give what a plain search gives",
        arguments: (0..<12).map { _ in UInt64.random(in: 0...UInt64.max) })
    func agreesWithPlainSearch(seed: UInt64) {
        var dice = Dice(seed: seed)
        var world = NaiveWorld()
        for _ in 0..<60 { world.routes.append(dice.route(Dice.keys[dice.roll(Dice.keys.count)])) }
        for _ in 0..<25 { world.identities.append(dice.identity()) }
        var table = makeTable(world.routes, identities: world.identities, endpoints: [.shared, .owned(by: 2)])
        compare(table, world, seed)
        for step in 0..<12 {
            table = table.applying(change(&world, &dice))
            if step % 5 == 4 { table = table.compacted() }
            compare(table, world, seed)
        }
    }

    private func change(_ world: inout NaiveWorld, _ dice: inout Dice) -> RouteDelta {
        var delta = RouteDelta(cursor: cursor, endpoints: [.shared, .owned(by: 2)], settings: world.settings)
        for _ in 0..<dice.roll(6) {
            let key = Dice.keys[dice.roll(Dice.keys.count)]
            world.routes.removeAll { $0.key == key }
            let held = (0..<dice.roll(4)).map { _ in dice.route(key) }
            world.routes += held
            delta.routes[key] = held
        }
        for _ in 0..<dice.roll(4) {
            let row = dice.identity()
            let identity = AccountIdentity(kind: row.kind, scope: row.scope, value: row.value)
            if dice.roll(2) == 0 {
                world.identities.removeAll {
                    AccountIdentity(kind: $0.kind, scope: $0.scope, value: $0.value) == identity
                }
            } else {
                world.identities.append(row)
            }
            delta.identities[identity] = world.identities.filter {
                AccountIdentity(kind: $0.kind, scope: $0.scope, value: $0.value) == identity
            }
        }
        world.settings.leaseGraceDays = Int32(dice.roll(60))
        delta.settings = world.settings
        return delta
    }

    private func compare(_ table: RoutingTable, _ world: NaiveWorld, _ seed: UInt64) {
        #expect(table.routeCount == world.routes.count, "seed \(seed)")
        #expect(table.statistics.keys == Set(world.routes.map(\.key)).count, "seed \(seed)")
        let phones: [PhoneKey?] = Dice.keys + [nil]
        for (number, phone) in phones.enumerated() {
            let account = Dice.accounts[number % Dice.accounts.count]
            for endpoint in [Endpoint.shared, .owned(by: 2)] {
                for identity in [nil, endpoint.account(account)] {
                    let found = table.candidates(phone: phone, account: identity, endpoint: endpoint, today: today)
                    let expected = world.candidates(of: phone, account: identity, at: endpoint)
                    guard found.candidates != expected else { continue }
                    Issue.record(
                        "seed \(seed): \(phone?.value ?? 0), \(account): \(found.candidates), expected \(expected)"
                    )
                    return
                }
            }
        }
    }
}
