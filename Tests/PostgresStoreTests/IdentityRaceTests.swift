import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Two gateways record what concerns one person at the same time. Each race is steered by an open transaction.
@Suite(.serialized) struct IdentityRaceTests {
    private static let tess = RecorderWorld.tess
    private static let moved: UInt64 = 447_911_222_222
    private static let nobody: UInt64 = 447_911_333_333

    /// `first` is written and not committed; `second` begins meanwhile, and is waited for until it waits.
    private func race(
        _ world: RecorderWorld, _ first: ([RecordedMessage], [RecordedIdentityChange]),
        _ second: ([RecordedMessage], [RecordedIdentityChange])
    ) async throws {
        let (one, two) = (world.makeGateway(1), world.makeGateway(2))
        let opened = try await one.open(first.0, first.1)
        async let other = two.record(second.0, second.1)
        try await world.untilSomebodyWaits()
        try await one.close(opened)
        _ = try await other
        let confusion = try await world.confusion()
        #expect(confusion == nil)
    }

    @Test func aNewSenderIsOnePersonForBoth() async throws {
        let world = try await RecorderWorld()
        try await race(
            world, ([world.message("w1", from: Self.nobody, account: "GB.1", .unclaimed)], []),
            ([world.message("w2", from: Self.nobody, .unclaimed)], []))
        #expect(try await world.person(of: "w1") == world.person(of: "w2"))
        #expect(try await world.count("people") == 1)
    }

    /// A stranger known by an account id turns out to be Tess, while the other gateway files a message under the stranger.
    @Test(arguments: [true, false])
    func whoIsAbsorbedKeepsNothing(absorbsFirst: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.1", .unclaimed)])
        let absorbing = (
            [world.message("w3", from: Self.tess, account: "GB.1", RecorderWorld.toTess)], [RecordedIdentityChange]()
        )
        let filing = ([world.message("w4", from: nil, account: "GB.1", .held([]))], [RecordedIdentityChange]())
        try await race(world, absorbsFirst ? absorbing : filing, absorbsFirst ? filing : absorbing)
        for id in ["w2", "w3", "w4"] { #expect(try await world.person(of: id) == world.person(of: "w1")) }
    }

    /// An administrator opens a thread for somebody who is being absorbed.
    @Test func aThreadIsNotOpenedForSomebodyAbsorbed() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.1", .unclaimed)])
        let one = world.makeGateway(1)
        let opened = try await one.open([world.message("w3", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        let admin = try await PostgresConnection.connect(world.configuration)
        async let assigned: Void = admin.execute(
            """
            INSERT INTO gateway.whatsapp_conversations (landlord_id, person_id, endpoint_id)
              SELECT '\(RecorderWorld.bob)', person_id, endpoint_id FROM gateway.whatsapp_messages WHERE wamid = 'w2'
            """)
        try await world.untilSomebodyWaits()
        try await one.close(opened)
        do {
            try await assigned
            Issue.record("opened")
        } catch {
            #expect((error as? PostgresError)?.sqlState == "40001")
        }
        let confusion = try await world.confusion()
        #expect(confusion == nil)
    }

    @Test(arguments: [true, false])
    func aNumberChangeAndAMessageUnderTheNewNumberMeet(changesFirst: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        let move = IdentityChange.phone(from: PhoneNumber(digits: Self.tess)!, to: PhoneNumber(digits: Self.moved)!)
        let change = ([world.message("n1", from: Self.moved, .unclaimed)], [world.change("n1", move)])
        let message = ([world.message("w2", from: Self.moved, .unclaimed)], [RecordedIdentityChange]())
        try await race(world, changesFirst ? change : message, changesFirst ? message : change)
        for id in ["n1", "w2"] { #expect(try await world.person(of: id) == world.person(of: "w1")) }
    }

    @Test func anAliasIsLearntForWhoeverAbsorbed() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        // one person by account id and parent id, without a thread
        var both = world.message("w2", from: nil, account: "GB.1", .unclaimed)
        both.message.sender.parentAccountID = "GB.ENT.1"
        try await world.record([both])
        var more = world.message("w4", from: Self.nobody, .unclaimed)
        more.message.sender = Sender(parentAccountID: "GB.ENT.1")
        try await race(
            world, ([world.message("w3", from: Self.tess, account: "GB.1", RecorderWorld.toTess)], []),
            ([more, world.message("w5", from: nil, account: "GB.1", .unclaimed)], []))
        for id in ["w4", "w5"] { #expect(try await world.person(of: id) == world.person(of: "w1")) }
    }

    /// Somebody who took another account id turns out to be Tess, while the other gateway files a late message under the
    /// id they gave up, with a number that they had then.
    @Test func aPastNumberIsNotedForWhoeverAbsorbed() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: Self.nobody, account: "GB.1", .unclaimed)])
        try await world.makeGateway(3).record(
            [world.message("n1", from: nil, account: "GB.2", .unclaimed)],
            [world.change("n1", .account(from: "GB.1", to: "GB.2"))])
        let late = world.message(
            "w4", from: Self.moved, account: "GB.1", .unclaimed, at: RecorderWorld.clock.advanced(bySeconds: -3600))
        try await race(
            world, ([world.message("w3", from: Self.tess, account: "GB.2", RecorderWorld.toTess)], []), ([late], []))
        #expect(try await world.person(of: "w4") == world.person(of: "w1"))
        #expect(
            try await world.value(
                "SELECT count(*) FROM gateway.identities WHERE value = '\(Self.moved)' AND retired_at IS NOT NULL")
                == "1")
    }

    @Test func aRecycledNumberLeavesItsPersonOnce() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await race(
            world, ([world.message("w2", from: Self.tess, account: "GB.2", RecorderWorld.toTess)], []),
            ([world.message("w3", from: Self.tess, account: "GB.2", RecorderWorld.toTess)], []))
        #expect(try await world.thread(of: "w2") == world.thread(of: "w3"))
        #expect(try await world.thread(of: "w2") != world.thread(of: "w1"))
        #expect(
            try await world.value("SELECT count(*) FROM gateway.identities WHERE retired_reason = 'recycled'") == "1")
    }

    /// Few people with few identities, two gateways, everything at once.
    @Test(arguments: (0..<3).map { _ in UInt64.random(in: 0...UInt64.max) })
    func atRandomNobodyIsTwoAndNothingIsLost(seed: UInt64) async throws {
        let world = try await RecorderWorld()
        let phones = (0..<4).map { Self.nobody + UInt64($0) }
        await withTaskGroup(of: Void.self) { group in
            for number in 1...2 as ClosedRange<UInt64> {
                group.addTask {
                    var state = seed &+ number
                    func roll(_ sides: Int) -> Int {
                        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                        return Int(state >> 33) % sides
                    }
                    let gateway = world.makeGateway(number)
                    for step in 0..<40 {
                        let id = "w\(number)-\(step)"
                        let (phone, account) = (phones[roll(4)], "GB.\(roll(4))")
                        do {
                            switch roll(6) {
                            case 0:
                                let change = IdentityChange.phone(
                                    from: PhoneNumber(digits: phone)!, to: PhoneNumber(digits: phones[roll(4)])!)
                                try await gateway.record(
                                    [world.message(id, from: phone, .unclaimed)], [world.change(id, change)])
                            case 1:
                                let change = IdentityChange.account(from: account, to: "GB.\(roll(4))")
                                try await gateway.record(
                                    [world.message(id, from: nil, account: account, .held([]))],
                                    [world.change(id, change)])
                            case 2: try await gateway.record([world.message(id, from: phone, .unclaimed)])
                            case 3:
                                try await gateway.record([world.message(id, from: nil, account: account, .held([]))])
                            default:
                                try await gateway.record([world.message(id, from: phone, account: account, .unclaimed)])
                            }
                        } catch {
                            Issue.record("seed \(seed): \(error)")
                        }
                    }
                }
            }
        }
        let confusion = try await world.confusion()
        #expect(confusion == nil, "seed \(seed)")
        #expect(try await world.count("whatsapp_messages") == 80, "seed \(seed)")
        #expect(try await world.verdicts().total == 80, "seed \(seed)")
    }
}
