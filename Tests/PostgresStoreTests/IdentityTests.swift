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

    private func holder(_ world: RecorderWorld, _ phone: UInt64) async throws -> String? {
        try await world.value(
            "SELECT person_id FROM gateway.identities WHERE kind = 'phone' AND value = '\(phone)' AND retired_at IS NULL"
        )
    }

    private func routes(_ world: RecorderWorld, _ phone: UInt64?, account: String? = nil) async throws -> [UniqueID] {
        let question = ThreadQuestion(
            endpoint: world.endpoint, phone: phone.map { PhoneKey(folding: $0) }, accountID: account,
            quotedMessageID: nil)
        return try await world.lookup.routes(for: [question])[0].map(\.leaseID).sorted()
    }

    @Test func aChainOfMovesKeepsPersonAndLease() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        _ = try await move(world, Self.a, Self.b)
        _ = try await move(world, Self.b, Self.c)
        #expect(try await holder(world, Self.c) == world.person(of: "w1"))
        #expect(try await routes(world, Self.c) == [RecorderWorld.tessLease])
        #expect(try await routes(world, Self.a) == [])
        #expect(try await world.count("people") == 1)
        // Told again, late and by another of our numbers, when somebody else has the number between.
        try await world.record([world.message("w2", from: Self.b, .unclaimed)])
        _ = try await move(world, Self.a, Self.b, at: "now() - interval '1 minute'")
        #expect(try await holder(world, Self.b) == world.person(of: "w2"))
        #expect(try await routes(world, Self.b) == [])
        #expect(try await world.count("people") == 2)
    }

    @Test func aNoticeThatComesAfterTheFirstMessageJoins() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: Self.b, .unclaimed)])
        for _ in 1...3 { _ = try await move(world, Self.a, Self.b) }
        #expect(try await world.person(of: "w2") == world.person(of: "w1"))
        #expect(try await routes(world, Self.b) == [RecorderWorld.tessLease])
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
        #expect(try await holder(world, Self.a) == world.person(of: "w1"))
    }

    @Test func whoComesBackHasBothSides() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.a, RecorderWorld.toTess)])
        _ = try await move(world, Self.a, Self.b)
        _ = try await move(world, Self.b, Self.a)
        #expect(try await holder(world, Self.a) == world.person(of: "w1"))
        #expect(try await holder(world, Self.b) == nil)
        #expect(try await routes(world, Self.a) == [RecorderWorld.tessLease])
        #expect(try await world.count("people") == 1)
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
        #expect(try await holder(world, RecorderWorld.tom) == world.person(of: "w1"))
        #expect(try await routes(world, RecorderWorld.tom) == [RecorderWorld.tessLease, RecorderWorld.timLease])
        let row = try await world.owner.query(
            "SELECT reason, times, array_to_string(phones_a || phones_b, ' '), array_to_string(landlords_a || landlords_b, ' ') FROM gateway.open_conflicts()"
        ).one()
        #expect(try row.text(0) == "number_change")
        #expect(try row.int32(1) == 1)
        #expect(try row.text(2) == PhoneNumber(digits: RecorderWorld.tom)?.masked)
        #expect(try row.text(3) == "Ann Bob")
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
            #expect(try await routes(world, phone).count != 1, "\(phone)")
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
            let chosen = try await world.value(
                "SELECT (gateway.speaking_lease('\(RecorderWorld.ann)', \(key.value))).lease_id")
            #expect(chosen == list.only.map { "\($0.leaseID)" }, "seed \(seed), number \(number)")
        }
    }
}

@Suite(.serialized) struct SenderRoutesTests {
    private static let numbers = (0..<5).map { 447_911_600_000 + UInt64($0) }

    /// People get and leave numbers and ids at random, landlords write leases under the numbers at random: the table and
    /// the database name the same leases of every sender. Of one whose number and account id contradict each other the
    /// database knows more, and names no others than the table does.
    @Test(arguments: (0..<6).map { _ in UInt64.random(in: 0...UInt64.max) })
    func theTableSaysWhatTheDatabaseSays(seed: UInt64) async throws {
        let world = try await RecorderWorld()
        var generator = SeededGenerator(seed: seed)
        func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }
        for step in 0..<60 {
            let minute = "now() - interval '\(100 - step) minutes'"
            let (phone, other, account) = (Self.numbers[roll(5)], Self.numbers[roll(5)], "GB.\(roll(5))")
            switch roll(6) {
            case 0, 1:
                try await world.owner.execute(
                    "SELECT gateway.change_identity('phone', '', '\(phone)', '\(other)', \(minute))")
            case 2:
                try await world.owner.execute(
                    "SELECT gateway.change_identity('bsuid', 'PF', '\(account)', 'GB.\(roll(5))', \(minute))")
            case 3: try await see(world, phone, nil, minute)
            case 4: try await see(world, phone, account, minute)
            default:
                try await world.owner.execute(
                    """
                    INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, phone_key, tenant_phone, lease_status, learnt_at)
                      VALUES (gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), \(phone), \(phone), 'active', \(minute) + interval '30 seconds')
                    """)
            }
        }
        let table = try await world.loadTable()
        for phone in Self.numbers.map(Optional.some) + [nil] {
            for account in (0..<5).map({ "GB.\($0)" }) + [nil] where phone != nil || account != nil {
                try await compare(world, table, phone, account, seed)
            }
        }
    }

    private func see(_ world: RecorderWorld, _ phone: UInt64, _ account: String?, _ minute: String) async throws {
        let (kinds, scopes) = account == nil ? ("'{phone}'", "'{\"\"}'") : ("'{phone,bsuid}'", "'{\"\",PF}'")
        let values = account.map { "'{\(phone),\($0)}'" } ?? "'{\(phone)}'"
        let count = account == nil ? 1 : 2
        try await world.owner.execute(
            """
            SELECT gateway.resolve_people(array_fill('\(RecorderWorld.ann)'::uuid, ARRAY[\(count)]), \(kinds), \(scopes), \(values),
              array_fill(NULL::bigint, ARRAY[\(count)]), array_fill(\(minute), ARRAY[\(count)]))
            """)
    }

    private func compare(
        _ world: RecorderWorld, _ table: RoutingTable, _ phone: UInt64?, _ account: String?, _ seed: UInt64
    ) async throws {
        let key = phone.map { PhoneKey(folding: $0) }
        let question = ThreadQuestion(endpoint: world.endpoint, phone: key, accountID: account, quotedMessageID: nil)
        let exact = Set(try await world.lookup.routes(for: [question])[0].map(\.leaseID))
        let identity = account.map { AccountIdentity(kind: .businessScopedID, scope: "PF", value: $0) }
        let list = table.candidates(
            phone: key, account: identity, endpoint: world.endpoint, today: RecorderWorld.present.day)
        let listed = Set(list.candidates.map(\.leaseID))
        let note: Comment = "seed \(seed): \(phone ?? 0) \(account ?? "-")"
        let people = try await world.value(
            """
            SELECT count(DISTINCT person_id) FROM gateway.identities WHERE retired_at IS NULL
               AND ((kind = 'phone' AND value = $1) OR (kind = 'bsuid' AND value = $2))
            """, .text(phone.map { "\($0)" } ?? ""), .text(account ?? ""))
        if phone == nil || account == nil || people == "1", try await isLinked(world, phone, account) {
            #expect(listed == exact, note)
        } else {
            #expect(exact.isSubset(of: listed), note)
        }
    }

    /// Whether what the sender shows is one person's.
    private func isLinked(_ world: RecorderWorld, _ phone: UInt64?, _ account: String?) async throws -> Bool {
        guard let phone, let account else { return true }
        return try await world.value(
            """
            SELECT count(*) FROM gateway.identities p JOIN gateway.identities a USING (person_id)
             WHERE p.kind = 'phone' AND p.value = $1 AND p.retired_at IS NULL
               AND a.kind = 'bsuid' AND a.value = $2 AND a.retired_at IS NULL
            """, .text("\(phone)"), .text(account)) == "1"
    }

    /// What the table could not know is caught by the commit.
    @Test func aLeaseUnderANumberThatSomebodyLeftIsNotTheNextHolders() async throws {
        let world = try await RecorderWorld()
        let moved: UInt64 = 447_911_222_222
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '\(moved)', now())")
        let checkpoint = try await world.claim()
        let batch = world.batch(
            [
                world.message("w2", from: RecorderWorld.tess, account: "GB.9", RecorderWorld.toTess),
                world.message("w3", from: moved, RecorderWorld.toTess),
                world.message("w4", from: nil, account: "GB.1", RecorderWorld.toTess),
                world.message("w5", from: nil, account: "GB.9", RecorderWorld.toTess),
                world.message("w6", from: moved, account: "GB.9", RecorderWorld.toTess),
            ], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        #expect(stale.map(\.message) == [0, 3, 4])
        #expect(stale.allSatisfy { $0.routes.isEmpty })
    }

    @Test func aRecycledNumberDoesNotLeadIntoItsFormerHoldersThread() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tessLease)'")
        func threads(_ account: String?) async throws -> Int {
            try await world.lookup.threads(for: [
                ThreadQuestion(
                    endpoint: world.endpoint, phone: PhoneKey(folding: RecorderWorld.tess), accountID: account,
                    quotedMessageID: nil)
            ])[0].count
        }
        #expect(try await threads("GB.1") == 1)
        #expect(try await threads(nil) == 1)
        #expect(try await threads("GB.2") == 0)
    }
}

@Suite(.serialized) struct RecorderSessionTests {
    private func tell(
        _ world: RecorderWorld, _ id: UniqueID, _ state: SessionState, at seconds: Int64, phone: UInt64? = nil
    ) async throws {
        let checkpoint = try await world.claim()
        var batch = world.batch(after: checkpoint)
        let update = SessionUpdate(
            endpoint: EndpointReference(kind: .vpsSession, providerID: "s1"), state: state,
            phone: phone.flatMap { PhoneNumber(digits: $0) }, at: Timestamp(seconds: seconds))
        batch.sessions = [RecordedSession(endpointID: id, update: update)]
        batch.webhooks = [world.webhook(batch.upTo, updates: 1, statuses: 1)]
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
    }

    private struct Failure: Error {}

    @Test func aSessionGoesForwardInTimeOnly() async throws {
        let world = try await RecorderWorld()
        let id = try await world.owner.query(
            "INSERT INTO gateway.endpoints (kind, provider_id, scope) VALUES ('vps_session', 's1', 'platform') RETURNING id"
        ).one().id(0)
        func state() async throws -> String? {
            try await world.value("SELECT (status, phone)::text FROM gateway.endpoints WHERE kind = 'vps_session'")
        }
        try await tell(world, id, .connecting, at: 1000)
        try await tell(world, id, .connected, at: 1010, phone: 447_911_555_555)
        #expect(try await state() == "(connected,447911555555)")
        try await tell(world, id, .qr, at: 1005)
        try await tell(world, id, .connecting, at: 1010)
        #expect(try await state() == "(connected,447911555555)")
        try await tell(world, id, .loggedOut, at: 1020)
        #expect(try await state() == "(logged_out,447911555555)")
        try await tell(world, id, .connected, at: 253_402_300_799)
        try await tell(world, id, .disconnected, at: 1030)
        #expect(try await state() == "(connected,447911555555)")
        #expect(try await world.verdicts().status == 7)
    }

    @Test func aFileIsNotedOnceWithItsMessage() async throws {
        let world = try await RecorderWorld()
        var routed = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
        routed.message.media = MediaReference(
            id: "media-1", mimeType: "image/jpeg", sha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            fileName: "roof.jpg")
        var unclaimed = world.message("w2", from: 447_911_999_999, .unclaimed)
        unclaimed.message.media = MediaReference(id: "media-2", sha256: String(repeating: "aB", count: 32))
        var odd = world.message("w3", from: RecorderWorld.tess, RecorderWorld.toTess)
        odd.message.media = MediaReference(id: "media-3", sha256: "not a hash")
        for _ in 1...2 { try await world.record([routed, unclaimed, odd]) }
        #expect(
            try await world.value(
                """
                SELECT string_agg(concat_ws(' ', provider_media_id, mime_type, left(encode(sha256, 'hex'), 8), file_name, landlord_id), ', '
                                  ORDER BY provider_media_id) FROM gateway.media
                """)
                == "media-1 image/jpeg e3b0c442 roof.jpg \(RecorderWorld.ann), media-2 abababab, media-3 \(RecorderWorld.ann)"
        )
    }
}

@Suite(.serialized) struct PeopleRetentionTests {
    private func age(_ world: RecorderWorld) async throws {
        try await world.owner.execute(
            """
            UPDATE gateway.people SET created_at = created_at - interval '900 days';
            UPDATE gateway.identities SET first_seen = first_seen - interval '900 days', last_seen = last_seen - interval '900 days',
              retired_at = retired_at - interval '900 days'
            """)
    }

    @Test func whatSaysWhoseALeaseIsStays() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w2", from: 447_911_999_999, account: "GB.9", .unclaimed),
        ])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '447911222222', now())")
        try await age(world)
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = learnt_at - interval '2000 days'")
        #expect(try await world.value("SELECT gateway.prune_people()") == "0")
        #expect(try await world.count("people") == 2)
        // Written again since: nothing is left to be told apart.
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = now()")
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        // The stranger's message aged out.
        try await world.owner.execute("DELETE FROM gateway.whatsapp_messages WHERE wamid = 'w2'")
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        #expect(try await world.count("people") == 1)
        #expect(
            try await world.value("SELECT string_agg(value, ' ') FROM gateway.identities") == "447911222222")
        try await world.record([world.message("w3", from: 447_911_999_999, account: "GB.9", .unclaimed)])
        #expect(try await world.confusion() == nil)
    }

    @Test func aShadowGoesOnceNothingSpeaksOfIt() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.1", .unclaimed)])
        try await world.record([world.message("w3", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        #expect(try await world.count("people") == 2)
        #expect(try await world.value("SELECT gateway.prune_people()") == "0")
        try await age(world)
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        #expect(try await world.person(of: "w3") == world.person(of: "w1"))
    }
}
