import Delivery
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Questions to the tenant of two landlords, as the recording statement opens and answers them.
@Suite(.serialized) struct QuestionTests {
    /// Tom may mean Ann or Bob; both are switched on.
    private func makeWorld() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE public.user_profiles SET whatsapp_enabled = true")
        return world
    }

    @Test("the first held message opens the one question, with property and landlord of each choice")
    func opens() async throws {
        let world = try await makeWorld()
        let outcome = try await world.record([world.held("w1"), world.held("w2")])
        #expect(outcome.counts.held == 2 && outcome.asked == 1)
        #expect(try await world.record([world.held("w3")]).asked == 0)
        let facts = try await world.facts(of: RecorderWorld.tom)
        let question = try #require(facts.questions.first)
        #expect(facts.questions.count == 1 && question.isOpen)
        #expect(question.choices.map(\.landlordID) == [RecorderWorld.ann, RecorderWorld.bob])
        #expect(question.choices.map(\.label.property) == ["1 A Street", "1 B Street"])
        #expect(question.choices.map(\.label.landlord) == ["Ann", "Bob"])
        #expect(try await world.facts(of: RecorderWorld.tess).questions.isEmpty)
    }

    @Test("what is asked is sent as buttons, and not any more once it is answered")
    func sent() async throws {
        let world = try await makeWorld()
        let store = PostgresOutboxStore(world.configuration)
        try await world.record([world.held("w1")])
        #expect(try await store.claim(kind: .metaSend, worker: "w", limit: 9, leaseSeconds: 60).isEmpty)
        let job = try #require(await store.claim(kind: .ask, worker: "w", limit: 9, leaseSeconds: 60).first)
        let message = try #require(job.message)
        #expect(job.permission == "ok" && message.recipient == .phone(PhoneNumber(digits: RecorderWorld.tom)!))
        guard case .question(let form) = message.form else {
            Issue.record("\(message.form)")
            return
        }
        #expect(form.shape == .buttons && form.options.map(\.title) == ["1 A Street", "1 B Street"])
        #expect(form.body == "Who?\n1. 1 A Street – Ann\n2. 1 B Street – Bob")
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        #expect(form.options.map(\.id) == [1, 2].map { ChoiceToken(question: question, choice: $0).text })
        try await world.owner.execute(
            "UPDATE gateway.outbox SET next_attempt_at = now() - interval '1 s', state = 'ready'")
        try await world.record([world.answer("tap", to: question, choice: 2)])
        let late = try #require(await store.claim(kind: .ask, worker: "w", limit: 9, leaseSeconds: 60).first)
        #expect(late.permission == "question_closed")
    }

    @Test("the answer releases what waits between the same landlords, in order, and what came before it in its batch")
    func releases() async throws {
        let world = try await makeWorld()
        try await world.record([world.message("old", from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim))])
        try await world.record([world.held("w1"), world.held("w2", orders: [.init(rule: "r", action: .tag("noise"))])])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        let outcome = try await world.record([
            world.held("w3"), world.answer("tap", to: question, choice: 2), world.held("w4"),
        ])
        #expect(outcome.released == 4 && outcome.asked == 1)
        #expect(outcome.counts.routed == 1 && outcome.counts.held == 2)
        let thread = try #require(try await world.thread(of: "tap"))
        for id in ["old", "w1", "w2", "w3"] {
            #expect(try await world.thread(of: id) == thread)
            #expect(try await world.status(of: id) == "delivered")
        }
        #expect(try await world.status(of: "w4") == "ambiguous")
        #expect(
            try await world.value(
                "SELECT (landlord_id, unread_count, tags)::text FROM gateway.whatsapp_conversations")
                == "(\(RecorderWorld.bob),5,{noise})")
        #expect(
            try await world.value(
                "SELECT count(*) FROM gateway.whatsapp_messages WHERE landlord_id IS NOT NULL AND routing_metadata ? 'candidates'"
            ) == "0")
        let open = try await world.facts(of: RecorderWorld.tom).questions
        #expect(open.count == 1 && open[0].id != question)
    }

    @Test("a second answer finds nothing to release, and one that comes too late does")
    func lateAnswers() async throws {
        let world = try await makeWorld()
        try await world.record([world.held("w1")])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        try await world.owner.execute("UPDATE gateway.questions SET expires_at = now() - interval '1 s'")
        #expect(try await world.expire(nil) == .init(expired: 1, released: 0))
        #expect(try await world.facts(of: RecorderWorld.tom).questions.isEmpty)
        let tapped = try await world.facts(of: RecorderWorld.tom, tapping: question).questions
        #expect(tapped.map(\.id) == [question] && !tapped[0].isOpen)
        #expect(try await world.record([world.answer("t1", to: question, choice: 2)]).released == 1)
        #expect(try await world.record([world.answer("t2", to: question, choice: 2)]).released == 0)
        #expect(try await world.status(of: "w1") == "delivered")
    }

    @Test("nobody but who was asked answers")
    func strangersAnswer() async throws {
        let world = try await makeWorld()
        try await world.record([world.held("w1")])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        #expect(try await world.facts(of: RecorderWorld.tess, tapping: question).questions.isEmpty)
        var forged = world.message("t", from: RecorderWorld.tess, RecorderWorld.toTess)
        forged.orders = [.init(rule: "ladder", action: .answer(ChoiceToken(question: question, choice: 1)))]
        #expect(try await world.record([forged]).released == 0)
        #expect(try await world.status(of: "w1") == "ambiguous")
    }

    @Test("an answer whose lease is gone is refused by the commit, and releases nothing")
    func staleAnswer() async throws {
        let world = try await makeWorld()
        try await world.record([world.held("w1")])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.timLease)'")
        let checkpoint = try await world.claim()
        let batch = world.batch([world.answer("tap", to: question, choice: 2)], after: checkpoint)
        guard case .staleRoutes = try await world.recorder.record(batch) else {
            Issue.record("an answer went by a lease that is gone")
            return
        }
        #expect(try await world.status(of: "w1") == "ambiguous")
    }

    @Test("a duplicate orders nothing again")
    func duplicate() async throws {
        let world = try await makeWorld()
        try await world.record([world.held("w1")])
        try await world.owner.execute("UPDATE gateway.questions SET status = 'cancelled'")
        let again = try await world.record([world.held("w1")])
        #expect(again.counts.duplicate == 1 && again.asked == 0)
        #expect(try await world.count("questions") == 1)
    }

    @Test(
        "after the time-out messages go to the landlord the rules name, while they are their tenant",
        arguments: [
            (RecorderWorld.bob, "", 2), (RecorderWorld.ann, "", 2),
            (RecorderWorld.bob, "UPDATE public.leases SET status = 'ended', end_date = current_date - 90", 0),
            (UniqueID(high: 1, low: 1), "", 0),
        ])
    func timeout(landlord: UniqueID, change: String, released: Int) async throws {
        let world = try await makeWorld()
        try await world.record([world.held("w1"), world.held("w2")])
        #expect(try await world.expire(landlord) == .init(expired: 0, released: 0))
        try await world.owner.execute(
            "UPDATE gateway.questions SET expires_at = now() - interval '1 s'; \(change)")
        #expect(try await world.expire(landlord) == .init(expired: 1, released: released))
        let found = try await world.value("SELECT min(landlord_id::text) FROM gateway.whatsapp_messages")
        #expect(found == (released > 0 ? "\(landlord)" : nil))
        #expect(try await world.expire(landlord) == .init(expired: 0, released: 0))
    }

    @Test("threads that compete without a lease are choices, too")
    func threads() async throws {
        let world = try await makeWorld()
        try await world.record([
            world.message("a", from: RecorderWorld.tom, RecorderWorld.toTom),
            world.message("b", from: RecorderWorld.tom, RecorderWorld.toTim),
        ])
        let threads = try await world.facts(of: RecorderWorld.tom).threads
        #expect(threads.count == 2 && threads.allSatisfy { !$0.isArchived })
        var held = world.held("w1")
        held.destination = .held([], threads: threads)
        #expect(try await world.record([held]).asked == 1)
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first)
        #expect(question.choices.map(\.conversationID) == threads.map(\.conversationID))
        #expect(Set(question.choices.map(\.label.landlord)) == ["Ann", "Bob"])
    }
}

extension RecorderWorld {
    static let tomOrTim = [candidate(ann, tom), candidate(bob, tom)]

    /// A message of Tom's that could be for both of his landlords, about which he is asked.
    func held(_ id: String, orders more: [RecordedOrder] = []) -> RecordedMessage {
        var generator = SystemRandomNumberGenerator()
        var message = message(id, from: Self.tom, .held(Self.tomOrTim))
        let wording = QuestionWording(text: "Who?", button: "Choose", numberHint: "The number, please.")
        let question = UniqueID.make(at: Self.clock, using: &generator)
        message.orders = [.init(rule: "ladder", action: .ask(id: question, wording, timeoutSeconds: 3600))] + more
        return message
    }

    /// Tom's tap on one of his landlords.
    func answer(_ id: String, to question: UniqueID, choice: Int) -> RecordedMessage {
        var message = message(
            id, from: Self.tom, .lease(Self.tomOrTim[choice - 1], rung: .asked), body: "1 B Street")
        message.message.type = "interactive"
        message.orders = [.init(rule: "ladder", action: .answer(ChoiceToken(question: question, choice: choice)))]
        return message
    }

    func facts(of phone: UInt64, tapping question: UniqueID? = nil) async throws -> SenderFacts {
        try await lookup.facts(for: [
            ThreadQuestion(
                endpoint: endpoint, phone: PhoneKey(folding: phone), accountID: nil, quotedMessageID: nil,
                questionID: question)
        ])[0]
    }

    func expire(_ landlord: UniqueID?) async throws -> QuestionExpiry.Outcome {
        try await QuestionExpiry(PostgresPool(configuration, limits: .init(connectionsMax: 1))).run(
            assigningTo: landlord)
    }
}
