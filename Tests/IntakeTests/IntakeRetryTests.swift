import GatewayTesting
import Intake
import Journal
import Messaging
import Routing
import Testing

@Suite("Intake: outages", .timeLimit(.minutes(1)))
struct IntakeRetryTests {
    private static let delays: [Duration] =
        [100, 200, 400, 800, 1600, 3200, 5000, 5000].map { .milliseconds($0) }

    @Test("the same batch is tried again until it is recorded, after pauses that grow to the limit")
    func growingPauses() async {
        let world = World()
        world.appendMessages(3)
        world.faults.change { $0[.record] = Self.delays.map { _ in .unavailable } }
        await world.run { _ in
            for (number, delay) in Self.delays.enumerated() {
                await world.clock.untilSomebodySleeps(for: delay)
                #expect(world.turnstile.count(of: .record) == number + 1)
                #expect(world.commits.isEmpty)
                world.clock.advance(by: delay)
            }
            await world.journal.untilConfirmed(3)
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
        }
        #expect(world.commits == [0...3])
        #expect(world.recorded == messageIDs(3))
        #expect(world.events.all { if case .recovered = $0 { true } else { nil } } == [true])
        #expect(world.events.all { if case .retrying(_, let delay) = $0 { delay } else { nil } } == Self.delays)
    }

    @Test("each outage begins with the shortest pause")
    func pausesBeginAnew() async {
        var world = World()
        world.limits.batchEntriesMax = 1
        world.appendMessages(2)
        world.turnstile.hold(.record)
        world.faults.change { $0[.record] = [.unavailable, .unavailable] }
        await world.passingTime {
            await world.run { _ in
                await world.turnstile.untilHeld(.record)
                world.turnstile.release(.record)
                await world.journal.untilConfirmed(1)
                world.faults.change { $0[.record] = [.unavailable] }
                world.appendMessages(1, from: 3)
                await world.journal.untilConfirmed(3)
            }
        }
        let delays = world.events.all { if case .retrying(_, let delay) = $0 { delay } else { nil } }
        #expect(delays == [.milliseconds(100), .milliseconds(200), .milliseconds(100)])
    }

    @Test(
        "whatever the database cannot do for a while is done later, once",
        arguments: [
            IntakeTurnstile.Call.claim, .record, .threads, .redriveRequests,
        ])
    func databaseAway(call: IntakeTurnstile.Call) async {
        let world = World()
        for number in 1...25 { world.append(.message("m\(number)", from: number % 2 == 0 ? .tenant : .stranger)) }
        world.faults.change { $0[call] = Array(repeating: .unavailable, count: 4) }
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25))
        #expect(world.commits == [0...10, 10...20, 20...25])
    }

    @Test("a journal that cannot be read for a while is read later")
    func journalUnreadable() async {
        let world = World()
        world.appendMessages(25)
        world.journalFaults.change { $0[.read] = 5 }
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25))
        #expect(world.events.all { if case .retrying(let reason, _) = $0 { reason } else { nil } }.count == 5)
    }

    @Test("nothing is decided before the routing table is loaded")
    func tableMissing() async {
        let world = World()
        world.table.change { $0 = nil }
        world.appendMessages(2)
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: .milliseconds(100))
            world.clock.advance(by: .milliseconds(100))
            await world.clock.untilSomebodySleeps(for: .milliseconds(200))
            #expect(world.turnstile.count(of: .record) == 0)
            world.table.change { $0 = makeTable() }
            world.clock.advance(by: .milliseconds(200))
            await world.journal.untilConfirmed(2)
        }
        #expect(world.counts(at: 1) == .only(.routed))
    }

    @Test("a commit whose answer was lost is not made twice")
    func answerLost() async {
        let world = World()
        world.appendMessages(25)
        world.faults.change { $0[.record] = [.answerLost, .answerLost, .unavailable, .answerLost] }
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25))
        #expect(world.commits == [0...10, 10...20, 20...25])
        #expect((1...25).allSatisfy { world.counts(at: $0) == .only(.routed) })
        #expect(world.reconciliations == [.begin])
    }

    @Test("a message whose lease changed hands goes to who has it now")
    func staleLease() async {
        let world = World()
        let moved = lease(9, of: .tenant, landlord: 2)
        world.database.change { $0.leases = standardLeases.filter { $0.key != Person.tenant.key } + [moved] }
        world.append(.message("m1", from: .tenantOfTwo), .message("m2"), .message("m3", from: .tenantOfNoReader))
        await world.runToEnd()
        #expect(world.counts(at: 1) == VerdictCounts([.held, .routed, .withheld]))
        #expect(world.landlord(of: "m2") == uid(2))
        #expect(world.events.all { if case .staleRoutes(let messages) = $0 { messages } else { nil } } == [1])
    }

    @Test(
        "a message whose lease is gone is asked about anew",
        arguments: [
            ([], Verdict.unclaimed), ([lease(8, of: .tenant, landlord: 2), lease(9, of: .tenant, landlord: 3)], .held),
        ] as [([Route], Verdict)])
    func leaseGone(routes: [Route], verdict: Verdict) async {
        let world = World()
        world.database.change { $0.leases = routes }
        world.append(.message("m1"))
        await world.runToEnd()
        #expect(world.counts(at: 1) == .only(verdict))
        #expect(world.turnstile.count(of: .threads) == 1)
    }

    @Test("routes that never hold are tried with pauses, and nothing is recorded by them")
    func neverHolds() async {
        let world = World()
        world.append(.message("m1"))
        let routes = [StaleRoute(message: 0, routes: standardLeases.filter { $0.key == Person.tenant.key })]
        world.faults.change { $0[.record] = Array(repeating: .stale(routes), count: 7) }
        await world.runToEnd()
        #expect(world.counts(at: 1) == .only(.routed))
        #expect(world.turnstile.count(of: .record) == 8)
        #expect(world.events.all { if case .retrying = $0 { true } else { nil } }.count == 1)
    }

    @Test("so is what waited while a refused update beside it was looked for")
    func decidedAnewBesideRefused() async {
        let leases = [lease(8, of: .tenant, landlord: 2), lease(9, of: .tenant, landlord: 3)]
        let world = World(routes: { question, _ in question.phone == Person.tenant.key ? leases : [] })
        world.poison.change { $0 = ["bad": "22021"] }
        world.faults.change { $0[.rehearse] = Array(repeating: .unavailable, count: 6) }
        world.append(.message("m1"), .message("bad"))
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: .milliseconds(100))
            world.table.change { $0 = makeTable(leases) }
            await world.passingTime { await world.journal.untilConfirmed(1) }
        }
        #expect(world.counts(at: 1) == VerdictCounts([.held, .parked]))
    }

    @Test("a message whose endpoint is gone is parked until there is one again")
    func endpointGone() async {
        let world = World()
        world.append(.message("m1"))
        world.faults.change { $0[.record] = Array(repeating: .stale([StaleRoute(message: 0, routes: [])]), count: 5) }
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: .milliseconds(100))
            world.table.change { $0 = makeTable(endpoints: []) }
            world.clock.advance(by: .milliseconds(100))
            await world.journal.untilConfirmed(1)
        }
        #expect(world.counts(at: 1) == .only(.parked))
        #expect(world.parked.map(\.reason) == ["unknown_endpoint"])
    }

    /// The tenant's only lease became two while the database was away.
    @Test(
        "what waited for the database is decided as things are then: by the new table, or by what the database says",
        arguments: [true, false], [World.Call.record, .threads])
    func decidedAnew(isStale: Bool, call: World.Call) async {
        let leases = [lease(8, of: .tenant, landlord: 2), lease(9, of: .tenant, landlord: 3)]
        let world = World(routes: { question, _ in question.phone == Person.tenant.key ? leases : [] })
        let stale = Watched(false)
        let intake = world.makeIntake(isStale: { stale.value })
        world.append(.message("m1"), .message("m2", quoting: "q"))
        world.faults.change { $0[call] = [.unavailable, .unavailable] }
        await world.run(intake) { _ in
            await world.clock.untilSomebodySleeps(for: .milliseconds(100))
            if isStale { stale.change { $0 = true } } else { world.table.change { $0 = makeTable(leases) } }
            world.clock.advance(by: .milliseconds(100))
            await world.clock.untilSomebodySleeps(for: .milliseconds(200))
            world.clock.advance(by: .milliseconds(200))
            await world.journal.untilConfirmed(1)
        }
        #expect(world.counts(at: 1) == VerdictCounts([.held, .routed]))
    }
}

extension World {
    func landlord(of message: String) -> UniqueID? {
        switch database.records.messages[.init(endpoint: Endpoint.shared.id, id: message)]?.destination {
        case .lease(let candidate, _): candidate.landlordID
        case .thread(let thread, _): thread.landlordID
        case .landlord(let id, _): id
        case .held, .unclaimed, nil: nil
        }
    }
}
