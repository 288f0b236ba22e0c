package import Messaging

/// What a set of rules comes to for one message, as people compare it.
package struct RuleVerdict: Hashable, Sendable {
    /// Where the message goes. By which lease, thread or rung is the ladder's affair.
    package enum Destination: Hashable, Sendable {
        case landlord(UniqueID)
        /// Several could be meant, or an administrator is to look.
        case held
        /// Nobody has this sender.
        case unclaimed
    }

    package var destination: Destination
    /// Names of the rules that matched, in order; of the policy about unknown senders, where it answers.
    package var rules: [String]
    /// What is done beside filing the message, as the rules files write it, in order.
    package var actions: [String]

    init(_ ruling: Ruling) {
        destination =
            switch ruling.decision {
            case .lease(let candidate, _): .landlord(candidate.landlordID)
            case .thread(let thread, _): .landlord(thread.landlordID)
            case .landlord(let id, _): .landlord(id)
            case .held: .held
            case .unclaimed: .unclaimed
            }
        let policy = Ruling.unknownSenderPolicy
        rules = ruling.matched + (ruling.orders.contains { $0.rule == policy } ? [policy] : [])
        actions =
            (ruling.isWithheld ? [RuleAction.withhold.text] : []) + (ruling.asks ? [RuleAction.ask.text] : [])
            + ruling.orders.map(\.action.text)
    }
}

extension RuleVerdict.Destination: CustomStringConvertible {
    package var description: String {
        switch self {
        case .landlord(let id): "landlord \(id)"
        case .held: "held"
        case .unclaimed: "unclaimed"
        }
    }
}

extension RuleAction {
    /// As a rules file writes it; long texts shortened.
    package var text: String {
        switch self {
        case .reply(let text): "reply: \(Self.quoted(text))"
        case .replyTemplate(let name, let language): "reply: {template: \(name), language: \(language)}"
        case .assign(let landlord): "assign: \(landlord)"
        case .ask: "ask"
        case .hold: "hold"
        case .tag(let tag): "tag: \(Self.quoted(tag))"
        case .raisePriority: "priority: high"
        case .notify(let subject): "notify: \(Self.quoted(subject))"
        case .forward(let name): "forward: \(name)"
        case .optOut: "opt_out"
        case .optIn: "opt_in"
        case .withhold: "withhold"
        }
    }

    /// Two texts that differ behind what is shown of them differ in their length or in the sum that follows.
    static func quoted(_ text: String) -> String {
        let shown = RulesError.shown(text)
        guard shown.hasSuffix("…"), text.unicodeScalars.count > RulesError.shownMax else { return "\"\(shown)\"" }
        let sum = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) { ($0 ^ UInt64($1)) &* 0x100_0000_01B3 }
        return "\"\(shown)\" (\(text.unicodeScalars.count) characters, #\(String(sum & 0xFFFF, radix: 16)))"
    }
}
