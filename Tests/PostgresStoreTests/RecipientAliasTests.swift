import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// A status says whom a message of ours went to: by a number and an account id, of one person.
@Suite(.serialized) struct RecipientAliasTests {
    private static let tess = RecorderWorld.tess
    private static let other: UInt64 = 447_911_222_222

    private func status(
        _ world: RecorderWorld, _ phone: UInt64, _ account: String, _ status: DeliveryStatus = .delivered,
        after seconds: Int64 = 10, parent: String? = nil
    ) -> RecordedStatus {
        RecordedStatus(
            endpointID: world.endpoint.id,
            status: StatusUpdate(
                endpoint: world.endpoint.reference, messageID: "out", status: status,
                at: RecorderWorld.clock.advanced(bySeconds: seconds)),
            recipient: .init(phone: PhoneNumber(digits: phone)!, accountID: account, parentAccountID: parent))
    }

    /// - Returns: what recording them came to.
    @discardableResult
    private func record(
        _ world: RecorderWorld, with messages: [RecordedMessage] = [], _ statuses: [RecordedStatus]
    ) async throws -> RecordOutcome {
        var batch = world.batch(messages, statuses: statuses.map(\.status), after: try await world.claim())
        batch.statuses = statuses
        let result = try await world.recorder.record(batch)
        guard case .recorded(let outcome) = result else { throw RecorderWorld.Unexpected(result: result) }
        return outcome
    }

    private func live(_ world: RecorderWorld) async throws -> String? {
        try await world.value(
            """
            SELECT string_agg(p.who || ':' || p.ids, ' ' ORDER BY p.ids) FROM (
              SELECT dense_rank() OVER (ORDER BY person_id) AS who, string_agg(value, '+' ORDER BY kind DESC) AS ids
                FROM gateway.identities WHERE retired_at IS NULL GROUP BY person_id) p
            """)
    }

    @Test func teachesTheAccountIDOfANumber() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        let cursor = try await PostgresRouteSourceTests.load(PostgresRouteSource(world.configuration)).cursor
        let outcome = try await record(world, [status(world, Self.tess, "GB.1", parent: "GB.ENT.1")])
        #expect(outcome.isIdentityNews && outcome.peopleResolved == 1 && outcome.identityConflicts == 0)
        #expect(try await live(world) == "1:\(Self.tess)+GB.ENT.1+GB.1")
        let delta = try #require(await PostgresRouteSource(world.configuration).changes(since: cursor))
        let account = AccountIdentity(kind: .businessScopedID, scope: "PF", value: "GB.1")
        #expect(delta.identities[account]?.map(\.routeKey) == [PhoneKey(folding: Self.tess)])
        // told again, nothing is news
        let again = try await record(world, [status(world, Self.tess, "GB.1", .read)])
        #expect(!again.isIdentityNews && again.peopleResolved == 0)
    }

    @Test func teachesTheNumberOfAnAccountID() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: nil, account: "GB.1", .unclaimed)])
        try await record(world, [status(world, Self.tess, "GB.1")])
        #expect(try await live(world) == "1:\(Self.tess)+GB.1")
        #expect(try await world.heal(accounts: ["GB.1"]) == .init(claimed: 1))
    }

    @Test func makesSomebodyKnownWhoNeverWrote() async throws {
        let world = try await RecorderWorld()
        try await record(world, [status(world, Self.tess, "GB.1"), status(world, Self.other, "GB.2")])
        #expect(try await world.count("people") == 2)
        try await world.record([world.message("w1", from: nil, account: "GB.1", .unclaimed)])
        #expect(try await world.count("people") == 2)
    }

    @Test func learnsWithTheMessagesOfTheSameBatch() async throws {
        let world = try await RecorderWorld()
        try await record(
            world, with: [world.message("w1", from: Self.tess, RecorderWorld.toTess)],
            [status(world, Self.tess, "GB.1")])
        #expect(try await live(world) == "1:\(Self.tess)+GB.1")
        #expect(try await world.count("people") == 1)
    }

    /// As from a message: two people with threads stay two, and are listed.
    @Test func ofTwoPeopleWithThreadsIsAConflict() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.tess, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, account: "GB.tom", RecorderWorld.toTom),
        ])
        try await world.owner.execute(
            "UPDATE gateway.identities SET retired_at = first_seen, retired_reason = 'recycled' WHERE value = '\(RecorderWorld.tom)'"
        )
        let outcome = try await record(world, [status(world, Self.tess, "GB.tom")])
        #expect(outcome.identityConflicts == 1)
        #expect(try await world.count("open_conflicts()") == 1)
        #expect(try await world.confusion() == nil)
    }

    /// A number that another account id has now was recycled; one status says so as one message does.
    @Test func ofARecycledNumberTakesItFromItsFormerHolder() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await record(world, [status(world, Self.tess, "GB.2")])
        #expect(try await live(world)?.split(separator: " ").count == 2)
        #expect(
            try await world.value(
                "SELECT retired_reason FROM gateway.identities WHERE value = '\(Self.tess)' AND retired_at IS NOT NULL")
                == "recycled")
    }

    enum Since: CaseIterable {
        case recycled
        case moved
        case rotated
    }

    /// A status may be told twice, or late: what is known from after it stands.
    @Test(arguments: Since.allCases)
    func fromBeforeWhatContradictsItTeachesNothing(_ since: Since) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        switch since {
        case .recycled:
            try await world.record([
                world.message(
                    "w2", from: Self.tess, account: "GB.2", .unclaimed,
                    at: RecorderWorld.clock.advanced(bySeconds: 3600))
            ])
        case .moved:
            try await world.owner.execute(
                "SELECT gateway.change_identity('phone', '', '\(Self.tess)', '\(Self.other)', now())")
        case .rotated:
            try await world.owner.execute("SELECT gateway.change_identity('bsuid', 'PF', 'GB.1', 'GB.2', now())")
        }
        let before = try await world.everything()
        let outcome = try await record(world, [status(world, Self.tess, "GB.1", after: -10)])
        #expect(outcome.peopleResolved == 0 && !outcome.isIdentityNews)
        try await world.owner.execute(
            "DELETE FROM gateway.webhook_log WHERE status_applied > 0; DELETE FROM gateway.pending_statuses")
        #expect(try await world.everything() == before)
    }

    /// One gateway has the message, the other the status.
    @Test(arguments: [true, false])
    func twoGatewaysLearnItOnce(messageFirst: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        let (one, two) = (world.makeGateway(1), world.makeGateway(2))
        let told = status(world, Self.tess, "GB.1")
        func statuses(_ gateway: RecorderWorld.Gateway) async throws {
            var batch = try await gateway.batch([])
            batch.webhooks[0].updates = 1
            batch.webhooks[0].statuses = 1
            batch.statuses = [told]
            let result = try await gateway.recorder.record(batch)
            guard case .recorded = result else { throw RecorderWorld.Unexpected(result: result) }
        }
        let message = world.message("w2", from: nil, account: "GB.1", .unclaimed)
        if messageFirst {
            let opened = try await one.open([message])
            async let other: Void = statuses(two)
            try await world.untilSomebodyWaits()
            try await one.close(opened)
            try await other
        } else {
            var batch = try await one.batch([])
            batch.webhooks[0].updates = 1
            batch.webhooks[0].statuses = 1
            batch.phase = .opens
            batch.statuses = [told]
            let result = try await one.recorder.record(batch)
            guard case .recorded = result else { throw RecorderWorld.Unexpected(result: result) }
            async let other = two.record([message])
            try await world.untilSomebodyWaits()
            batch.statuses = []
            try await one.close(batch)
            _ = try await other
        }
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(try await live(world) == "1:\(Self.tess)+GB.1")
        #expect(try await world.confusion() == nil)
    }
}
