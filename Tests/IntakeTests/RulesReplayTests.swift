import GatewayTesting
import Intake
import Messaging
import Routing
import Synchronization
import Testing

/// Recorded messages in memory, the newest first.
private final class Shelf: RecordedMessages, ConversationLookup {
    private let messages: [RecordedInbound]
    let pages = Mutex<[Int]>([])
    let questions = Mutex<[Int]>([])
    private let threads: [ThreadReference]

    init(_ messages: [RecordedInbound], threads: [ThreadReference] = []) {
        self.messages = messages
        self.threads = threads
    }

    func inbound(before place: RecordedPlace?, limit: Int) async throws(RecorderError) -> RecordedMessagesPage {
        let rest = messages.drop { message in place.map { message.message.sentAt >= $0.sentAt } ?? false }
        let page = Array(rest.prefix(limit))
        pages.withLock { $0.append(page.count) }
        let next = page.last.map { RecordedPlace(sentAt: $0.message.sentAt, id: $0.id) }
        return RecordedMessagesPage(messages: page, next: page.count < limit ? nil : next)
    }

    func facts(for questions: [ThreadQuestion]) async throws(RecorderError) -> [SenderFacts] {
        self.questions.withLock { $0.append(questions.count) }
        return questions.map { _ in SenderFacts(threads: threads) }
    }

    func routes(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[Route]] {
        throw .unavailable("nobody asks for leases here")
    }
}

/// What other rules would change for messages that are recorded.
@Suite struct RulesReplayTests {
    private static func messages(_ count: Int, from people: [Person]) -> [RecordedInbound] {
        (0..<count).map { number in
            let message = InboundMessage(
                endpoint: Endpoint.shared.reference, id: "\(number)",
                sender: Sender(phone: people[number % people.count].phone),
                sentAt: beginning.advanced(bySeconds: -Int64(number)), type: "text", body: "hello")
            return RecordedInbound(id: uid(UInt64(number)), message: message)
        }
    }

    private static var holding: RulesInForce {
        var rules = RoutingRules.standard
        rules.rules = RuleSet([
            Rule(name: "all", condition: RuleCondition(), actions: [.hold], place: "a.yaml:1")
        ])
        return RulesInForce(rules: rules, generation: 2) { _, _ in nil }
    }

    private func run(_ shelf: Shelf, last: Int, isTimeUp: () -> Bool = { false }) async throws -> RulesDiff {
        let table = makeTable()
        return try await RulesReplay(messages: shelf, lookup: shelf) { _ in table }.run(
            last: last, from: .none, to: Self.holding, now: beginning, changesMax: 1000, isTimeUp: isTimeUp)
    }

    @Test("takes as many of the newest messages as are asked for, a page at a time, and no more")
    func pages() async throws {
        let shelf = Shelf(Self.messages(700, from: [.tenant]))
        let diff = try await run(shelf, last: 450)
        #expect(diff.replayed == 450 && diff.changed == 450 && !diff.isCutShort)
        #expect(shelf.pages.withLock { $0 } == [200, 200, 50])
        #expect(diff.oldest == beginning.advanced(bySeconds: -449))
        let all = Shelf(Self.messages(300, from: [.tenant]))
        #expect(try await run(all, last: 100_000).replayed == 300)
        #expect(try await run(Shelf([]), last: 10).replayed == 0)
    }

    @Test("asks about threads once a page, for those messages alone that hang on them, each with its own answer")
    func facts() async throws {
        let shelf = Shelf(Self.messages(400, from: [.tenant, .formerTenant]), threads: [thread(landlord: 1)])
        let diff = try await run(shelf, last: 400)
        #expect(shelf.questions.withLock { $0 } == [100, 100])
        #expect(diff.changed == 400)
        #expect(diff.changes.allSatisfy { $0.before.destination == .landlord(uid(1)) })
    }

    @Test("stops between two pages when time is up, and says so")
    func cutShort() async throws {
        let shelf = Shelf(Self.messages(700, from: [.tenant]))
        let asked = Atomic(0)
        let diff = try await run(shelf, last: 700) { asked.add(1, ordering: .relaxed).newValue > 2 }
        #expect(diff.isCutShort && diff.replayed == 400)
    }
}
