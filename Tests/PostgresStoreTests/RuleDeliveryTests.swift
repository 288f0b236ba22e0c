import Delivery
import FoundationEssentials
import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// What rules send to named endpoints: queued with the message, handed over in order, and what came of it on record.
@Suite(.serialized) struct RuleDeliveryTests {
    /// A world, and a queue of its deliveries.
    struct Orders {
        let world: RecorderWorld
        let queue: PostgresRuleDeliveryQueue

        init() async throws {
            world = try await RecorderWorld()
            queue = PostgresRuleDeliveryQueue(world.configuration)
        }

        /// Records as a gateway does whose settings name an endpoint for notices.
        @discardableResult
        func record(_ messages: [RecordedMessage], noticesTo: String? = nil) async throws -> RecordOutcome {
            let recorder = PostgresRecorder(world.session, noticesTo: noticesTo)
            let result = try await recorder.record(world.batch(messages, after: try await world.claim()))
            guard case .recorded(let outcome) = result else { throw RecorderWorld.Unexpected(result: result) }
            return outcome
        }

        func claim(
            _ endpoint: String = "crm", as name: String, jobs: Int = 10, bytes: Int64 = 1 << 20
        ) async throws -> [ForwardJob<RuleDelivery>] {
            try await queue.claim(endpoint, as: name, limit: ForwardLimit(jobs: jobs, bytes: bytes), leaseSeconds: 60)
        }

        func settle(
            _ jobs: [ForwardJob<RuleDelivery>], as name: String, done: Int, failing decision: ForwardDecision? = nil
        ) async throws {
            var settlement = ForwardSettlement(claim: name, head: jobs[0].id)
            settlement.done = jobs.prefix(done).map(\.id)
            settlement.failed = decision.map { .init(job: jobs[done].id, decision: $0) }
            try await queue.settle(settlement)
        }

        /// As if pauses and leases were over.
        func letTimePass() async throws {
            try await world.owner.execute(
                "UPDATE gateway.outbox SET next_attempt_at = now() - interval '1 second' WHERE next_attempt_at > now()")
        }

        func outcomes() async throws -> [String] {
            try await world.owner.query(
                "SELECT concat_ws(' ', action, value, outcome, detail) FROM gateway.rule_actions ORDER BY at, id"
            ).map { row throws(PostgresError) in try row.text(0) }
        }
    }

    /// What an endpoint reads, as far as it is the same in every run.
    struct Told: Decodable, Equatable {
        struct Message: Decodable, Equatable {
            let id: String
            let wamid: String?
            let channel, endpoint: String
            let type: String
            let text: String?
            let quoted: String?
            let sent_at: String
            let routing_status: String
            let rules: [String]?
            let tags: [String]?
            let priority: String?
        }
        struct Sender: Decodable, Equatable { let phone, account: String? }
        let version: Int
        let kind: String
        let id: String
        let to: String
        let rule: String
        let subject: String?
        let message: Message
        let sender: Sender
        let landlord, tenant, property, conversation: String?
    }

    private static func told(_ job: ForwardJob<RuleDelivery>?) throws -> Told {
        try JSONDecoder().decode(Told.self, from: Data(try #require(job?.content).body))
    }

    private static func texts(_ jobs: [ForwardJob<RuleDelivery>]) throws -> [String?] {
        try jobs.map { try told($0).message.text }
    }

    @Test("a forwarded message is told whole, once, and stands as done when it was taken")
    func forwarded() async throws {
        let orders = try await Orders()
        var message = orders.world.message(
            "wamid.1", from: RecorderWorld.tess, account: "GB.1234", RecorderWorld.toTess,
            body: "Gas \"leak\" \u{1F525}\n",
            quoting: "wamid.0")
        message.matchedRules = ["gas", "later"]
        message.orders = [.tag("gas"), .raisePriority, .forward("crm")].map { RecordedOrder(rule: "gas", action: $0) }
        try await orders.record([message])
        let job = try #require(await orders.claim(as: "a").first)
        let told = try Self.told(job)
        let thread = try #require(try await orders.world.thread(of: "wamid.1"))
        #expect(told.version == 1 && told.kind == "message" && told.to == "crm" && told.rule == "gas")
        #expect(told.id == "\(try #require(job.content).id)" && told.subject == nil)
        #expect(
            told.message
                == Told.Message(
                    id: "\(message.id)", wamid: "wamid.1", channel: "whatsapp", endpoint: "PN1",
                    type: "text", text: "Gas \"leak\" \u{1F525}\n", quoted: "wamid.0",
                    sent_at: "\(message.sentAt.rfc3339.prefix(19))Z", routing_status: "delivered",
                    rules: ["gas", "later"], tags: ["gas"], priority: "high"))
        #expect(told.sender == .init(phone: "+\(RecorderWorld.tess)", account: "GB.1234"))
        #expect(told.landlord == "\(RecorderWorld.ann)" && told.conversation == "\(thread)")
        #expect(told.tenant == "10000000-0000-0000-0000-000000000001" && told.property?.hasSuffix("a1") == true)
        #expect(try await orders.outcomes().last == "forward crm queued")
        try await orders.record([message])
        #expect(try await orders.world.count("outbox") == 1, "a message that comes again orders nothing")
        try await orders.settle([job], as: "a", done: 1)
        #expect(try await orders.outcomes().last == "forward crm done")
        #expect(try await orders.world.count("outbox") == 0)
    }

    @Test("a notice says what and where; neither a word of the message nor the number can be read from it")
    func notice() async throws {
        let orders = try await Orders()
        let message = orders.world.ordering(
            "wamid.SECRET", [.notify("Gas!")], rule: "gas", body: "the secret words")
        try await orders.record([message], noticesTo: "desk")
        #expect(try await orders.claim("crm", as: "x").isEmpty)
        let jobs = try await orders.claim("desk", as: "a")
        let told = try Self.told(jobs.first)
        #expect(told.kind == "notice" && told.subject == "Gas!" && told.to == "desk" && told.rule == "gas")
        #expect(told.message.id == "\(message.id)" && told.landlord == "\(RecorderWorld.ann)")
        #expect(told.sender == .init(phone: PhoneNumber(digits: RecorderWorld.tess)!.masked, account: nil))
        let text = String(decoding: try #require(jobs.first?.content).body, as: UTF8.self)
        #expect(!text.contains("secret") && !text.contains("SECRET") && !text.contains("\(RecorderWorld.tess)"))
        try await orders.settle(jobs, as: "a", done: 1)
        #expect(try await orders.outcomes() == ["notify Gas! waiting", "send_notice desk done"])
        #expect(try await PostgresInbox(orders.world.owner).notices(limit: 9).map(\.action) == ["notify"])
        let standing = try await RuleStanding.read(
            PostgresPool(orders.world.configuration, limits: .init(connectionsMax: 1)))
        #expect(standing.notices == 1 && standing.deliveries.isEmpty)
    }

    @Test("without an endpoint for notices they are listed, and nothing is queued")
    func noticeListed() async throws {
        let orders = try await Orders()
        try await orders.record([orders.world.ordering("w1", [.notify("Gas!")])])
        #expect(try await orders.outcomes() == ["notify Gas! waiting"])
        #expect(try await orders.world.count("outbox") == 0)
    }

    @Test("a message goes to an endpoint once, whatever number of rules say so; to another one it goes as well")
    func once() async throws {
        let orders = try await Orders()
        var message = orders.world.ordering("w1", [.forward("crm"), .forward("desk")], rule: "one")
        message.orders.append(RecordedOrder(rule: "two", action: .forward("crm")))
        try await orders.record([message])
        #expect(
            try await orders.outcomes()
                == ["forward crm queued", "forward desk queued", "forward crm suppressed forwarded_already"])
        #expect(try await orders.claim("crm", as: "a").count == 1)
        #expect(try await orders.claim("desk", as: "b").count == 1)
    }

    @Test("what keeps a message from its landlord does not keep it from the endpoint a rule names; it is told with it")
    func withheld() async throws {
        let orders = try await Orders()
        var stop = orders.world.ordering("w1", [.optOut, .forward("crm")], body: "STOP")
        stop.isWithheld = true
        try await orders.record([
            stop, orders.world.ordering("w2", [.forward("crm")], from: RecorderWorld.tom, RecorderWorld.toTim),
            orders.world.ordering("w3", [.forward("crm")], from: 447_911_777_777, .unclaimed),
            orders.world.ordering(
                "w4", [.forward("crm")], from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim)),
        ])
        let told = try await orders.claim(as: "a").map(Self.told)
        #expect(told.map(\.message.routing_status) == ["by_rule", "opted_out", "unknown_sender", "ambiguous"])
        #expect(
            told.map(\.landlord) == ["\(RecorderWorld.ann)", "\(RecorderWorld.bob)", nil, nil])
    }

    @Test("a forward is no answer to the person: it keeps no rule from answering")
    func noAnswer() async throws {
        let orders = try await Orders()
        for number in 1...6 { try await orders.record([orders.world.ordering("w\(number)", [.forward("crm")])]) }
        let outcome = try await orders.record([orders.world.ordering("w7", [orders.world.reply("hello")])])
        #expect(outcome.answered == 1)
    }

    @Test("each sender has an order of their own: what fails holds up theirs alone")
    func senders() async throws {
        let orders = try await Orders()
        let world = orders.world
        try await orders.record([
            world.ordering("w1", [.forward("crm")], body: "tess 1"),
            world.ordering("w2", [.forward("crm")], from: RecorderWorld.tom, RecorderWorld.toTom, body: "tom 1"),
            world.ordering("w3", [.forward("crm")], body: "tess 2"),
        ])
        let first = try await orders.claim(as: "a")
        #expect(try Self.texts(first) == ["tess 1", "tom 1", "tess 2"])
        #expect(try await orders.claim(as: "b").isEmpty, "one run of an endpoint at a time")
        try await orders.settle(
            first, as: "a", done: 0, failing: .again(afterMilliseconds: 60_000, error: "the receiver answered 500"))
        #expect(try await orders.outcomes()[0] == "forward crm queued the receiver answered 500")
        let second = try await orders.claim(as: "c")
        #expect(try Self.texts(second) == ["tom 1"])
        try await orders.settle(second, as: "c", done: 1)
        #expect(try await orders.claim(as: "d").isEmpty)
        try await orders.letTimePass()
        let third = try await orders.claim(as: "e")
        #expect(try Self.texts(third) == ["tess 1", "tess 2"] && third.map(\.attempt) == [2, 1])
    }

    @Test("a run is as long as its limits, in order, and one job always comes")
    func limits() async throws {
        let orders = try await Orders()
        for number in 1...5 {
            try await orders.record([orders.world.ordering("w\(number)", [.forward("crm")], body: "\(number)")])
        }
        let run = try await orders.claim(as: "a", jobs: 3)
        #expect(try Self.texts(run) == ["1", "2", "3"])
        try await orders.settle(run, as: "a", done: 3)
        let next = try await orders.claim(as: "b", bytes: 1)
        #expect(try Self.texts(next) == ["4"])
    }

    @Test("what is set aside is listed with the reason until somebody has seen it, and can be queued again")
    func setAside() async throws {
        let orders = try await Orders()
        try await orders.record([orders.world.ordering("w1", [.forward("crm")])])
        let jobs = try await orders.claim(as: "a")
        try await orders.settle(jobs, as: "a", done: 0, failing: .setAside(error: "the receiver answered 422"))
        #expect(try await orders.outcomes() == ["forward crm failed the receiver answered 422"])
        #expect(try await orders.world.count("outbox_dead") == 1)
        let inbox = PostgresInbox(orders.world.owner)
        let notice = try #require(await inbox.notices(limit: 9).first)
        #expect(notice.action == "forward" && notice.value == "crm" && notice.failure == "the receiver answered 422")
        #expect(try await inbox.close(notices: [notice.id], actor: "root") == 1)
        #expect(try await inbox.notices(limit: 9).isEmpty)
        #expect(try await orders.outcomes() == ["forward crm failed the receiver answered 422"])
        #expect(
            try await orders.world.value("SELECT gateway.outbox_revive(array_agg(id)) FROM gateway.outbox_dead") == "1")
        #expect(try await orders.outcomes() == ["forward crm queued"])
        let again = try await orders.claim(as: "b")
        #expect(again.map(\.content) == jobs.map(\.content), "the same bytes under the same id")
        try await orders.settle(again, as: "b", done: 1)
        #expect(try await orders.outcomes() == ["forward crm done"])
    }

    @Test("a vanished worker's run is taken again with the same ids, and it changes nothing any more")
    func vanished() async throws {
        let orders = try await Orders()
        for number in 1...2 { try await orders.record([orders.world.ordering("w\(number)", [.forward("crm")])]) }
        let lost = try await orders.claim(as: "a")
        try await orders.letTimePass()
        let taken = try await orders.claim(as: "b")
        #expect(taken.map(\.content) == lost.map(\.content) && taken.count == 2)
        try await orders.settle(lost, as: "a", done: 2)
        #expect(try await orders.outcomes() == ["forward crm queued", "forward crm queued"])
        try await orders.settle(taken, as: "b", done: 2)
        #expect(try await orders.outcomes() == ["forward crm done", "forward crm done"])
    }

    @Test("what waits is counted by endpoint, also for one that no setting defines any more")
    func standing() async throws {
        let orders = try await Orders()
        try await orders.record([orders.world.ordering("w1", [.forward("crm"), .forward("desk")])])
        try await orders.record([orders.world.ordering("w2", [.forward("crm"), .notify("x")])])
        let standing = try await RuleStanding.read(
            PostgresPool(orders.world.configuration, limits: .init(connectionsMax: 1)))
        #expect(standing.notices == 1)
        #expect(standing.deliveries.mapValues(\.count) == ["crm": 2, "desk": 1])
    }
}
