package import Messaging

/// The rules as they hold now, with what they need to be applied.
package struct RulesInForce: Sendable {
    package var rules: RoutingRules
    /// Counts the rules this process has swapped in, from 1; stands in `routing_metadata`.
    package var generation: Int64
    /// How far a time zone's clocks are ahead at a moment; `nil` for a zone nobody knows.
    package var secondsFromUTC: @Sendable (_ zone: String, _ at: Timestamp) -> Int?

    /// No rules, and nobody is asked anything: for whoever decides without rules files.
    package static let none: RulesInForce = {
        var rules = RoutingRules.standard
        rules.asks = false
        return RulesInForce(rules: rules, generation: 0) { _, _ in nil }
    }()

    package init(
        rules: RoutingRules, generation: Int64,
        secondsFromUTC: @escaping @Sendable (_ zone: String, _ at: Timestamp) -> Int?
    ) {
        self.rules = rules
        self.generation = generation
        self.secondsFromUTC = secondsFromUTC
    }
}

/// All that was decided about a message: where it goes, and what else is to be done about it.
package struct Ruling: Hashable, Sendable {
    package var decision: RoutingDecision
    /// The question that the message answers.
    package var answer: ChoiceToken?
    /// What the ladder had found when the rules were asked.
    package var state: RouteState
    /// Recorded as always, and not passed on to the landlord.
    package var isWithheld = false
    /// The sender is to be asked which landlord is meant.
    package var asks = false
    /// Names of the rules that matched, in order.
    package var matched: [String] = []
    /// What they order beside the destination, in order.
    package var orders: [Order] = []

    /// Something to be done about a message, and the rule that wants it.
    package struct Order: Hashable, Sendable {
        package var rule: String
        package var action: RuleAction

        package init(rule: String, action: RuleAction) {
            self.rule = rule
            self.action = action
        }
    }

    /// The name that stands for the policy about senders whom no landlord has, where a rule's name does otherwise.
    package static let unknownSenderPolicy = "unknown_sender"
}

extension RulesInForce {
    /// Types that say something about another message, or that the provider made: nobody answers these.
    private static let silentTypes: Set<String> = ["reaction", "system", "edit", "revoke"]

    /// Asks the rules about a message the ladder is done with.
    /// - Parameters:
    ///   - at: the message's time, by which local time is told.
    ///   - mayAnswer: whether the sender may be written to at all because of it.
    package func ruling(
        on resolution: Resolution, _ message: InboundMessage, sentAt: Timestamp, at endpoint: Endpoint,
        table: RoutingTable, mayAnswer: Bool
    ) -> Ruling {
        var ruling = Ruling(
            decision: resolution.decision, answer: resolution.answer, state: resolution.state(in: table))
        // Who answers a question says nothing to a landlord, and nothing to the rules.
        guard ruling.answer == nil else { return ruling }
        let mayAnswer = mayAnswer && !Self.silentTypes.contains(message.type)
        ruling.asks = rules.asks
        if !rules.rules.isEmpty {
            let subject = RuleSubject(message, ruling, sentAt: sentAt, at: endpoint)
            for rule in rules.rules.matches(subject, secondsFromUTC: { secondsFromUTC($0, sentAt) }) {
                ruling.obey(rule, at: endpoint, table: table)
            }
        }
        if let text = rules.unknownSenderReply, case .unclaimed = ruling.decision,
            !ruling.orders.contains(where: \.action.isReply)
        {
            ruling.orders.append(.init(rule: Ruling.unknownSenderPolicy, action: .reply(text)))
        }
        if !mayAnswer { ruling.orders.removeAll(where: \.action.isReply) }
        ruling.asks = ruling.asks && mayAnswer && ruling.decision.isQuestion && endpoint.reference.kind.canAsk
        return ruling
    }
}

extension Ruling {
    fileprivate mutating func obey(_ rule: Rule, at endpoint: Endpoint, table: RoutingTable) {
        matched.append(rule.name)
        for action in rule.actions {
            switch action {
            case .assign(let landlord): assign(landlord, at: endpoint, table: table)
            case .ask: asks = true
            case .hold: hold()
            case .withhold: isWithheld = true
            default: orders.append(Order(rule: rule.name, action: action))
            }
        }
    }

    /// Only among those who could be meant, or where nobody could be: a rule's mistake must not show anybody's mail to a
    /// stranger.
    private mutating func assign(_ landlord: UniqueID, at endpoint: Endpoint, table: RoutingTable) {
        switch decision {
        case .held(let candidates, let threads):
            if let candidate = candidates.first(where: { $0.landlordID == landlord }) {
                decision = .lease(candidate, rung: .rule)
            } else if let thread = threads.first(where: { $0.landlordID == landlord }) {
                decision = .thread(thread, rung: .rule)
            }
        case .unclaimed where table.landlord(landlord) != nil && endpoint.admits(landlord: landlord):
            decision = .landlord(landlord, rung: .rule)
        case .lease, .thread, .landlord, .unclaimed: break
        }
    }

    private mutating func hold() {
        asks = false
        switch decision {
        case .lease(let candidate, _): decision = .held([candidate])
        case .thread(let thread, _): decision = .held([], threads: [thread])
        case .landlord: decision = .unclaimed
        case .held, .unclaimed: break
        }
    }
}

extension RuleAction {
    /// Whether the sender hears of it.
    package var isReply: Bool {
        switch self {
        case .reply, .replyTemplate: true
        default: false
        }
    }
}

extension RoutingDecision {
    /// Several could be meant, and no more than a question can name.
    fileprivate var isQuestion: Bool {
        guard case .held(let candidates, let threads) = self else { return false }
        return (2...QuestionForm.choicesMax).contains(candidates.count + threads.count)
    }

    /// Whom it could be for.
    fileprivate var places: [(landlord: UniqueID, property: UniqueID?)] {
        switch self {
        case .lease(let candidate, _): [(candidate.landlordID, candidate.propertyID)]
        case .thread(let thread, _): [(thread.landlordID, thread.propertyID)]
        case .landlord(let id, _): [(id, nil)]
        case .held(let candidates, let threads):
            candidates.map { ($0.landlordID, $0.propertyID) } + threads.map { ($0.landlordID, $0.propertyID) }
        case .unclaimed: []
        }
    }
}

extension Resolution {
    fileprivate func state(in table: RoutingTable) -> RouteState {
        switch decision {
        case .held: return .ambiguous
        case .unclaimed: return .unknown
        case .lease, .thread, .landlord:
            let isOff = decision.places.first.flatMap { table.landlord($0.landlord)?.isEnabled } == false
            return isOff ? .landlordOff : isEnded ? .ended : .known
        }
    }
}

extension RuleSubject {
    fileprivate init(_ message: InboundMessage, _ ruling: Ruling, sentAt: Timestamp, at endpoint: Endpoint) {
        let places = ruling.decision.places
        self.init(
            channel: RuleChannel(endpoint.reference.kind), endpoint: endpoint.reference.providerID,
            state: ruling.state, type: message.type, text: message.body, at: sentAt, landlords: places.map(\.landlord),
            properties: places.compactMap(\.property), business: endpoint.ownerID)
    }
}

extension EndpointKind {
    /// Whether a question can be sent from it: by way of Meta's Cloud API alone.
    fileprivate var canAsk: Bool { self == .cloud }
}
