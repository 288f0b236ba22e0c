public import Messaging
import Routing

/// Something to be done about a message beside filing it, in the transaction that records it.
public struct RecordedOrder: Hashable, Sendable {
    /// The rule that wants it; for what the ladder itself does, `ladder`.
    public var rule: String
    public var action: Action

    public enum Action: Hashable, Sendable {
        /// The message is the answer to a question: what waits follows it.
        case answer(ChoiceToken)
        /// The sender is asked which landlord is meant, unless a question of theirs is open.
        case ask(id: UniqueID, QuestionWording, timeoutSeconds: Int)
        /// The gateway answers the sender by itself, once in so many seconds for each rule.
        case reply(id: UniqueID, text: String, againAfterSeconds: Int)
        case replyTemplate(id: UniqueID, name: String, language: String, againAfterSeconds: Int)
        case tag(String)
        case raisePriority
        case notify(String)
        case forward(String)
        case optOut
        case optIn
    }

    /// Stands for the ladder where a rule's name does otherwise.
    public static let ladder = "ladder"

    public init(rule: String, action: Action) {
        self.rule = rule
        self.action = action
    }
}

extension RecordedOrder {
    /// How long a rule that answered somebody keeps from answering them again.
    private static let againAfterSeconds = 3600

    /// What a ruling comes to for the recorder.
    static func orders(
        of ruling: Ruling, _ rules: RoutingRules, at now: Timestamp, using generator: inout some RandomNumberGenerator
    ) -> [RecordedOrder] {
        var orders: [RecordedOrder] = []
        if let answer = ruling.answer { orders.append(.init(rule: ladder, action: .answer(answer))) }
        if ruling.asks {
            orders.append(
                .init(
                    rule: ladder,
                    action: .ask(
                        id: .make(at: now, using: &generator), rules.question,
                        timeoutSeconds: rules.askTimeoutHours * 3600)))
        }
        for order in ruling.orders {
            let isPolicy = order.rule == Ruling.unknownSenderPolicy
            let again = isPolicy ? rules.unknownSenderHours * 3600 : againAfterSeconds
            guard let action = Action(order.action, againAfterSeconds: again, at: now, using: &generator) else {
                continue
            }
            orders.append(.init(rule: order.rule, action: action))
        }
        return orders
    }
}

extension RecordedOrder.Action {
    /// - Returns: `nil` for what a ruling says in other words: where the message goes, and whether it goes on.
    fileprivate init?(
        _ action: RuleAction, againAfterSeconds again: Int, at now: Timestamp,
        using generator: inout some RandomNumberGenerator
    ) {
        switch action {
        case .reply(let text):
            self = .reply(id: .make(at: now, using: &generator), text: text, againAfterSeconds: again)
        case .replyTemplate(let name, let language):
            self = .replyTemplate(
                id: .make(at: now, using: &generator), name: name, language: language, againAfterSeconds: again)
        case .tag(let tag): self = .tag(tag)
        case .raisePriority: self = .raisePriority
        case .notify(let subject): self = .notify(subject)
        case .forward(let endpoint): self = .forward(endpoint)
        case .optOut: self = .optOut
        case .optIn: self = .optIn
        case .assign, .ask, .hold, .withhold: return nil
        }
    }
}
