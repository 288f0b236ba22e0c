import GatewayTesting
import Journal
import Messaging
import Routing
import Testing

@testable import Intake

@Suite struct BatchPlannerTests {
    private let planner = BatchPlanner(table: makeTable(), now: beginning, limits: IntakeLimits())

    /// Plans webhooks at positions 1, 2, …
    private func draft(_ webhooks: [[Update]], refusing refused: Refusals = .none) -> BatchPlanner.Draft {
        var generator = IdentifierGenerator()
        let entries = webhooks.enumerated().map { index, updates in
            DecodedEntry(JournalEntry(position: JournalPosition(Int64(index + 1)), envelope: makeEnvelope(updates)))
        }
        let batch = RecordBatch(journal: 7, owner: uid(9), after: 0, upTo: JournalPosition(Int64(webhooks.count)))
        return planner.draft(entries[...], into: batch, refusing: refused, using: &generator)
    }

    /// Where a message goes once its sender's threads are known.
    private func destination(
        of update: Update, threads: [ThreadReference] = [], leases: [Route] = standardLeases
    ) -> RecordedMessage.Destination {
        var draft = draft([[update]])
        var generator = SeededGenerator(seed: 2)
        let routes = draft.routeQuestions.map { question in leases.filter { $0.key == question.phone } }
        let facts = draft.questions.map { _ in SenderFacts(threads: threads) }
        planner.settle(&draft, facts: facts, routes: routes, using: &generator)
        return draft.batch.messages[0].destination
    }

    @Test("a message goes where the ladder says", arguments: Person.allCases)
    func message(person: Person) {
        let threads = person == .formerTenant ? [thread(landlord: 1)] : []
        switch (person, destination(of: .message("m1", from: person), threads: threads)) {
        case (.tenant, .lease(let candidate, rung: .onlyCandidate)): #expect(candidate.landlordID == uid(1))
        case (.tenantOfNoReader, .lease(let candidate, rung: .onlyCandidate)): #expect(candidate.landlordID == uid(3))
        case (.tenantOfTwo, .held(let candidates, _)): #expect(candidates.map(\.landlordID) == [uid(1), uid(2)])
        case (.formerTenant, .thread(let thread, rung: .onlyThread)): #expect(thread.landlordID == uid(1))
        case (.stranger, .unclaimed): break
        case (_, let other): Issue.record("\(person) → \(other)")
        }
    }

    @Test(
        "nobody is between two landlords by the table alone", arguments: [nil, "q"] as [String?],
        [[standardLeases[1]], Array(standardLeases[1...2]), []])
    func heldByTheTable(quoting: String?, leases: [Route]) {
        let update = Update.message("m1", from: .tenantOfTwo, quoting: quoting)
        #expect(draft([[update]]).routeQuestions.map(\.phone) == [Person.tenantOfTwo.key])
        switch destination(of: update, leases: leases) {
        case .lease(let candidate, rung: .onlyCandidate):
            #expect(leases == [standardLeases[1]] && candidate.landlordID == uid(1))
        case .held(let candidates, _): #expect(leases.count == 2 && candidates.map(\.landlordID) == [uid(1), uid(2)])
        case .unclaimed: #expect(leases.isEmpty)
        case let other: Issue.record("→ \(other)")
        }
    }

    @Test(
        "messages of channels that are not routed yet are ignored, also on pages nobody knows",
        arguments: ["page", "instagram"])
    func unrouted(object: String) {
        let message = #"{"sender":{"id":"1"},"recipient":{"id":"2"},"message":{"mid":"m","text":"x"}}"#
        let body = #"{"object":"\#(object)","entry":[{"id":"2","messaging":[\#(message),\#(message)]}]}"#
        let envelope = Envelope(source: .meta, receivedAt: beginning, signature: [], body: Array(body.utf8))
        let entry = DecodedEntry(JournalEntry(position: 1, envelope: envelope))
        var generator = IdentifierGenerator()
        let draft = planner.draft(
            [entry][...], into: RecordBatch(journal: 7, owner: uid(9), after: 0, upTo: 1), refusing: .none,
            using: &generator)
        #expect(draft.counts == .only(.ignored, 2))
        #expect(draft.batch.messages.isEmpty && draft.batch.parked.isEmpty)
    }

    @Test("threads are asked for when a message quotes another or its sender has no lease, and answered in order")
    func questions() {
        var draft = draft([
            [.message("m1")], [.message("m2", from: .stranger), .message("m3", quoting: "q")],
            [.message("m4", from: .formerTenant)],
        ])
        #expect(draft.questions.map(\.phone) == [Person.stranger.key, Person.tenant.key, Person.formerTenant.key])
        #expect(draft.questions.map(\.quotedMessageID) == [nil, "q", nil])
        #expect(draft.questions.allSatisfy { $0.endpoint == .shared })
        var generator = SeededGenerator(seed: 2)
        let threads = [[], [thread(landlord: 2, isQuoted: true)], [thread(landlord: 1)]]
        planner.settle(&draft, facts: threads.map { SenderFacts(threads: $0) }, using: &generator)
        #expect(draft.questions.isEmpty)
        let destinations = draft.batch.messages.map { message -> String in
            switch message.destination {
            case .lease(let candidate, let rung): "\(rung) \(candidate.landlordID.low)"
            case .thread(let thread, let rung): "\(rung) \(thread.landlordID.low)"
            case .landlord(let id, let rung): "\(rung) \(id.low)"
            case .held: "held"
            case .unclaimed: "unclaimed"
            }
        }
        #expect(destinations == ["onlyCandidate 1", "unclaimed", "quoted 2", "onlyThread 1"])
    }

    @Test("a status goes with its endpoint")
    func status() {
        let draft = draft([[.status("m1")]])
        #expect(draft.batch.statuses.map(\.endpointID) == [Endpoint.shared.id])
        #expect(draft.batch.statuses.map(\.status.messageID) == ["m1"])
        #expect(draft.counts == .only(.status))
    }

    @Test("a status is dated within what the database holds, and callback data that cannot be ours is not looked up")
    func boundedStatus() {
        var generator = IdentifierGenerator()
        let place = BatchPlanner.Place(position: 1, index: 0, source: .meta, receivedAt: beginning, payload: [])
        for (queued, isKept) in [
            (beginning, true), (Timestamp(microseconds: .max), false), (Timestamp(seconds: -1), false),
        ] {
            var draft = BatchPlanner.Draft(batch: RecordBatch(journal: 7, owner: uid(9), after: 0, upTo: 1))
            let status = StatusUpdate(
                endpoint: Endpoint.shared.reference, messageID: "s", status: .sent, at: Timestamp(microseconds: .max),
                correlation: MessageReference(id: uid(1), sentAt: queued))
            planner.add(.status(status), at: place, to: &draft, using: &generator)
            let recorded = draft.batch.statuses[0].status
            #expect(recorded.at == beginning.advanced(bySeconds: IntakeLimits().futureSecondsMax))
            #expect((recorded.correlation != nil) == isKept)
        }
    }

    @Test("what names an endpoint that the table does not know is parked with it and with the bytes")
    func unknownEndpoint() {
        let updates: [Update] = [.message("m1"), .messageElsewhere("m2"), .statusElsewhere("s1")]
        let draft = draft([[], updates])
        #expect(draft.batch.parked.map(\.index) == [1, 2])
        for parked in draft.batch.parked {
            #expect(parked.position == 2)
            #expect(parked.reason == "unknown_endpoint")
            #expect(parked.endpoint == Endpoint.strange.reference)
            #expect(parked.detail == "no endpoint cloud 999")
            #expect(parked.payload == makeEnvelope(updates).body)
            #expect(parked.source == .meta)
            #expect(parked.receivedAt == beginning)
        }
        #expect(draft.batch.messages.map(\.message.id) == ["m1"])
        #expect(draft.batch.statuses.isEmpty)
    }

    @Test(
        "an endpoint's id that is too long to become known is parked without it",
        arguments: [(512, true), (513, false)])
    func endpointWithoutBounds(length: Int, isKept: Bool) {
        var generator = IdentifierGenerator()
        let endpoint = EndpointReference(kind: .cloud, providerID: String(repeating: "7", count: length))
        let place = BatchPlanner.Place(position: 1, index: 0, source: .meta, receivedAt: beginning, payload: [])
        var draft = BatchPlanner.Draft(batch: RecordBatch(journal: 7, owner: uid(9), after: 0, upTo: 1))
        let status = StatusUpdate(endpoint: endpoint, messageID: "s", status: .sent, at: beginning)
        planner.add(.status(status), at: place, to: &draft, using: &generator)
        #expect(draft.batch.parked.map(\.endpoint) == [isKept ? endpoint : nil])
    }

    @Test("what cannot be decoded is parked with the reason, beside what can")
    func undecodable() {
        let draft = draft([[.message("m1"), .undecodable, .message("m2")]])
        #expect(draft.batch.parked.map(\.reason) == ["bad_field"])
        #expect(draft.batch.parked.map(\.index) == [1])
        #expect(draft.batch.parked[0].endpoint == nil)
        #expect(draft.batch.messages.map(\.message.id) == ["m1", "m2"])
    }

    @Test("updates that the database refuses are parked with its SQLSTATE, whatever they are")
    func refused() {
        var refused = Refusals()
        for index in 1...3 { refused[2, index] = "2202\(index)" }
        let updates: [Update] = [.message("m1"), .message("m2"), .status("s1"), .messageElsewhere("m3"), .ignored]
        let draft = draft([updates, updates], refusing: refused)
        let refusals = draft.batch.parked.filter { $0.reason == "rejected_by_database" }
        #expect(refusals.map(\.position) == [2, 2, 2])
        #expect(refusals.map(\.index) == [1, 2, 3])
        #expect(refusals.map(\.detail) == ["SQLSTATE 22021", "SQLSTATE 22022", "SQLSTATE 22023"])
        #expect(draft.batch.messages.map(\.message.id) == ["m1", "m2", "m1"])
        #expect(draft.batch.webhooks.map(\.parked) == [1, 3])
        #expect(draft.batch.webhooks.map(\.ignored) == [1, 1])
    }

    @Test(
        "a message is dated inside the partitions, and keeps the provider's time",
        arguments: [
            (0, 0), (-59 * 86_400, -59 * 86_400), (-60 * 86_400, -60 * 86_400), (-61 * 86_400, -60 * 86_400),
            (-1_772_359_200, -60 * 86_400), (86_400, 86_400), (86_401, 86_400),
            (253_402_300_799 - 1_772_359_200, 86_400),
            (9_000_000_000_000, 86_400), (-9_000_000_000_000, -60 * 86_400),
        ] as [(Int64, Int64)])
    func clamped(offset: Int64, expected: Int64) {
        let told = Timestamp(seconds: beginning.seconds + offset)
        let recorded = draft([[.message("m1", sentAt: told)]]).batch.messages[0]
        #expect(recorded.sentAt == beginning.advanced(bySeconds: expected))
        #expect(recorded.message.sentAt.seconds == told.seconds)
    }

    @Test("a batch says where its webhooks stand, what they are about, and by which table it was decided")
    func webhooks() {
        let draft = draft([[.message("m1")], [.status("s1"), .message("m2")], [.ignored]])
        #expect(draft.batch.webhooks.map(\.position) == [1, 2, 3])
        #expect(draft.batch.webhooks.map(\.event) == ["messages", "mixed", "account_update"])
        #expect(
            draft.batch.webhooks.map(\.envelope.body) == [
                makeEnvelope([.message("m1")]).body, makeEnvelope([.status("s1"), .message("m2")]).body,
                makeEnvelope([.ignored]).body,
            ])
        #expect(draft.batch.messages.map(\.position) == [1, 2])
        #expect(Set(draft.batch.messages.map(\.id)).count == 2)
        #expect(draft.batch.tableGeneration == planner.resolver.table.generation)
    }

    @Test("a webhook of a session server is read as one")
    func sessionServer() {
        var generator = IdentifierGenerator()
        let body = Array(#"{"event":"call.received","session":"default","payload":{}}"#.utf8)
        let envelope = Envelope(source: .vps, receivedAt: beginning, signature: [], body: body)
        let batch = RecordBatch(journal: 1, owner: uid(9), after: 0, upTo: 1)
        let draft = planner.draft(
            [DecodedEntry(JournalEntry(position: 1, envelope: envelope))], into: batch, refusing: .none,
            using: &generator)
        #expect(draft.batch.webhooks.map(\.ignored) == [1])
        #expect(draft.batch.webhooks.map(\.event) == ["call.received"])
        #expect(draft.counts == .only(.ignored))
    }

    @Test(
        "the verdicts of every webhook add up, whatever is in it",
        arguments: (0..<20).map { _ in UInt64.random(in: 0...UInt64.max) })
    func conserved(seed: UInt64) {
        var dice = Dice(seed: seed)
        let webhooks = (0..<30).map { _ in (0...dice.roll(12)).map { _ in dice.update() } }
        var refused = Refusals()
        var refusals: Set<[Int]> = []
        for _ in 0..<40 {
            let place = [dice.roll(30), dice.roll(12)]
            refused[JournalPosition(Int64(place[0] + 1)), place[1]] = "22021"
            refusals.insert(place)
        }
        let draft = draft(webhooks, refusing: refused)
        #expect(draft.batch.webhooks.count == webhooks.count)
        for (number, webhook) in draft.batch.webhooks.enumerated() {
            let expected = VerdictCounts(
                webhooks[number].enumerated().map { index, update in
                    refusals.contains([number, index]) ? .parked : update.verdict
                })
            let messages = draft.batch.messages.count { $0.position == webhook.position }
            let sum = webhook.statuses + webhook.ignored + webhook.parked + messages
            #expect(webhook.updates == webhooks[number].count && sum == webhook.updates, "seed \(seed)")
            #expect(webhook.parked == expected.parked && webhook.statuses == expected.status, "seed \(seed)")
            #expect(webhook.parked == draft.batch.parked.count { $0.position == webhook.position }, "seed \(seed)")
        }
        #expect(draft.counts.total + draft.batch.messages.count == webhooks.joined().count, "seed \(seed)")
    }
}

/// Random updates; every id is a new one.
struct Dice {
    var generator: SeededGenerator
    private var nextID = 0

    init(seed: UInt64) { generator = SeededGenerator(seed: seed) }

    mutating func roll(_ sides: Int) -> Int { Int.random(in: 0..<sides, using: &generator) }

    mutating func update() -> Update {
        nextID += 1
        let person = self.person()
        switch roll(12) {
        case 0: return .status("s\(nextID)")
        case 1: return .messageElsewhere("m\(nextID)", from: person)
        case 2: return .statusElsewhere("s\(nextID)")
        case 3: return .ignored
        case 4: return .undecodable
        case 5: return .message("m\(nextID)", from: person, quoting: "q\(nextID)")
        case 6: return .shown("m\(nextID)", from: person, withNumber: roll(2) == 0)
        case 7: return .moved("m\(nextID)", from: person, to: self.person(but: person), isElsewhere: roll(3) == 0)
        default: return .message("m\(nextID)", from: person)
        }
    }

    private mutating func person(but other: Person? = nil) -> Person {
        let people = Person.allCases.filter { $0 != other }
        return people[roll(people.count)]
    }
}
