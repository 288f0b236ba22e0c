import Delivery
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// What rules order, as the recording statement carries it out.
@Suite(.serialized) struct RuleOrderTests {
    private func actions(_ world: RecorderWorld) async throws -> [String] {
        try await world.owner.query(
            "SELECT concat_ws(' ', rule, action, value, outcome, detail) FROM gateway.rule_actions ORDER BY at, id"
        ).map { row throws(PostgresError) in try row.text(0) }
    }

    private func answers(_ world: RecorderWorld) async throws -> [OutboxJob] {
        try await PostgresOutboxStore(world.configuration).claim(
            kind: .metaSend, worker: "w", limit: 50, leaseSeconds: 60)
    }

    @Test("tags, priority and the answers that count come along when two people turn out to be one")
    func merged() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.ordering("w1", [.tag("leak"), world.reply("one")])])
        let other = "a0000000-0000-0000-0000-00000000000b"
        try await world.owner.execute(
            """
            INSERT INTO gateway.people (id, realm) SELECT '\(other)', realm FROM gateway.people;
            INSERT INTO gateway.whatsapp_conversations
                (landlord_id, tenant_id, person_id, endpoint_id, channel, last_message_at, tags, priority)
              SELECT landlord_id, tenant_id, '\(other)', endpoint_id, channel, last_message_at, '{old}', 'high'
                FROM gateway.whatsapp_conversations;
            SELECT gateway.absorb_person(id, '\(other)') FROM gateway.people WHERE id <> '\(other)'
            """)
        #expect(
            try await world.value(
                """
                SELECT string_agg((c.tags, c.priority, c.person_id = '\(other)', a.person_id = '\(other)')::text, ' ')
                  FROM gateway.whatsapp_conversations c, gateway.rule_actions a WHERE a.outcome = 'queued'
                """) == "(\"{leak,old}\",high,t,t)")
    }

    @Test("tags and priority show in the thread, and on a held message until it is released")
    func tags() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.ordering("w1", [.tag("leak"), .raisePriority]),
            world.ordering("w2", [.tag("a \"b\"\u{1}"), .tag("leak")]),
            world.ordering(
                "w3", [.tag("later"), .raisePriority], from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim)),
        ])
        #expect(
            try await world.value(
                "SELECT (array_to_string(tags, '|'), priority)::text FROM gateway.whatsapp_conversations")
                == "(\"a \"\"b\"\"\u{1}|leak\",high)")
        #expect(
            try await world.value(
                "SELECT routing_metadata -> 'tags' ->> 0 FROM gateway.whatsapp_messages WHERE wamid = 'w2'")
                == "a \"b\"\u{1}")
        try await world.owner.execute(
            """
            SELECT gateway.inbox_assign(id, '\(RecorderWorld.ann)', '10000000-0000-0000-0000-000000000002', 'root')
              FROM gateway.whatsapp_messages WHERE wamid = 'w3'
            """)
        let tom = try #require(try await world.thread(of: "w3"))
        #expect(
            try await world.value(
                "SELECT (tags, priority)::text FROM gateway.whatsapp_conversations WHERE id = $1", .id(tom))
                == "({later},high)")
    }

    @Test("STOP is on the record, is not passed on, and its receipt is the last thing that leaves")
    func stop() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
        var stop = world.ordering("w1", [.optOut, world.reply("You hear no more from us.")], body: "STOP")
        stop.isWithheld = true
        let outcome = try await world.record([stop])
        #expect(outcome.counts.withheld == 1 && outcome.counts.routed == 0 && outcome.answered == 1)
        #expect(try await world.status(of: "w1") == "by_rule")
        #expect(try await world.value("SELECT count(*) FROM gateway.outbox WHERE kind = 'landlord_forward'") == "0")
        #expect(
            try await world.value("SELECT (action, purpose, source, wording)::text FROM gateway.consent_events")
                == "(revoke,all,inbound_keyword,STOP)")
        try await world.record([world.ordering("w2", [world.reply("Hello.")], rule: "other")])
        #expect(try await answers(world).map(\.permission) == ["ok"])
        try await world.owner.execute("DELETE FROM gateway.outbox WHERE purpose = 'receipt'")
        #expect(try await answers(world).map(\.permission) == ["stopped_all"])
        try await world.record([world.ordering("w3", [.optIn], body: "START")])
        #expect(
            try await world.value(
                "SELECT DISTINCT gateway.may_send(person_id, NULL, 'service') FROM gateway.consent_events") == "ok")
        #expect(try await world.value("SELECT gateway.verify_consent_chain()") == nil)
    }

    @Test("what a rule withheld from a landlord who was off stays withheld once they are on")
    func withheldTwice() async throws {
        let world = try await RecorderWorld()
        var stop = world.ordering("w1", [.optOut], from: RecorderWorld.tom, RecorderWorld.toTim, body: "STOP")
        stop.isWithheld = true
        try await world.record([stop, world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTim)])
        #expect(try await world.status(of: "w1") == "opted_out")
        try await world.owner.execute("UPDATE public.user_profiles SET whatsapp_enabled = true")
        #expect(
            try await world.value("SELECT gateway.release_thread(id) FROM gateway.whatsapp_conversations") == "2")
        #expect(try await world.status(of: "w1") == "by_rule")
        #expect(try await world.status(of: "w2") == "delivered")
    }

    @Test("an automatic answer stands in the thread, and does not count as the landlord's word")
    func reply() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.ordering("w1", [world.reply("We are closed.")])])
        let job = try #require(await answers(world).first)
        #expect(job.message?.text == "We are closed." && job.message?.form == .text && job.permission == "ok")
        #expect(
            try await world.value(
                """
                SELECT (m.body, m.landlord_signature, m.status, m.landlord_id, c.last_outbound_at)::text
                  FROM gateway.whatsapp_messages m JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id
                 WHERE m.direction = 'outgoing'
                """) == "(\"We are closed.\",,queued,\(RecorderWorld.ann),)")
        #expect(try await world.verdicts() == VerdictCounts([.routed: 1]))
    }

    @Test("a stranger is answered, too, with a template where the rule says so")
    func template() async throws {
        let world = try await RecorderWorld()
        var generator = SystemRandomNumberGenerator()
        let id = UniqueID.make(at: RecorderWorld.clock, using: &generator)
        let action = RecordedOrder.Action.replyTemplate(id: id, name: "hello", language: "de", againAfterSeconds: 60)
        try await world.record([world.ordering("w1", [action], from: 447_911_777_777, .unclaimed)])
        let job = try #require(await answers(world).first)
        #expect(job.message?.form == .template(name: "hello", language: "de"))
        #expect(job.message?.recipient == .phone(PhoneNumber(digits: 447_911_777_777)!))
        try await PostgresOutboxStore(world.configuration).accepted(job, providerID: "wamid.t")
        #expect(try await world.status(of: "wamid.t") == "delivered")
    }

    @Test("a rule answers a person once in its time, and all rules together a few times an hour")
    func answersEnough() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.ordering("w1", [world.reply("one")]), world.ordering("w2", [world.reply("two")]),
        ])
        #expect(try await actions(world) == ["r reply one queued", "r reply two suppressed answered_already"])
        try await world.owner.execute("UPDATE gateway.rule_actions SET at = at - interval '2 hours'")
        #expect(try await world.record([world.ordering("w3", [world.reply("three")])]).answered == 1)
        for rule in 1...6 {
            try await world.record([world.ordering("x\(rule)", [world.reply("again")], rule: "x\(rule)")])
        }
        #expect(
            try await world.value("SELECT count(*) FROM gateway.rule_actions WHERE detail = 'too_many_answers'") == "2")
    }

    @Test("our own numbers are never answered")
    func ownNumber() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.ordering("w1", [world.reply("hello")], from: 447_700_900_000, .unclaimed)])
        #expect(try await actions(world) == ["r reply hello suppressed own_number"])
        #expect(try await world.count("outbox") == 0)
    }

    @Test("what nobody takes up by itself is listed until somebody has")
    func notices() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.ordering("w1", [.notify("Gas!"), .notify("Fire!")], rule: "gas")])
        let inbox = PostgresInbox(world.owner)
        let notices = try await inbox.notices(limit: 9)
        #expect(
            Set(notices.map { "\($0.rule) \($0.action) \($0.value ?? "")" }) == ["gas notify Gas!", "gas notify Fire!"])
        #expect(notices.allSatisfy { $0.landlordName == "Ann" })
        #expect(try await inbox.close(notices: [notices[0].id], actor: "root") == 1)
        #expect(try await inbox.close(notices: [notices[0].id], actor: "root") == 0)
        #expect(try await inbox.notices(limit: 9).map(\.id) == [notices[1].id])
        #expect(try await world.value("SELECT count(*) FROM gateway.audit_log WHERE action = 'inbox.notices'") == "1")
    }

    @Test("a message goes to the landlord a rule names while there is such a landlord")
    func assigned() async throws {
        let world = try await RecorderWorld()
        let stranger: UInt64 = 447_911_777_777
        let outcome = try await world.record([
            world.message("w1", from: stranger, .landlord(RecorderWorld.ann, rung: .rule))
        ])
        #expect(outcome.counts.routed == 1)
        #expect(
            try await world.value("SELECT (landlord_id, tenant_id)::text FROM gateway.whatsapp_conversations")
                == "(\(RecorderWorld.ann),)")
        let checkpoint = try await world.claim()
        let nobody = world.message("w2", from: stranger, .landlord(UniqueID(high: 9, low: 9), rung: .rule))
        guard case .staleRoutes = try await world.recorder.record(world.batch([nobody], after: checkpoint)) else {
            Issue.record("a message went to nobody")
            return
        }
    }

    @Test("what was decided, and by which rules, stands with the message")
    func metadata() async throws {
        let world = try await RecorderWorld()
        var message = world.ordering("w1", [])
        message.matchedRules = ["a", "b-c"]
        let checkpoint = try await world.claim()
        var batch = world.batch([message], after: checkpoint)
        batch.rulesGeneration = 4
        _ = try await world.recorder.record(batch)
        #expect(
            try await world.value("SELECT routing_metadata FROM gateway.whatsapp_messages")
                == #"{"rung": "only_candidate", "lease": "\#(RecorderWorld.tessLease)", "rules": 4, "table": 17, "matched": ["a", "b-c"]}"#
        )
    }
}

extension RecorderWorld {
    func ordering(
        _ id: String, _ actions: [RecordedOrder.Action], rule: String = "r", from phone: UInt64 = tess,
        _ destination: RecordedMessage.Destination = toTess, body: String = "hello"
    ) -> RecordedMessage {
        var message = message(id, from: phone, destination, body: body)
        message.orders = actions.map { RecordedOrder(rule: rule, action: $0) }
        return message
    }

    func reply(_ text: String) -> RecordedOrder.Action {
        var generator = SystemRandomNumberGenerator()
        return .reply(id: .make(at: Self.clock, using: &generator), text: text, againAfterSeconds: 3600)
    }
}

extension VerdictCounts {
    fileprivate init(_ counts: [Verdict: Int]) {
        self.init()
        for (verdict, count) in counts { self[verdict] = count }
    }
}
