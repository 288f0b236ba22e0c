import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// What `explain` finds on the record, as the recording statement and those after it leave it there.
@Suite(.serialized) struct ExplanationsTests {
    private func facts(_ world: RecorderWorld, _ wamid: String) async throws -> RecordedFacts {
        try #require(try await PostgresExplanations(world.session).message(providerID: wamid))
    }

    @Test("a message's record: place, generations, rules, tags, what was ordered and the answer that was queued")
    func ordered() async throws {
        let world = try await RecorderWorld()
        var message = world.ordering("w1", [.tag("a, \u{1}b"), .raisePriority, world.reply("Soon.")], rule: "r1")
        message.matchedRules = ["r1", "r2"]
        try await world.record([message])
        let facts = try await facts(world, "w1")
        #expect(facts.id == message.id && facts.isIncoming && facts.endpointID == world.endpoint.id)
        #expect(facts.place?.landlord == RecorderWorld.ann && facts.place?.landlordName == "Ann")
        #expect(facts.place?.lease == RecorderWorld.tessLease && facts.place?.propertyAddress == "1 A Street")
        #expect(
            facts.phone?.digits == RecorderWorld.tess && facts.body == "hello" && facts.routingStatus == "delivered")
        #expect(facts.metadata.rung == "only_candidate" && facts.metadata.table == 17 && facts.metadata.rules == nil)
        #expect(facts.metadata.matched == ["r1", "r2"] && facts.metadata.tags == ["a, \u{1}b"])
        #expect(facts.metadata.priority == "high")
        #expect(facts.actions.map(\.action) == ["tag", "priority", "reply"])
        #expect(facts.actions.map(\.outcome) == ["done", "done", "queued"])
        let sent = try #require(facts.actions[2].sent)
        #expect(sent.status == "queued" && sent.job == "ready" && facts.actions[0].sent == nil)
        #expect(facts.questions.isEmpty && facts.candidates.isEmpty && facts.acts.isEmpty)
        let ours = try #require(try await PostgresExplanations(world.session).message(sent.message))
        #expect(!ours.isIncoming && ours.metadata.rule == "r1" && ours.metadata.answers == message.id)
    }

    @Test("a held message's record: candidates, the question with its message; and once it is answered, by what")
    func asked() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.held("w1")])
        try await world.record([world.held("w2")])
        let held = try await facts(world, "w1")
        #expect(held.metadata.rung == "held" && held.place == nil && held.personID != nil)
        #expect(held.candidates.map(\.landlordName) == ["Ann", "Bob"])
        #expect(held.candidates.map(\.lease) == [RecorderWorld.tomLease, RecorderWorld.timLease])
        #expect(held.candidates.map(\.propertyAddress) == ["1 A Street", "1 B Street"])
        let question = try #require(held.questions.first)
        #expect(held.questions.count == 1 && question.status == "open")
        #expect(question.choices == ["1 A Street – Ann", "1 B Street – Bob"])
        #expect(question.sent?.status == "queued" && question.sent?.job == "ready")
        #expect(try await facts(world, "w2").questions.map(\.id) == [question.id])

        try await world.record([world.answer("tap", to: question.id, choice: 1)])
        for id in ["w1", "w2"] {
            let released = try await facts(world, id)
            #expect(released.metadata.rung == "asked" && released.metadata.choice == 1)
            #expect(released.place?.landlord == RecorderWorld.ann && released.candidates.isEmpty)
            #expect(released.questions.map(\.status) == ["answered"])
            #expect(released.questions.first?.answer == 1 && released.questions.first?.released == 2)
        }
        let tap = try await facts(world, "tap")
        #expect(tap.message(at: world.endpoint).replyPayload == ChoiceToken(question: question.id, choice: 1).text)
    }

    @Test("a question that nobody answered stays with the message it was asked for")
    func expired() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.held("w1")])
        try await world.record([world.held("w2")])
        try await world.owner.execute("UPDATE gateway.questions SET expires_at = now() - interval '1 s'")
        #expect(try await world.expire(nil).expired == 1)
        #expect(try await facts(world, "w1").questions.map(\.status) == ["expired"])
        #expect(try await facts(world, "w2").questions.isEmpty)
    }

    @Test("what administrators did stands beside it, and what is to be passed on")
    func acts() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim)),
        ])
        #expect(try await facts(world, "w1").jobs.map(\.kind) == ["landlord_forward"])
        #expect(try await facts(world, "w1").jobs.map(\.state) == ["ready"])
        let held = try await facts(world, "w2")
        #expect(held.jobs.isEmpty)
        try await world.owner.execute(
            """
            SELECT gateway.inbox_assign('\(held.id)', '\(RecorderWorld.ann)', '10000000-0000-0000-0000-000000000002',
              'root')
            """
        )
        let given = try await facts(world, "w2")
        #expect(given.metadata.rung == "assigned" && given.place?.landlord == RecorderWorld.ann)
        #expect(given.acts.map(\.action) == ["inbox.assign"] && given.acts.map(\.role) == ["root"])
        try await world.owner.execute(
            "SELECT gateway.inbox_reassign('\(given.id)', '\(RecorderWorld.timLease)', 'root')")
        let moved = try await facts(world, "w2")
        #expect(moved.metadata.rung == "reassigned" && moved.place?.lease == RecorderWorld.timLease)
        #expect(moved.acts.map(\.action) == ["inbox.assign", "inbox.reassign"])
    }

    @Test("an id that nobody recorded is nobody's")
    func unknown() async throws {
        let world = try await RecorderWorld()
        let store = PostgresExplanations(world.session)
        #expect(try await store.message(providerID: "wamid.none") == nil)
        #expect(try await store.message(RecorderWorld.ann) == nil)
    }

    @Test("a sender's identities, now and before; conversations that are blocked; leases with their ids")
    func sender() async throws {
        let world = try await RecorderWorld()
        let store = PostgresExplanations(world.session)
        let key = PhoneKey(folding: RecorderWorld.tess)
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, account: "GB.13491208655302741918", RecorderWorld.toTess)
        ])
        let byPhone = try await store.identities(of: key, nil, at: world.endpoint, or: nil)
        #expect(byPhone.map(\.kind) == ["bsuid", "phone"] && byPhone.map(\.value).last == "447911123456")
        let byAccount = try await store.identities(
            of: nil, "GB.13491208655302741918", at: world.endpoint, or: byPhone[0].personID)
        #expect(byAccount == byPhone)
        #expect(try await facts(world, "w1").accountID == "GB.13491208655302741918")
        #expect(try await store.identities(of: PhoneKey(folded: 49_000_000), nil, at: world.endpoint, or: nil).isEmpty)

        #expect(try await store.blocked(of: key, nil, at: world.endpoint).isEmpty)
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET status = 'blocked'")
        #expect(
            try await store.blocked(of: key, nil, at: world.endpoint) == [
                BlockedThread(
                    landlordID: RecorderWorld.ann, tenantID: UniqueID("10000000-0000-0000-0000-000000000001"))
            ])
        #expect(try await store.records(under: [key]).map(\.leaseID) == [RecorderWorld.tessLease])
    }

    @Test("reading is noted, and the note is no act upon the message")
    func audit() async throws {
        let world = try await RecorderWorld()
        let store = PostgresExplanations(world.session)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let id = try await facts(world, "w1").id
        try await store.note(
            reader: ExplanationReader(id: RecorderWorld.bob, role: "admin"), entity: "message", id: "\(id)",
            isUnmasked: true)
        #expect(
            try await world.value("SELECT (actor, actor_role, action, entity_id, detail)::text FROM gateway.audit_log")
                == #"(\#(RecorderWorld.bob),admin,explain,\#(id),"{""unmasked"": true}")"#)
        #expect(try await facts(world, "w1").acts.isEmpty)
    }
}
