import GatewayTesting
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct NumberHistoryTests {
    private static let a = RecorderWorld.tess
    private static let b: UInt64 = 447_911_222_222
    private static let c: UInt64 = 447_911_333_333

    private func move(_ world: RecorderWorld, _ old: UInt64, _ new: UInt64, at moment: String = "now()") async throws
        -> String?
    {
        try await world.value("SELECT gateway.change_identity('phone', '', '\(old)', '\(new)', \(moment))")
    }

    @Test func aChainOfMovesKeepsPersonAndLease() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        _ = try await move(world, Self.a, Self.b)
        _ = try await move(world, Self.b, Self.c)
        #expect(try await world.holder(of: Self.c) == world.person(of: "w1"))
        #expect(try await world.leases(of: Self.c) == [RecorderWorld.tessLease])
        #expect(try await world.leases(of: Self.a) == [])
        #expect(try await world.count("people") == 1)
        // Told again, late and by another of our numbers, when somebody else has the number between.
        try await world.record([world.message("w2", from: Self.b, .unclaimed, at: RecorderWorld.present)])
        _ = try await move(world, Self.a, Self.b, at: "now() - interval '1 minute'")
        #expect(try await world.holder(of: Self.b) == world.person(of: "w2"))
        #expect(try await world.leases(of: Self.b) == [])
        #expect(try await world.count("people") == 2)
    }

    @Test func aNoticeThatComesAfterTheFirstMessageJoins() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: Self.b, .unclaimed)])
        for _ in 1...3 { _ = try await move(world, Self.a, Self.b) }
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(try await world.leases(of: Self.b) == [RecorderWorld.tessLease])
        #expect(try await world.confusion() == nil)
    }

    @Test func aNoticeOlderThanThePresentHolderLeavesThemAlone() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        _ = try await move(
            world, Self.a, Self.c,
            at:
                "'\(RecorderWorld.clock.seconds)'::double precision::text::interval + 'epoch'::timestamptz - interval '1 hour'"
        )
        #expect(try await world.holder(of: Self.a) == world.person(of: "w1"))
    }

    @Test func whoComesBackHasBothSides() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        _ = try await move(world, Self.a, Self.b)
        _ = try await move(world, Self.b, Self.a)
        #expect(try await world.holder(of: Self.a) == world.person(of: "w1"))
        #expect(try await world.holder(of: Self.b) == nil)
        #expect(try await world.leases(of: Self.a) == [RecorderWorld.tessLease])
        #expect(try await world.count("people") == 1)
    }

    /// Nobody told of the move: the message from the new number does. What a landlord wrote under the old number since then
    /// is about its next holder, also for the very message that tells.
    @Test(arguments: [(1, true), (0, true), (-2, false), (-3600, false)])
    func aMessageFromANewNumberSaysThatTheOldOneWasLeft(secondsBefore: Int, isTheirs: Bool) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, account: "GB.1", RecorderWorld.toTess)])
        let moved = world.message("w2", from: Self.b, account: "GB.1", RecorderWorld.toTess)
        try await world.owner.execute(
            "UPDATE gateway.routes SET learnt_at = to_timestamp(\(moved.sentAt.seconds - Int64(secondsBefore)))")
        var question = ThreadQuestion(
            endpoint: world.endpoint, phone: PhoneKey(folding: Self.b), accountID: "GB.1", quotedMessageID: nil,
            sentAt: moved.sentAt)
        #expect(try await world.lookup.routes(for: [question])[0].count == (isTheirs ? 1 : 0))
        question.phone = PhoneKey(folding: Self.a)
        #expect(try await world.lookup.routes(for: [question])[0].count == 1)
        switch try await world.recorder.record(world.batch([moved], after: world.claim())) {
        case .recorded: #expect(isTheirs)
        case .staleRoutes(let stale): #expect(!isTheirs && stale.map(\.message) == [0] && stale[0].routes.isEmpty)
        case .fenced: Issue.record("fenced")
        }
    }

    /// Both are known tenants, of different landlords: nobody is merged, the conflict is listed, and what comes from the
    /// number is asked about rather than guessed.
    @Test func aNumberOfAnotherTenantIsAConflict() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tomLease)'")
        try await world.record([
            world.message("w1", from: Self.a, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTim),
        ])
        _ = try await move(world, Self.a, RecorderWorld.tom)
        #expect(try await world.person(of: "w1") != world.person(of: "w2"))
        #expect(try await world.holder(of: RecorderWorld.tom) == world.person(of: "w1"))
        #expect(try await world.leases(of: RecorderWorld.tom) == [RecorderWorld.tessLease, RecorderWorld.timLease])
        let row = try await world.owner.query(
            "SELECT reason, times, array_to_string(phones_a || phones_b, ' '), array_to_string(landlords_a || landlords_b, ' ') FROM gateway.open_conflicts()"
        ).one()
        #expect(try row.text(0) == "number_change")
        #expect(try row.int32(1) == 1)
        #expect(try row.text(2) == PhoneNumber(digits: RecorderWorld.tom)?.masked)
        // Which of the two is person a is a matter of ids made in one millisecond.
        #expect(Set(try row.text(3).split(separator: " ")) == ["Ann", "Bob"])
        // A human decides; threads and messages stay where they are.
        try await world.owner.execute("SELECT gateway.close_conflict(id, true) FROM gateway.open_conflicts()")
        #expect(try await world.person(of: "w1") == world.person(of: "w2"))
        #expect(try await world.thread(of: "w1") != world.thread(of: "w2"))
        #expect(try await world.count("open_conflicts()") == 0)
        #expect(try await world.confusion() == nil)
        let error = await #expect(throws: PostgresError.self) {
            try await world.owner.execute("SELECT gateway.close_conflict(id, true) FROM gateway.identity_conflicts")
        }
        #expect(error?.sqlState == "ZR404")
    }

    /// Two numbers that change hands crosswise: nobody gets the other's mail alone.
    @Test func aSwapOfTwoNumbersIsNeverGuessed() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tomLease)'")
        try await world.record([
            world.message("w1", from: Self.a, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTim),
        ])
        _ = try await move(world, Self.a, RecorderWorld.tom)
        _ = try await move(world, RecorderWorld.tom, Self.a)
        for phone in [Self.a, RecorderWorld.tom] {
            #expect(try await world.leases(of: phone).count != 1, "\(phone)")
        }
        #expect(try await world.confusion() == nil)
    }

    @Test func peopleOfDifferentOwnersAreNeverOne() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.people (id, realm) VALUES
              ('a0000000-0000-0000-0000-000000000001', ''), ('a0000000-0000-0000-0000-000000000002', '\(RecorderWorld.ann)')
            """)
        let error = await #expect(throws: PostgresError.self) {
            try await world.owner.execute(
                "SELECT gateway.absorb_person('a0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000001')"
            )
        }
        #expect(error?.sqlState == "ZR007")
    }

    @Test func whoIsAbsorbedBringsJobsQuestionsAndConflicts() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.people (id) SELECT ('a0000000-0000-0000-0000-00000000000' || n)::uuid FROM generate_series(1, 3) n;
            INSERT INTO gateway.outbox (kind, idempotency_key, person_id, payload)
              VALUES ('ask', 'x', 'a0000000-0000-0000-0000-000000000002', '{}');
            INSERT INTO gateway.outbox_dead (id, kind, outcome, idempotency_key, person_id, payload, attempts, created_at)
              VALUES (99, 'ask', 'refused', 'y', 'a0000000-0000-0000-0000-000000000002', '{}', 1, now());
            SELECT gateway.record_conflict('a0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000003', 'x', '{}');
            SELECT gateway.absorb_person('a0000000-0000-0000-0000-000000000002', 'a0000000-0000-0000-0000-000000000001')
            """)
        let heir = "a0000000-0000-0000-0000-000000000001"
        #expect(try await world.value("SELECT person_id FROM gateway.outbox") == heir)
        #expect(try await world.value("SELECT person_id FROM gateway.outbox_dead") == heir)
        #expect(try await world.value("SELECT person_a FROM gateway.open_conflicts()") == heir)
        #expect(try await world.confusion() == nil)
    }

    /// Ids of pages and Instagram accounts, and of linked portfolios. A parent id never decides beside another.
    @Test func everyKindOfAccountIDIsLearnt() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.endpoints (kind, provider_id, scope) VALUES ('messenger', 'PG', 'platform'), ('instagram', 'IG', 'platform')
            """)
        for (kind, idKind) in [("messenger", "psid"), ("instagram", "igsid")] {
            let row = try await world.owner.query(
                "SELECT id, provider_id, id_scope FROM gateway.endpoints WHERE kind = '\(kind)'"
            ).one()
            let reference = EndpointReference(kind: EndpointKind(rawValue: kind)!, providerID: try row.text(1))
            for id in ["1", "2"] {
                var message = world.message("\(kind)-\(id)", from: nil, account: "page-user", .unclaimed)
                message.endpoint = Endpoint(
                    id: try row.id(0), reference: reference, ownerID: nil, phoneScope: "",
                    accountIDScope: try row.text(2))
                try await world.record([message])
            }
            #expect(try await world.person(of: "\(kind)-1") == world.person(of: "\(kind)-2"))
            #expect(
                try await world.value(
                    "SELECT count(*) FROM gateway.identities WHERE kind = '\(idKind)' AND scope = '\(try row.text(1))'")
                    == "1")
        }
        #expect(try await world.person(of: "messenger-1") != world.person(of: "instagram-1"))

        func message(_ id: String, _ phone: UInt64?, _ account: String?, _ parent: String) -> RecordedMessage {
            var message = world.message(id, from: phone, account: account, .unclaimed)
            message.message.sender.parentAccountID = parent
            return message
        }
        try await world.record([message("p1", Self.b, "GB.1", "GB.ENT.1")])
        try await world.record([message("p2", nil, nil, "GB.ENT.1")])
        #expect(try await world.person(of: "p2") == world.person(of: "p1"))
        try await world.record([message("p3", Self.c, "GB.9", "GB.ENT.1")])
        #expect(try await world.person(of: "p3") != world.person(of: "p1"))
        #expect(try await world.count("identity_conflicts") == 0)
    }

    /// A couple shares a number: the database chooses the lease that the table's list does.
    @Test(arguments: (0..<4).map { _ in UInt64.random(in: 0...UInt64.max) })
    func theLeaseThatSpeaksIsTheOneOfTheList(seed: UInt64) async throws {
        let world = try await RecorderWorld()
        var generator = SeededGenerator(seed: seed)
        func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }
        for number in 0..<40 {
            let phone = 447_911_700_000 + number
            for _ in 0...roll(4) {
                let from = roll(4) == 0 ? "NULL" : "current_date - \(roll(300) - 40)"
                let until = roll(3) == 0 ? "NULL" : "current_date + \(roll(200) - 100)"
                try await world.owner.execute(
                    """
                    WITH t AS (INSERT INTO public.tenants (user_id, name, phone) VALUES ('\(RecorderWorld.ann)', 'x', '+\(phone)') RETURNING id)
                    INSERT INTO public.leases (tenant_id, property_id, status, start_date, end_date)
                      SELECT t.id, 'aaaaaaaa-0000-0000-0000-0000000000a1', '\(roll(3) == 0 ? "ended" : "active")', \(from), \(until) FROM t
                    """)
            }
        }
        let table = try await world.loadTable()
        let today = RecorderWorld.present.day
        for number in 0..<40 {
            let key = PhoneKey(folding: UInt64(447_911_700_000 + number))
            let list = table.candidates(phone: key, account: nil, endpoint: world.endpoint, today: today)
            let speaking = try await world.value(
                "SELECT (gateway.speaking_lease('\(RecorderWorld.ann)', \(key.value))).lease_id")
            let recorded = try await world.owner.query(
                """
                SELECT lease_id::text, valid_from - '1970-01-01'::date, lease_status = 'active' FROM gateway.sender_lease(
                  '\(RecorderWorld.ann)', \(key.value), '', \(key.value), 'bsuid', 'PF', NULL, now(), 30)
                """
            ).first
            let note: Comment = "seed \(seed), number \(number)"
            guard let listed = list.counting.first else {
                #expect(speaking == nil, note)
                continue
            }
            #expect(try recorded?.text(0) == speaking, note)
            #expect(try recorded?.nullableInt32(1) == listed.validFrom?.daysSince1970, note)
        }
    }
}
