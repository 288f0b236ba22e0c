import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Testing

/// A notice that comes late tells what was a number's next holder's by the time it was thought to be its former one's.
@Suite(.serialized) struct NextHolderTests {
    private static let first = RecorderWorld.tess
    private static let second: UInt64 = 447_911_222_222

    private func ago(_ seconds: Int64) -> Timestamp { RecorderWorld.clock.advanced(bySeconds: -seconds) }

    private func makeWorld() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            "UPDATE gateway.routes SET learnt_at = to_timestamp(\(ago(7200).seconds))")
        return world
    }

    private func tell(_ world: RecorderWorld, _ kind: String, _ old: String, _ new: String, at: Timestamp) async throws
    {
        let scope = kind == "phone" ? "" : "PF"
        try await world.owner.execute(
            "SELECT gateway.change_identity('\(kind)', '\(scope)', '\(old)', '\(new)', to_timestamp(\(at.seconds)))")
    }

    private func tellThatSheMoved(_ world: RecorderWorld) async throws {
        try await tell(world, "phone", "\(Self.first)", "\(Self.second)", at: ago(900))
    }

    private func holder(_ world: RecorderWorld, of account: String) async throws -> String? {
        try await world.value(
            "SELECT person_id FROM gateway.identities WHERE kind = 'bsuid' AND value = $1 AND retired_at IS NULL",
            .text(account))
    }

    /// Tess hides her account id, or has none. The next holder of her number shows one before anything tells of a move.
    @Test func anAccountFirstShownAfterItsNumberWasLeftIsTheNextHolders() async throws {
        let world = try await makeWorld()
        try await world.record([world.message("w1", from: Self.first, RecorderWorld.toTess, at: ago(3600))])
        try await world.record([
            world.message("w2", from: Self.first, account: "GB.2", RecorderWorld.toTess, at: ago(600))
        ])
        for _ in 1...2 { try await tellThatSheMoved(world) }
        let tess = try await world.person(of: "w1")
        #expect(try await world.holder(of: Self.second) == tess)
        #expect(try await holder(world, of: "GB.2") != tess)
        #expect(try await holder(world, of: "GB.2") == world.holder(of: Self.first))
        #expect(try await world.leases(of: Self.second) == [RecorderWorld.tessLease])
        #expect(try await world.leases(of: Self.first, account: "GB.2") == [])
        // What she is filed under by now is hers alone, and so is the thread that she began.
        try await world.record([world.message("w3", from: Self.first, account: "GB.2", .unclaimed, at: ago(60))])
        #expect(try await world.person(of: "w3") == world.holder(of: Self.first))
        #expect(try await world.holder(of: Self.second) == tess)
        #expect(try await world.person(of: "w2") == tess)
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL") == "2")
        #expect(try await world.confusion() == nil)
    }

    /// Their id changed since: both are theirs.
    @Test func anAccountThatTookTheOthersPlaceGoesWithIt() async throws {
        let world = try await makeWorld()
        try await world.record([world.message("w1", from: Self.first, RecorderWorld.toTess, at: ago(3600))])
        try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(600))])
        try await tell(world, "bsuid", "GB.2", "GB.3", at: ago(500))
        try await tellThatSheMoved(world)
        try await world.record([world.message("w3", from: nil, account: "GB.2", .unclaimed, at: ago(550))])
        #expect(try await world.person(of: "w3") == holder(world, of: "GB.3"))
        #expect(try await world.person(of: "w3") == world.holder(of: Self.first))
        #expect(try await world.person(of: "w3") != world.holder(of: Self.second))
    }

    /// A notice gave the id that Tess was known by to somebody else, who has a thread of their own.
    @Test func anIdThatWasGivenToAnotherCountsForNothing() async throws {
        let world = try await makeWorld()
        try await world.record([
            world.message("w0", from: 447_911_333_333, account: "GB.0", .unclaimed, at: ago(5400))
        ])
        try await world.record([
            world.message("w1", from: Self.first, account: "GB.1", RecorderWorld.toTess, at: ago(3600))
        ])
        try await tell(world, "bsuid", "GB.0", "GB.1", at: ago(3700))
        #expect(try await holder(world, of: "GB.1") == world.person(of: "w0"))
        try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(600))])
        #expect(try await holder(world, of: "GB.2") == world.person(of: "w1"))
        try await tellThatSheMoved(world)
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        #expect(try await holder(world, of: "GB.2") == world.holder(of: Self.first))
        #expect(try await world.holder(of: Self.first) != world.person(of: "w1"))
    }

    enum Known: CaseIterable { case before, byAnother, underTheNewNumber, byAStatus }

    /// An account id that may well be hers stays hers.
    @Test(arguments: Known.allCases)
    func anAccountThatMayBeTheirsStays(known: Known) async throws {
        let world = try await makeWorld()
        try await world.record([world.message("w1", from: Self.first, RecorderWorld.toTess, at: ago(3600))])
        switch known {
        case .before:
            try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(900))])
        case .byAnother:
            try await world.record([world.message("w2", from: Self.first, account: "GB.1", .unclaimed, at: ago(1000))])
            try await tell(world, "bsuid", "GB.1", "GB.2", at: ago(890))
        case .underTheNewNumber:
            try await world.record([world.message("w2", from: Self.second, account: "GB.2", .unclaimed, at: ago(600))])
        case .byAStatus:
            try await world.owner.execute(
                """
                SELECT gateway.learn_recipients(ARRAY(SELECT id FROM gateway.endpoints LIMIT 1),
                  ARRAY[to_timestamp(\(ago(600).seconds))], ARRAY[\(Self.first)], ARRAY[\(Self.first)], '{GB.2}', '{NULL}')
                """)
        }
        try await tellThatSheMoved(world)
        #expect(try await holder(world, of: "GB.2") == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.second) == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.first) == nil)
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL") == "1")
    }

    /// The notice is recorded before it is followed, by the lease that is the next holder's.
    @Test func theRowOfTheNoticeItselfIsNoSignOfThem() async throws {
        let world = try await makeWorld()
        try await world.record([world.message("w1", from: Self.first, .unclaimed, at: ago(3600))])
        try await world.record([
            world.message("w2", from: Self.first, account: "GB.2", RecorderWorld.toTess, at: ago(600))
        ])
        var notice = world.message("w3", from: Self.first, RecorderWorld.toTess, at: ago(900))
        notice.message.type = "system"
        try await world.record([notice])
        let thread = try await world.thread(of: "w2")
        #expect(try await world.thread(of: "w3") == thread)
        try await tellThatSheMoved(world)
        #expect(try await world.person(of: "w2") == world.holder(of: Self.first))
        #expect(try await world.person(of: "w2") != world.holder(of: Self.second))
        #expect(try await world.thread(of: "w2") == thread)
    }

    /// What waits, and the threads in which Tess wrote nothing, are of whoever wrote after she had left; nothing changes
    /// its landlord.
    @Test func whatWasSentSinceIsTheNextHolders() async throws {
        let world = try await makeWorld()
        try await world.record([world.message("w1", from: Self.first, .unclaimed, at: ago(3600))])
        let tess = try await world.person(of: "w1")
        try await world.owner.execute(
            """
            INSERT INTO gateway.questions (endpoint_id, person_id, choices, expires_at)
              SELECT id, '\(tess ?? "")', '[{}]', now() + interval '1 hour' FROM gateway.endpoints LIMIT 1
            """)
        try await world.record([world.message("w2", from: Self.first, account: "GB.2", .unclaimed, at: ago(600))])
        try await world.record([
            world.message("w3", from: Self.first, account: "GB.2", RecorderWorld.toTess, at: ago(500))
        ])
        let thread = try await world.thread(of: "w3")
        try await tellThatSheMoved(world)
        let next = try await world.holder(of: Self.first)
        #expect(next != tess)
        #expect(try await world.person(of: "w1") == tess)
        #expect(try await world.person(of: "w2") == next)
        #expect(try await world.person(of: "w3") == next)
        #expect(try await world.thread(of: "w3") == thread)
        #expect(try await world.value("SELECT phone_key FROM gateway.whatsapp_conversations") == "\(Self.first)")
        #expect(try await world.value("SELECT status FROM gateway.questions") == "cancelled")
        #expect(try await world.confusion() == nil)
    }
}
