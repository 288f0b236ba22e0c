import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct PeopleTests {
    private static let tess = RecorderWorld.tess
    private static let moved: UInt64 = 447_911_222_222

    private func change(_ world: RecorderWorld, _ kind: String, _ old: String, _ new: String) async throws {
        let scope = kind == "phone" ? "" : world.endpoint.accountIDScope
        _ = try await world.owner.query(
            "SELECT gateway.change_identity($1::text, $2::text, $3::text, $4::text, now())",
            [.text(kind), .text(scope), .text(old), .text(new)])
    }

    @Test func aSenderKnownByTwoIDsIsKnownByEither() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.1", RecorderWorld.toTess)])
        #expect(try await world.thread(of: "w2") == world.thread(of: "w1"))
        #expect(
            try await world.value("SELECT route_key FROM gateway.identity_feed WHERE value = 'GB.1'") == "\(Self.tess)")
        #expect(try await world.value("SELECT tenant_phone FROM gateway.whatsapp_conversations") == "\(Self.tess)")
        #expect(try await world.count("people") == 1)
    }

    @Test func aNumberChangeKeepsTheThreadAndLeavesTheNumberToItsNextHolder() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        for _ in 1...2 { try await change(world, "phone", "\(Self.tess)", "\(Self.moved)") }
        try await world.record([
            world.message("w2", from: Self.moved, account: "GB.1", RecorderWorld.toTess),
            world.message("w3", from: Self.tess, account: "GB.77", .unclaimed),
        ])
        #expect(try await world.thread(of: "w2") == world.thread(of: "w1"))
        #expect(try await world.value("SELECT tenant_phone FROM gateway.whatsapp_conversations") == "\(Self.moved)")
        #expect(try await world.person(of: "w3") != world.person(of: "w1"))
        #expect(try await world.heal(keys: [Self.tess]).isEmpty)
    }

    /// The notice was lost: the new number comes with the known account id, in a batch that touches the same threads.
    @Test func aNumberChangeSeenInAMessageShowsInAllThreadsOfThePerson() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tom, account: "GB.2", RecorderWorld.toTom),
            world.message("w2", from: RecorderWorld.tom, account: "GB.2", RecorderWorld.toTim),
        ])
        try await world.record([world.message("w3", from: Self.moved, account: "GB.2", RecorderWorld.toTom)])
        #expect(try await world.thread(of: "w3") == world.thread(of: "w1"))
        #expect(
            try await world.value(
                "SELECT string_agg(DISTINCT phone_key::text, ',') FROM gateway.whatsapp_conversations")
                == "\(Self.moved)")
    }

    @Test func anIDAnnouncedAfterItsFirstMessageJoinsTheThread() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.2", .unclaimed)])
        #expect(try await world.person(of: "w2") != world.person(of: "w1"))
        for _ in 1...2 { try await change(world, "bsuid", "GB.1", "GB.2") }
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        try await world.record([world.message("w3", from: Self.tess, account: "GB.3", RecorderWorld.toTess)])
        #expect(try await world.thread(of: "w3") != world.thread(of: "w1"))
        try await change(world, "bsuid", "GB.2", "GB.3")
        #expect(try await world.thread(of: "w3") == world.thread(of: "w1"))
    }

    @Test func peopleWithThreadsOfDifferentLandlordsAreNeverMerged() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, account: "GB.2", RecorderWorld.toTim),
        ])
        let before = try await world.person(of: "w2")
        try await change(world, "bsuid", "GB.1", "GB.2")
        #expect(try await world.person(of: "w2") == before)
        #expect(
            try await world.value(
                "SELECT person_id FROM gateway.identities WHERE value = 'GB.2' AND retired_at IS NULL")
                == world.person(of: "w1"))
        #expect(
            try await world.value("SELECT (reason, times, status)::text FROM gateway.identity_conflicts")
                == "(rotated,1,open)")
    }

    @Test func twoPeopleSeenTogetherAreAConflictAndTheAccountIDDecides() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tom, account: "GB.1", RecorderWorld.toTim),
            world.message("w2", from: Self.tess, RecorderWorld.toTess),
        ])
        let outcome = try await world.record([world.message("w3", from: Self.tess, account: "GB.1", .unclaimed)])
        #expect(outcome.identityConflicts == 1)
        #expect(try await world.person(of: "w3") == world.person(of: "w1"))
        try await world.owner.execute("SELECT gateway.close_conflict(id, false) FROM gateway.identity_conflicts")
        try await world.record([world.message("w4", from: Self.tess, account: "GB.1", .unclaimed)])
        #expect(try await world.value("SELECT count(*) FROM gateway.identity_conflicts WHERE status = 'open'") == "0")
    }

    @Test func aHumanMayMergeAConflict() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tom, account: "GB.1", RecorderWorld.toTim),
            world.message("w2", from: Self.tess, RecorderWorld.toTess),
        ])
        try await world.record([world.message("w3", from: Self.tess, account: "GB.1", .unclaimed)])
        try await world.owner.execute("SELECT gateway.close_conflict(id, true) FROM gateway.identity_conflicts")
        #expect(try await world.person(of: "w1") == world.person(of: "w2"))
        #expect(try await world.person(of: "w3") == world.person(of: "w2"))
        #expect(try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NOT NULL") == "1")
    }

    @Test func aRecycledNumberBringsANewPersonAndThread() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: Self.tess, account: "GB.2", RecorderWorld.toTess)])
        #expect(try await world.person(of: "w2") != world.person(of: "w1"))
        #expect(try await world.thread(of: "w2") != world.thread(of: "w1"))
    }

    @Test func aLandlordsOwnEndpointKnowsItsOwnPeople() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        try await world.owner.execute(
            """
            INSERT INTO gateway.endpoints (kind, provider_id, scope, landlord_id)
            VALUES ('vps_session', 's-ann', 'landlord', '\(RecorderWorld.ann)')
            """)
        let row = try await world.owner.query("SELECT id FROM gateway.endpoints WHERE kind = 'vps_session'").one()
        var message = world.message("w1", from: Self.tess, RecorderWorld.toTess)
        message.endpoint = Endpoint(
            id: try row.id(0), reference: EndpointReference(kind: .vpsSession, providerID: "s-ann"),
            ownerID: RecorderWorld.ann,
            phoneScope: "\(RecorderWorld.ann)", accountIDScope: "\(RecorderWorld.ann)/")
        let outcome = try await world.record([message])
        #expect(outcome.counts.routed == 1)
        #expect(try await world.value("SELECT count(DISTINCT person_id) FROM gateway.identities") == "2")
    }

    @Test func whatIsLearntUnderANumberSurvivesThatItsAccountIsToldLater() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE gateway.endpoints SET waba_id = NULL, portfolio_id = NULL")
        try await world.record([world.message("w1", from: Self.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.owner.execute("SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF')")
        try await world.record([world.message("w2", from: nil, account: "GB.1", RecorderWorld.toTess)])
        #expect(try await world.thread(of: "w2") == world.thread(of: "w1"))
    }
}

@Suite(.serialized) struct WaitingMessagesTests {
    @Test func anAssignmentToALandlordWhoIsOffIsWithheld() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tom, .held([]))])
        try await world.owner.execute(
            """
            SELECT gateway.inbox_assign(id, '\(RecorderWorld.bob)', '10000000-0000-0000-0000-000000000003', 'root')
              FROM gateway.whatsapp_messages
            """)
        #expect(try await world.status(of: "w1") == "opted_out")
        #expect(
            try await world.value("SELECT (action, landlord_id, detail ->> 'messages')::text FROM gateway.audit_log")
                == "(inbox.assign,\(RecorderWorld.bob),1)")
    }

    @Test func aTenantOfAnotherLandlordIsNotAssigned() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tom, .held([]))])
        let error = await #expect(throws: PostgresError.self) {
            try await world.owner.execute(
                """
                SELECT gateway.inbox_assign(id, '\(RecorderWorld.ann)', '10000000-0000-0000-0000-000000000003', 'root')
                  FROM gateway.whatsapp_messages
                """)
        }
        #expect(error?.sqlState == "ZR006")
        #expect(try await world.count("audit_log") == 0)
    }
}
