import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Somebody moves more than once, and the notices come in any order.
@Suite(.serialized) struct NoticeChainTests {
    private static let numbers: [UInt64] = [RecorderWorld.tess, 447_911_222_222, 447_911_333_333, 447_911_444_444]

    static let orders = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]]

    /// The notice of the move from one number of the chain to the next; some seconds lie between two.
    private func tell(_ world: RecorderWorld, _ move: Int) async throws {
        try await world.owner.execute(
            """
            SELECT gateway.change_identity('phone', '', '\(Self.numbers[move])', '\(Self.numbers[move + 1])',
              now() - interval '\(30 - 10 * move) seconds', 'notice', \(Self.numbers[move + 1]))
            """)
    }

    /// Long before all of the moves: whose the lease is, is no question of seconds.
    private func makeWorld() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        let before = RecorderWorld.clock.advanced(bySeconds: -3600)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess, at: before)])
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = now() - interval '1 hour'")
        return world
    }

    @Test(arguments: orders, [0, 1, 2, 3])
    func isOnePersonInTheEnd(_ order: [Int], strangerAt: Int) async throws {
        let world = try await makeWorld()
        // a number on the way was written from before its notice came
        let seen = RecorderWorld.present.advanced(bySeconds: Int64(-25 + 10 * (strangerAt - 1)))
        if strangerAt > 0 {
            try await world.record([world.message("w2", from: Self.numbers[strangerAt], .unclaimed, at: seen)])
        }
        for move in order { try await tell(world, move) }
        for move in order { try await tell(world, move) }
        #expect(try await world.holder(of: Self.numbers[3]) == world.person(of: "w1"))
        for number in Self.numbers.dropLast() { #expect(try await world.holder(of: number) == nil) }
        #expect(try await world.leases(of: Self.numbers[3]) == [RecorderWorld.tessLease])
        #expect(try await world.leases(of: RecorderWorld.tess) == [])
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL") == "1")
        #expect(try await world.count("open_conflicts()") == 0)
        #expect(try await world.confusion() == nil)
    }

    /// Somebody has the number in the middle by the time the first notice comes: they stay alone.
    @Test func theNextHolderOfANumberOnTheWayIsNotTouched() async throws {
        let world = try await makeWorld()
        try await tell(world, 1)
        try await world.record([
            world.message("next", from: Self.numbers[1], .unclaimed, at: RecorderWorld.present.advanced(bySeconds: -5))
        ])
        try await tell(world, 0)
        #expect(try await world.holder(of: Self.numbers[2]) == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.numbers[1]) == world.person(of: "next"))
        #expect(try await world.person(of: "next") != world.person(of: "w1"))
        #expect(try await world.leases(of: Self.numbers[1]) == [])
        #expect(try await world.leases(of: Self.numbers[2]) == [RecorderWorld.tessLease])
    }

    /// Two humans had the number in the middle, one after the other, and the notice of the first comes last.
    @Test func whoCameToTheNumberFromElsewhereIsSomebodyElse() async throws {
        let world = try await makeWorld()
        let tom = RecorderWorld.tom
        try await world.record([
            world.message("w2", from: tom, .unclaimed, at: RecorderWorld.clock.advanced(bySeconds: -3600))
        ])
        for (old, new, seconds) in [(tom, Self.numbers[1], 20), (Self.numbers[1], Self.numbers[2], 10)] {
            try await world.owner.execute(
                "SELECT gateway.change_identity('phone', '', '\(old)', '\(new)', now() - interval '\(seconds) seconds')"
            )
        }
        try await tell(world, 0)
        #expect(try await world.holder(of: Self.numbers[2]) == world.person(of: "w2"))
        #expect(try await world.person(of: "w1") != world.person(of: "w2"))
        #expect(try await world.confusion() == nil)
    }

    /// Somebody else is known to have had the number in the middle, and is taken for the one who left it.
    @Test(arguments: [false, true])
    func aNumberThatWasLeftIsNobodysByAnOlderNotice(showsBefore: Bool) async throws {
        let world = try await makeWorld()
        let middle = Self.numbers[1]
        try await world.record([
            world.message("w2", from: middle, .unclaimed, at: RecorderWorld.clock.advanced(bySeconds: -3600))
        ])
        func next(_ id: String) async throws {
            let at = RecorderWorld.present.advanced(bySeconds: -5)
            try await world.record([world.message(id, from: middle, account: "GB.9", .unclaimed, at: at)])
        }
        try await tell(world, 1)
        if showsBefore { try await next("early") }
        for _ in 1...2 { try await tell(world, 0) }
        #expect(try await world.holder(of: RecorderWorld.tess) == nil)
        #expect(try await world.holder(of: middle) == (showsBefore ? world.person(of: "early") : nil))
        try await next("late")
        #expect(try await world.person(of: "late") == world.holder(of: middle))
        #expect(try await world.person(of: "late") != world.person(of: "w1"))
        #expect(try await world.leases(of: middle, account: "GB.9") == [])
        #expect(try await world.confusion() == nil)
    }

    /// Who moved on has a thread with another landlord: a human decides, and meanwhile nobody has the number between.
    @Test func twoWithThreadsOfTheirOwnAreListed() async throws {
        let world = try await makeWorld()
        try await world.rent(Self.numbers[2], from: RecorderWorld.bob)
        try await tell(world, 1)
        let lease = try #require(try await world.leases(of: Self.numbers[2]).first)
        let candidate = RecorderWorld.candidate(RecorderWorld.bob, PhoneKey(folding: Self.numbers[2]).value)
        try await world.record([
            world.message(
                "w2", from: Self.numbers[2], .lease(candidate, rung: .onlyCandidate), at: RecorderWorld.present)
        ])
        for _ in 1...2 { try await tell(world, 0) }
        #expect(try await world.person(of: "w2") != world.person(of: "w1"))
        #expect(try await world.holder(of: Self.numbers[1]) == nil)
        #expect(try await world.leases(of: Self.numbers[1]) == [])
        #expect(try await world.leases(of: Self.numbers[2]) == [lease])
        #expect(try await world.value("SELECT reason FROM gateway.open_conflicts()") == "number_change")
        try await world.owner.execute("SELECT gateway.close_conflict(id, true) FROM gateway.open_conflicts()")
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(Set(try await world.leases(of: Self.numbers[2])) == [lease, RecorderWorld.tessLease])
        #expect(try await world.confusion() == nil)
    }

    @Test func whoCameBackHasTheNumberInAnyOrder() async throws {
        let world = try await makeWorld()
        let (home, away) = (RecorderWorld.tess, Self.numbers[1])
        for (old, new, seconds) in [(away, home, 10), (home, away, 20)] {
            try await world.owner.execute(
                "SELECT gateway.change_identity('phone', '', '\(old)', '\(new)', now() - interval '\(seconds) seconds')"
            )
        }
        #expect(try await world.holder(of: home) == world.person(of: "w1"))
        #expect(try await world.holder(of: away) == nil)
        #expect(try await world.leases(of: home) == [RecorderWorld.tessLease])
    }

    /// Each gateway has one of the two notices, and neither waits for the other to be done.
    @Test(arguments: [true, false])
    func twoGatewaysMakeOnePersonOfIt(firstIsEarlier: Bool) async throws {
        let world = try await makeWorld()
        func notice(_ move: Int) -> ([RecordedMessage], [RecordedIdentityChange]) {
            let (old, new) = (PhoneNumber(digits: Self.numbers[move])!, PhoneNumber(digits: Self.numbers[move + 1])!)
            let at = RecorderWorld.present.advanced(bySeconds: Int64(10 * move - 30))
            return (
                [world.message("n\(move)", from: new.digits, .unclaimed)],
                [
                    RecordedIdentityChange(
                        endpoint: world.endpoint, messageID: "n\(move)", change: .phone(from: old, to: new), at: at)
                ]
            )
        }
        let (first, second) = firstIsEarlier ? (notice(0), notice(1)) : (notice(1), notice(0))
        let (one, two) = (world.makeGateway(1), world.makeGateway(2))
        let opened = try await one.open(first.0, first.1)
        async let other = two.record(second.0, second.1)
        try await world.untilSomebodyWaits()
        try await one.close(opened)
        _ = try await other
        #expect(try await world.holder(of: Self.numbers[2]) == world.person(of: "w1"))
        #expect(try await world.confusion() == nil)
    }
}
