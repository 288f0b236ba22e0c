import Messaging
import Testing

@testable import Routing

/// What rules make of what the ladder found.
@Suite struct RulingTests {
    private static let landlords = [
        Landlord(id: uid(1), name: "Ann", isEnabled: true, signature: nil),
        Landlord(id: uid(2), name: "Bob", isEnabled: false, signature: nil),
    ]
    private static let one = Candidate(makeLease(1))
    private static let two = Candidate(makeLease(2, landlord: 2))

    private func ruling(
        on decision: RoutingDecision, isEnded: Bool = false, answer: ChoiceToken? = nil, _ rules: [Rule] = [],
        message: InboundMessage = makeMessage(), endpoint: Endpoint = .shared, mayAnswer: Bool = true,
        _ change: (inout RoutingRules) -> Void = { _ in }
    ) -> Ruling {
        var set = RoutingRules()
        set.rules = RuleSet(rules)
        change(&set)
        let inForce = RulesInForce(rules: set, generation: 3) { _, _ in 0 }
        return inForce.ruling(
            on: Resolution(decision, answer: answer, isEnded: isEnded), message, sentAt: noon, at: endpoint,
            table: makeTable([], landlords: Self.landlords), mayAnswer: mayAnswer)
    }

    private static func rule(
        _ name: String, _ actions: [RuleAction], continues: Bool = false,
        when change: (inout RuleCondition) -> Void = { _ in }
    ) -> Rule {
        var condition = RuleCondition()
        change(&condition)
        return Rule(name: name, condition: condition, actions: actions, continues: continues, place: "a.yaml:1")
    }

    @Test(
        "the state says what the ladder found",
        arguments: [
            (.lease(one, rung: .onlyCandidate), false, .known),
            (.lease(two, rung: .onlyCandidate), false, .landlordOff),
            (.lease(one, rung: .onlyCandidate), true, .ended),
            (.thread(makeThread(1), rung: .onlyThread), true, .ended),
            (.thread(makeThread(1), rung: .quoted), false, .known), (.held([one, two]), false, .ambiguous),
            (.unclaimed, false, .unknown),
        ] as [(RoutingDecision, Bool, RouteState)])
    func state(decision: RoutingDecision, isEnded: Bool, state: RouteState) {
        let ruling = ruling(on: decision, isEnded: isEnded, [Self.rule("r", [.tag("t")]) { $0.states = [state] }])
        #expect(ruling.state == state && ruling.matched == ["r"])
        #expect(ruling.orders == [.init(rule: "r", action: .tag("t"))])
        #expect(ruling.decision == decision)
    }

    @Test("a rule assigns among those who could be meant, and nobody else")
    func assign() {
        func assigned(_ landlord: UInt64, _ decision: RoutingDecision, _ endpoint: Endpoint = .shared)
            -> RoutingDecision
        {
            ruling(on: decision, [Self.rule("r", [.assign(uid(landlord))])], endpoint: endpoint).decision
        }
        let held = RoutingDecision.held([Self.one, Self.two])
        #expect(assigned(2, held) == .lease(Self.two, rung: .rule))
        #expect(assigned(9, held) == held)
        #expect(assigned(1, .held([], threads: [makeThread(1)])) == .thread(makeThread(1), rung: .rule))
        let known = RoutingDecision.lease(Self.one, rung: .onlyCandidate)
        #expect(assigned(2, known) == known)
        #expect(assigned(1, .unclaimed) == .landlord(uid(1), rung: .rule))
        #expect(assigned(9, .unclaimed) == .unclaimed)
        #expect(assigned(1, .unclaimed, .owned(by: 2)) == .unclaimed)
    }

    @Test("a rule holds what had a landlord, and what is held is not asked about")
    func hold() {
        let held = ruling(on: .lease(Self.one, rung: .onlyCandidate), [Self.rule("r", [.hold])])
        #expect(held.decision == .held([Self.one]) && !held.asks)
        let two = ruling(on: .held([Self.one, Self.two]), [Self.rule("r", [.hold])])
        #expect(two.decision == .held([Self.one, Self.two]) && !two.asks)
        #expect(ruling(on: .unclaimed, [Self.rule("r", [.hold])]).decision == .unclaimed)
    }

    @Test("the first destination of rules that continue counts, and their orders add up")
    func continued() {
        let ruling = ruling(
            on: .held([Self.one, Self.two]),
            [
                Self.rule("a", [.assign(uid(2)), .tag("x")], continues: true),
                Self.rule("b", [.assign(uid(1)), .raisePriority, .withhold]), Self.rule("c", [.tag("y")]),
            ])
        #expect(ruling.decision == .lease(Self.two, rung: .rule))
        #expect(ruling.matched == ["a", "b"] && ruling.isWithheld)
        #expect(ruling.orders.map(\.action) == [.tag("x"), .raisePriority])
    }

    @Test("of several landlords the sender is asked, unless the rules files say no")
    func asks() {
        let held = RoutingDecision.held([Self.one, Self.two])
        #expect(ruling(on: held).asks)
        #expect(!ruling(on: held) { $0.asks = false }.asks)
        #expect(ruling(on: held, [Self.rule("r", [.ask])]) { $0.asks = false }.asks)
        #expect(ruling(on: .held([], threads: [makeThread(1), makeThread(2, landlord: 2)])).asks)
    }

    @Test("nobody is asked who cannot be, or about what is no question")
    func asksNot() {
        let held = RoutingDecision.held([Self.one, Self.two])
        #expect(!ruling(on: .held([Self.one])).asks)
        #expect(!ruling(on: .held(Array(repeating: Self.one, count: 101))).asks)
        #expect(!ruling(on: .lease(Self.one, rung: .onlyCandidate), [Self.rule("r", [.ask])]).asks)
        #expect(!ruling(on: held, mayAnswer: false).asks)
        #expect(!ruling(on: held, endpoint: .owned(by: 1)).asks)
        for type in ["reaction", "system", "edit", "revoke"] {
            var message = makeMessage()
            message.type = type
            #expect(!ruling(on: held, message: message).asks)
        }
    }

    @Test("an answer is nothing for the rules")
    func answers() {
        let token = ChoiceToken(question: uid(77), choice: 1)
        let ruling = ruling(on: .lease(Self.one, rung: .asked), answer: token, [Self.rule("r", [.hold])])
        #expect(ruling.decision == .lease(Self.one, rung: .asked) && ruling.answer == token && ruling.matched.isEmpty)
    }

    @Test("a stranger hears the policy's words, unless a rule said something or may not")
    func unknownSender() {
        let policy = Ruling.Order(rule: "unknown_sender", action: .reply("Who are you?"))
        let reply = Self.rule("r", [.reply("hi")])
        func orders(_ decision: RoutingDecision, _ rules: [Rule], mayAnswer: Bool = true) -> [Ruling.Order] {
            ruling(on: decision, rules, mayAnswer: mayAnswer) { $0.unknownSenderReply = "Who are you?" }.orders
        }
        #expect(orders(.unclaimed, []) == [policy])
        #expect(orders(.unclaimed, [reply]) == [.init(rule: "r", action: .reply("hi"))])
        #expect(orders(.unclaimed, [], mayAnswer: false).isEmpty)
        #expect(orders(.unclaimed, [Self.rule("a", [.assign(uid(1))])]).isEmpty)
        #expect(orders(.lease(Self.one, rung: .onlyCandidate), []).isEmpty)
        #expect(ruling(on: .unclaimed).orders.isEmpty)
    }
}
