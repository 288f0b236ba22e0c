import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite("Healing: unclaimed messages") struct UnclaimedMessagesTests {
    private static let nina = RecorderWorld.nina

    private func write(_ world: RecorderWorld, _ ids: String..., from phone: UInt64? = nina, account: String? = nil)
        async throws
    {
        for (offset, id) in ids.enumerated() {
            let at = RecorderWorld.clock.advanced(bySeconds: Int64(offset - 100))
            try await world.record([world.message(id, from: phone, account: account, .unclaimed, at: at)])
        }
    }

    @Test("move to the one landlord their sender now has: in order, unread, forwarded once, and once only")
    func oneLandlord() async throws {
        let world = try await RecorderWorld()
        try await world.forwardToLandlords()
        try await write(world, "u1", "u2", "u3")
        let logged = try await world.verdicts()
        #expect(try await world.heal(keys: [Self.nina]).isEmpty)
        let tenant = try await world.rent(Self.nina, from: RecorderWorld.ann)
        #expect(try await world.heal(keys: [Self.nina]) == .init(claimed: 3))
        #expect(try await world.heal().isEmpty)
        #expect(try await world.forwarded() == "u1 u2 u3")
        #expect(
            try await world.value(
                """
                SELECT (landlord_id, tenant_id, unread_count, lease_id IS NOT NULL, phone_key,
                        last_message_at = (SELECT max(sent_at) FROM gateway.whatsapp_messages))::text
                  FROM gateway.whatsapp_conversations
                """) == "(\(RecorderWorld.ann),\(try #require(tenant)),3,t,\(Self.nina),t)")
        #expect(
            try await world.value(
                """
                SELECT string_agg(DISTINCT (routing_metadata ->> 'rung') || ' ' || (routing_metadata ? 'claimed_at')::text, ',')
                  FROM gateway.whatsapp_messages WHERE routing_status = 'delivered' AND person_id IS NULL
                """) == "only_candidate true")
        // the log tells what was decided when the webhook came
        #expect(try await world.verdicts() == logged && logged.unclaimed == 3)
        // what comes next joins the thread
        let lease = try #require(
            try await world.table().explain(
                phone: PhoneKey(folding: Self.nina), account: nil, endpoint: world.endpoint,
                today: RecorderWorld.clock.day
            ).first?.route)
        try await world.record([world.message("w4", from: Self.nina, .lease(Candidate(lease), rung: .onlyCandidate))])
        #expect(try await world.thread(of: "w4") == world.thread(of: "u1"))
    }

    @Test("of a tenant whose landlord is off are in the thread, and withheld")
    func landlordOff() async throws {
        let world = try await RecorderWorld()
        try await world.forwardToLandlords()
        try await write(world, "u1")
        try await world.rent(Self.nina, from: RecorderWorld.bob)
        #expect(try await world.heal(keys: [Self.nina]) == .init(claimed: 1))
        #expect(try await world.status(of: "u1") == "opted_out")
        #expect(
            try await world.value("SELECT routing_metadata ->> 'withheld' FROM gateway.whatsapp_messages")
                == "opted_out")
        #expect(try await world.thread(of: "u1") != nil)
        #expect(try await world.forwarded() == nil)
    }

    @Test("of a tenant of two landlords are held with both as candidates; nobody is asked, an administrator assigns")
    func twoLandlords() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1", "u2")
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        let tenant = try await world.rent(Self.nina, from: RecorderWorld.bob)
        #expect(try await world.heal() == .init(held: 2))
        #expect(try await world.heal().isEmpty)
        #expect(try await world.status(of: "u1") == "ambiguous")
        #expect(try await world.count("outbox") == 0)
        #expect(try await world.count("questions") == 0)
        let inbox = PostgresInbox(try await PostgresConnection.connect(world.configuration))
        let held = try #require(try await inbox.messages(.held, limit: 5).first)
        #expect(held.candidatesJSON?.contains("\(RecorderWorld.ann)") == true)
        #expect(held.candidatesJSON?.contains("\(RecorderWorld.bob)") == true)
        #expect(
            try await inbox.assign(message: held.id, landlord: RecorderWorld.bob, tenant: tenant, actor: "root") == 2)
    }

    /// Tom's number is Ann's and Bob's tenants'.
    @Test("that are held go on with the answer to a later question between the same landlords, not between others")
    func answeredLater() async throws {
        let world = try await RecorderWorld()
        try await world.enableBob()
        let carl = UniqueID("cccccccc-0000-0000-0000-000000000001")!
        for (id, candidates) in [
            ("others", [RecorderWorld.ann, carl].map { RecorderWorld.candidate($0, RecorderWorld.tom) }),
            ("w1", RecorderWorld.tomOrTim),
        ] {
            let at = RecorderWorld.clock.advanced(bySeconds: -100)
            try await world.record([world.message(id, from: RecorderWorld.tom, .held(candidates), at: at)])
        }
        try await write(world, "u1", "u2", from: RecorderWorld.tom)
        #expect(try await world.heal() == .init(held: 2))
        try await world.record([world.held("w2")])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        #expect(try await world.heal().isEmpty)
        #expect(try await world.record([world.answer("tap", to: question, choice: 2)]).released == 4)
        for id in ["w1", "u1", "u2", "w2"] {
            #expect(try await world.thread(of: id) == world.thread(of: "tap"))
        }
        #expect(try await world.status(of: "others") == "ambiguous")
    }

    @Test("that are held go on when one of their landlords is left, not while they are asked about, and to no other")
    func oneLandlordLeft() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim)), world.held("w2"),
        ])
        #expect(try await world.heal().isEmpty)
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.timLease)'")
        #expect(try await world.heal(keys: [RecorderWorld.tom]).isEmpty)
        try await world.owner.execute("UPDATE gateway.questions SET status = 'expired'")
        try await world.owner.execute(
            """
            UPDATE gateway.whatsapp_messages SET routing_metadata = jsonb_set(routing_metadata, '{candidates}',
                '[{"landlord": "\(RecorderWorld.bob)"}, {"landlord": "cccccccc-0000-0000-0000-000000000001"}]')
             WHERE wamid = 'w2'
            """)
        #expect(try await world.heal(keys: [RecorderWorld.tom]) == .init(claimed: 1))
        #expect(try await world.heal().isEmpty)
        #expect(try await world.status(of: "w1") == "delivered")
        #expect(try await world.status(of: "w2") == "ambiguous")
        #expect(
            try await world.value("SELECT landlord_id FROM gateway.whatsapp_messages WHERE wamid = 'w1'")
                == "\(RecorderWorld.ann)")
    }

    @Test("on an endpoint that became a landlord's own are claimed for nobody else")
    func endpointOfAnother() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        let person = try #require(try await waiting.unclaimedPeople(after: nil, limit: 9).first)
        let sender = try #require(try await waiting.senders(among: [person]).first)
        let destination = RecordedMessage.Destination.lease(
            Candidate(try #require(sender.routes.first)), rung: .onlyCandidate)
        for (landlord, count) in [(RecorderWorld.bob, nil), (RecorderWorld.ann, 1)] {
            try await world.owner.execute(
                """
                UPDATE gateway.endpoints SET scope = 'landlord', landlord_id = '\(landlord)';
                UPDATE gateway.identities SET scope = '\(landlord)' WHERE kind = 'phone';
                UPDATE gateway.people SET realm = '\(landlord)'
                """)
            #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 9) == count)
        }
    }

    @Test("are moved in steps, oldest first")
    func steps() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1", "u2", "u3")
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        let person = try #require(try await waiting.unclaimedPeople(after: nil, limit: 9).first)
        let sender = try #require(try await waiting.senders(among: [person]).first)
        let destination = RecordedMessage.Destination.lease(
            Candidate(try #require(sender.routes.first)), rung: .onlyCandidate)
        #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 2) == 2)
        #expect(try await world.status(of: "u3") == "unknown_sender")
        #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 2) == 1)
        #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 2) == 0)
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "3")
    }

    @Test("of people who share a number at one landlord go to the oldest running lease's thread")
    func oldestLease() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        try await world.rent(Self.nina, from: RecorderWorld.ann, start: "current_date + 20")
        try await world.rent(
            Self.nina, from: RecorderWorld.ann, start: "current_date - 900", end: "current_date - 800", status: "ended")
        let older = try await world.rent(Self.nina, from: RecorderWorld.ann, start: "current_date - 90")
        try await world.rent(Self.nina, from: RecorderWorld.ann, start: "current_date - 9")
        #expect(try await world.heal() == .init(claimed: 1))
        #expect(
            try await world.value("SELECT tenant_id FROM gateway.whatsapp_conversations") == "\(try #require(older))")
    }

    @Test(
        "wait for a lease that counts, and take one in its days of grace",
        arguments: [
            ("current_date + 20", "NULL", "active", false), ("current_date - 90", "current_date - 9", "ended", true),
            ("current_date - 90", "current_date - 9", "active", true),
        ])
    func leases(_ start: String, _ end: String, _ status: String, _ counts: Bool) async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        try await world.rent(Self.nina, from: RecorderWorld.ann, start: start, end: end, status: status)
        #expect(try await world.heal() == .init(claimed: counts ? 1 : 0))
    }

    @Test("on a landlord's own number go to that landlord alone")
    func ownEndpoint() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        try await world.owner.execute(
            """
            UPDATE gateway.endpoints SET scope = 'landlord', landlord_id = '\(RecorderWorld.bob)';
            UPDATE gateway.identities SET scope = '\(RecorderWorld.bob)' WHERE kind = 'phone';
            UPDATE gateway.people SET realm = '\(RecorderWorld.bob)'
            """)
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        #expect(try await world.heal().isEmpty)
        try await world.rent(Self.nina, from: RecorderWorld.bob)
        #expect(try await world.heal() == .init(claimed: 1))
        #expect(try await world.value("SELECT landlord_id FROM gateway.whatsapp_messages") == "\(RecorderWorld.bob)")
    }

    /// Tess moves to another number; a stranger has hers now. Her lease is still filed under it.
    @Test("of a number's next holder are not given to the former holder's landlord; of the former holder, they are")
    func changedHands() async throws {
        let world = try await RecorderWorld()
        let moved: UInt64 = 447_911_222_222
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '\(moved)', now(), 'webhook', \(moved))"
        )
        try await write(world, "next", from: RecorderWorld.tess, account: "GB.next")
        try await write(world, "former", from: moved, account: "GB.tess")
        #expect(try await world.heal(keys: [RecorderWorld.tess]) == .init(claimed: 1))
        #expect(try await world.status(of: "next") == "unknown_sender")
        #expect(
            try await world.value("SELECT tenant_id FROM gateway.whatsapp_conversations")
                == "10000000-0000-0000-0000-000000000001")
        // a lease written down since is the next holder's
        try await world.rent(RecorderWorld.tess, from: RecorderWorld.bob)
        #expect(try await world.heal(keys: [RecorderWorld.tess]) == .init(claimed: 1))
        #expect(
            try await world.value("SELECT landlord_id FROM gateway.whatsapp_messages WHERE wamid = 'next'")
                == "\(RecorderWorld.bob)")
    }

    @Test("of an account id go on once it is linked to a tenant's number")
    func linkedLater() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1", from: nil, account: "GB.tess")
        #expect(try await world.heal(accounts: ["GB.tess"]).isEmpty)
        try await world.record([
            world.message("w2", from: RecorderWorld.tess, account: "GB.tess", RecorderWorld.toTess)
        ])
        #expect(try await world.heal(accounts: ["GB.other"]).isEmpty)
        #expect(try await world.heal(accounts: ["GB.tess"]) == .init(claimed: 1))
        #expect(try await world.thread(of: "u1") == world.thread(of: "w2"))
    }

    @Test("older than the window stay where they are")
    func window() async throws {
        let world = try await RecorderWorld()
        for days in [1, 29, 31] {
            let at = RecorderWorld.clock.advanced(bySeconds: Int64(days) * -86_400)
            try await world.record([world.message("u\(days)", from: Self.nina, .unclaimed, at: at)])
        }
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        #expect(try await world.heal() == .init(claimed: 2))
        #expect(try await world.status(of: "u31") == "unknown_sender")
        try await world.owner.execute("UPDATE gateway.settings SET value = '40' WHERE key = 'claim_unclaimed_days'")
        #expect(try await world.heal() == .init(claimed: 1))
    }

    @Test("go by what the database has, not by an old table; a lease that is gone at the commit moves nothing")
    func commitDecides() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        let before = try await world.table()
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        let person = try #require(try await waiting.unclaimedPeople(after: nil, limit: 9).first)
        let sender = try #require(try await waiting.senders(among: [person]).first)
        let candidate = Candidate(try #require(sender.routes.first))
        try await world.owner.execute("UPDATE public.tenants SET user_id = '\(RecorderWorld.bob)' WHERE name = 'New'")
        try await world.owner.execute(
            "UPDATE public.leases SET property_id = '\(RecorderWorld.bobHome)' WHERE start_date > '2025-06-01'")
        let destination = RecordedMessage.Destination.lease(candidate, rung: .onlyCandidate)
        #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 9) == nil)
        #expect(try await world.count("whatsapp_conversations") == 0)
        #expect(try await world.healing(before).heal(.everything) == .init(claimed: 1))
        #expect(try await world.value("SELECT landlord_id FROM gateway.whatsapp_messages") == "\(RecorderWorld.bob)")
    }

    /// The lease was written down for whoever had the number then; the notice that they left it comes in between.
    @Test("go by a lease only while it reaches their sender in the database")
    func reach() async throws {
        let world = try await RecorderWorld()
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        try await world.record([
            world.message("u1", from: Self.nina, .unclaimed, at: RecorderWorld.present.advanced(bySeconds: 5))
        ])
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        let person = try #require(try await waiting.unclaimedPeople(after: nil, limit: 9).first)
        let sender = try #require(try await waiting.senders(among: [person]).first)
        let destination = RecordedMessage.Destination.lease(
            Candidate(try #require(sender.routes.first)), rung: .onlyCandidate)
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(Self.nina)', '447911222222', now())")
        #expect(try await waiting.claim(sender, for: destination, tableGeneration: 1, limit: 9) == nil)
        #expect(try await world.status(of: "u1") == "unknown_sender")
        #expect(try await world.heal().isEmpty)
        // the landlord writes it down again, for who has the number now
        try await world.rent(Self.nina, from: RecorderWorld.bob)
        #expect(try await world.heal() == .init(claimed: 1))
        #expect(try await world.value("SELECT landlord_id FROM gateway.whatsapp_messages") == "\(RecorderWorld.bob)")
    }

    /// Somebody else's transaction undoes the claim, twice.
    @Test("are claimed by the next attempt where another transaction undid the first", arguments: ["40001", "40P01"])
    func contention(_ sqlState: String) async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1")
        try await world.rent(Self.nina, from: RecorderWorld.ann)
        try await world.owner.execute(
            """
            CREATE SEQUENCE gateway.attempts; GRANT USAGE ON SEQUENCE gateway.attempts TO PUBLIC;
            CREATE FUNCTION gateway.undo() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF nextval('gateway.attempts') <= 2 THEN RAISE EXCEPTION 'undone' USING ERRCODE = '\(sqlState)'; END IF;
              RETURN NULL;
            END $$;
            CREATE TRIGGER undo AFTER INSERT ON gateway.whatsapp_conversations
              FOR EACH ROW EXECUTE FUNCTION gateway.undo();
            """)
        #expect(try await world.heal() == .init(claimed: 1))
        #expect(try await world.value("SELECT last_value FROM gateway.attempts") == "3")
        // not for ever, and nobody else waits for it
        try await world.owner.execute(
            """
            ALTER SEQUENCE gateway.attempts RESTART; ALTER SEQUENCE gateway.attempts MINVALUE -90 RESTART -90;
            CREATE OR REPLACE TRIGGER undo AFTER INSERT ON gateway.whatsapp_conversations
              FOR EACH ROW WHEN (NEW.phone_key = \(Self.nina + 1)) EXECUTE FUNCTION gateway.undo();
            """)
        for number in [1, 2] as [UInt64] {
            try await world.record([world.message("u\(number)b", from: Self.nina + number, .unclaimed)])
            try await world.rent(Self.nina + number, from: RecorderWorld.ann)
        }
        let outcome = try await world.heal()
        #expect(outcome.claimed == 1 && outcome.failed == 1 && outcome.failure?.contains("undone") == true)
        #expect(try await world.status(of: "u1b") == "unknown_sender")
        #expect(try await world.status(of: "u2b") == "delivered")
        #expect(try await world.value("SELECT last_value FROM gateway.attempts") == "-86")
    }

    @Test("are claimed once by gateways that look at the same time")
    func race() async throws {
        let world = try await RecorderWorld()
        try await world.forwardToLandlords()
        for number in 0..<20 { try await write(world, "u\(number)", from: Self.nina + UInt64(number)) }
        for number in 0..<20 { try await world.rent(Self.nina + UInt64(number), from: RecorderWorld.ann) }
        let table = try await world.table()
        let total = try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<3 {
                let healing = try await world.healing(table)
                group.addTask { try await healing.heal(.everything).claimed }
            }
            return try await group.reduce(0, +)
        }
        #expect(total == 20)
        #expect(try await world.count("whatsapp_conversations") == 20)
        #expect(
            try await world.value(
                "SELECT string_agg(DISTINCT unread_count::text, ',') FROM gateway.whatsapp_conversations") == "1")
        #expect(try await world.count("outbox") == 20)
    }

    @Test("of a person who was absorbed meanwhile are left to the one who absorbed them")
    func absorbed() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1", from: nil, account: "GB.tess")
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        let person = try #require(try await waiting.unclaimedPeople(after: nil, limit: 9).first)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.record([
            world.message("w2", from: RecorderWorld.tess, account: "GB.tess", RecorderWorld.toTess)
        ])
        let sender = WaitingSender(
            personID: person, endpointID: world.endpoint.id, endpoint: world.endpoint.reference, phone: nil,
            accountID: "GB.tess", routes: [])
        #expect(try await waiting.claim(sender, for: RecorderWorld.toTess, tableGeneration: 1, limit: 9) == nil)
        #expect(try await world.count("whatsapp_conversations") == 1)
        #expect(try await world.heal() == .init(claimed: 1))
    }

    @Test("of strangers cost no more than their own probes: nobody hands them over")
    func strangers() async throws {
        let world = try await RecorderWorld()
        try await write(world, "u1", "u2")
        let waiting = PostgresWaitingMessages(RecorderSession(world.configuration))
        let people = try await waiting.unclaimedPeople(after: nil, limit: 9)
        #expect(people.count == 1)
        #expect(try await waiting.senders(among: people).isEmpty)
        #expect(try await waiting.unclaimedPeople(after: people[0], limit: 9).isEmpty)
    }
}
