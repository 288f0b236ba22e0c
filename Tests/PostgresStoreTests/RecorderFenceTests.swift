import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct RecorderFenceTests {
    @Test func anUnknownJournalIsMadeKnownAtItsStart() async throws {
        let world = try await RecorderWorld()
        let first = try await world.claim()
        #expect(first.position == .start)
        #expect(!first.wasKnown)
        let second = try await world.claim()
        #expect(second.wasKnown)
        #expect(second.journal == first.journal)
    }

    @Test func aBatchFromAnotherPositionWritesNothing() async throws {
        let world = try await RecorderWorld()
        var checkpoint = try await world.claim()
        checkpoint = Checkpoint(journal: checkpoint.journal, position: JournalPosition(5), wasKnown: true)
        let before = try await world.everything()
        let result = try await world.recorder.record(
            world.batch([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)], after: checkpoint))
        guard case .fenced(let found) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(found?.position == .start)
        #expect(try await world.everything() == before)
    }

    @Test func whoeverClaimsLastIsTheOwner() async throws {
        let world = try await RecorderWorld()
        let mine = try await world.claim()
        let other = UniqueID("90000000-0000-0000-0000-0000000000bb")!
        _ = try await world.recorder.claim(JournalIdentity(id: RecorderWorld.journal, owner: other))
        let message = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
        guard case .fenced = try await world.recorder.record(world.batch([message], after: mine)) else {
            Issue.record("the former owner recorded")
            return
        }
        guard case .recorded = try await world.recorder.record(world.batch([message], after: mine, owner: other)) else {
            Issue.record("the owner did not record")
            return
        }
    }

    @Test func aJournalTheDatabaseForgotIsFencedWithoutACheckpoint() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        try await world.owner.execute("DELETE FROM gateway.journal_checkpoints")
        guard case .fenced(nil) = try await world.recorder.record(world.batch(after: checkpoint)) else {
            Issue.record("recorded without a checkpoint")
            return
        }
    }

    @Test func aCommitWhoseAnswerWasLostCountsAsRecordedWithItsVerdicts() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        let batch = world.batch(
            [
                world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
                world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTim),
                world.message("w3", from: RecorderWorld.tom, .held([])),
            ], after: checkpoint)
        _ = try await world.recorder.record(batch)
        let before = try await world.everything()
        guard case .recorded(let outcome) = try await world.recorder.record(batch) else {
            Issue.record("not recorded")
            return
        }
        #expect(outcome.counts.routed == 1 && outcome.counts.withheld == 1 && outcome.counts.held == 1)
        #expect(outcome.counts.duplicate == 0)
        #expect(try await world.everything() == before)
    }

    @Test func theConnectionIsMadeAgainAfterTheServerEndedIt() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        let batch = world.batch(
            [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)], after: checkpoint)
        try await world.owner.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE usename = '\(RecorderWorld.login)' AND datname = current_database()
            """)
        await #expect(throws: RecorderError.self) { _ = try await world.recorder.record(batch) }
        guard case .recorded = try await world.recorder.record(batch) else {
            Issue.record("not recorded")
            return
        }
        #expect(try await world.count("whatsapp_messages") == 1)
    }

    @Test func anErrorThatIsNotTheDatasIsUnavailable() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        try await world.owner.execute(
            "ALTER TABLE gateway.whatsapp_messages DETACH PARTITION gateway.whatsapp_messages_default")
        let far = RecorderWorld.clock.advanced(bySeconds: 400 * 86_400)
        let batch = world.batch(
            [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess, at: far)], after: checkpoint)
        let error = await #expect(throws: RecorderError.self) { _ = try await world.recorder.record(batch) }
        guard case .unavailable = error else {
            Issue.record("a missing partition was blamed on the data")
            return
        }
    }
}

@Suite(.serialized) struct RecorderStaleRouteTests {
    /// What happens to Tom's lease between the decision and the commit.
    @Test(arguments: [
        "UPDATE public.leases SET status = 'cancelled' WHERE id = '\(RecorderWorld.tomLease)'",
        "DELETE FROM public.leases WHERE id = '\(RecorderWorld.tomLease)'",
        "UPDATE public.leases SET end_date = current_date - 60 WHERE id = '\(RecorderWorld.tomLease)'",
        "UPDATE public.leases SET start_date = current_date + 60 WHERE id = '\(RecorderWorld.tomLease)'",
        "UPDATE public.tenants SET phone = '+447911000099' WHERE name = 'Tom'",
        "UPDATE public.properties SET user_id = '\(RecorderWorld.bob)' WHERE user_id = '\(RecorderWorld.ann)'",
    ])
    func oneRouteThatNoLongerHoldsKeepsTheWholeBatchBack(_ change: String) async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        try await world.owner.execute(change)
        let before = try await world.everything()
        let batch = world.batch(
            [
                world.message("w1", from: 4_479_119_999, .unclaimed),
                world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTom),
            ], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        #expect(stale.map(\.message) == [1])
        #expect(try await world.everything() == before)
        #expect(try await world.claim().position == .start)
    }

    @Test func theRoutesTheSenderHasNowComeBack() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        try await world.owner.execute(
            "UPDATE public.leases SET status = 'cancelled' WHERE id = '\(RecorderWorld.tomLease)'")
        let batch = world.batch([world.message("w1", from: RecorderWorld.tom, RecorderWorld.toTom)], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        let route = try #require(stale.first?.routes.first)
        #expect(stale[0].routes.count == 1)
        #expect(route.landlordID == RecorderWorld.bob)
        #expect(route.propertyID == RecorderWorld.bobHome)
        #expect(route.isActive)
        #expect(route.key == PhoneKey(folding: RecorderWorld.tom))
    }

    @Test func routesOfANumberSomebodyLeftAreNotItsNextHolders() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '447911222222', now())")
        let checkpoint = try await world.claim()
        try await world.owner.execute("UPDATE public.properties SET user_id = '\(RecorderWorld.bob)'")
        let batch = world.batch(
            [
                world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess, at: RecorderWorld.present),
                world.message("w3", from: 447_911_222_222, RecorderWorld.toTess),
            ], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        // the number is from before the move, whoever owns the house since
        #expect(stale.map(\.routes.count) == [0, 1])
        try await world.owner.execute(
            """
            UPDATE public.tenants SET phone = NULL WHERE name = 'Tess';
            UPDATE public.tenants SET phone = '+44 7911 123456' WHERE name = 'Tess'
            """)
        guard case .staleRoutes(let anew) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        // written down after the move: meant for the number's present holder
        #expect(anew.map(\.routes.count) == [1, 0])
    }

    @Test func aThreadThatIsAnotherLandlordsIsStale() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let thread = try #require(try await world.thread(of: "w1"))
        let forged = ThreadReference(
            conversationID: thread, landlordID: RecorderWorld.bob, tenantID: nil, propertyID: nil, isQuoted: true,
            lastMessageAt: nil, lastOutboundAt: nil)
        let checkpoint = try await world.claim()
        let batch = world.batch(
            [world.message("w2", from: RecorderWorld.tess, .thread(forged, rung: .quoted))], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        #expect(stale.map(\.message) == [0])
    }

    @Test func aLeaseInItsDaysOfGraceStillHolds() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            "UPDATE public.leases SET status = 'ended', end_date = current_date - 3 WHERE id = '\(RecorderWorld.tomLease)'"
        )
        let outcome = try await world.record([world.message("w1", from: RecorderWorld.tom, RecorderWorld.toTom)])
        #expect(outcome.counts.routed == 1)
    }
}
