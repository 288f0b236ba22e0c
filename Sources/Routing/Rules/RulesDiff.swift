package import Messaging

/// What another set of rules would change: in the files, and for messages that are recorded.
package struct RulesDiff: Hashable, Sendable {
    /// A message whose verdict would be another.
    package struct Change: Hashable, Sendable {
        package var message: UniqueID
        package var sentAt: Timestamp
        package var sender: Sender
        package var before: RuleVerdict
        package var after: RuleVerdict
        /// What the new rules do and the old ones did not, and the other way round.
        package var actionsAdded: [String]
        package var actionsRemoved: [String]
    }

    /// In what a verdict differs. One change may be of several kinds.
    package enum Kind: String, Sendable, CaseIterable {
        /// The message would go somewhere else.
        case destination
        /// Something else would be done about it.
        case actions
        /// Other rules would apply to it.
        case rules
    }

    /// A value outside `rules:` that the files set differently.
    package struct Setting: Hashable, Sendable {
        package var name: String
        package var before: String
        package var after: String
    }

    /// The most messages a replay takes.
    package static let messagesMax = 100_000
    /// How many are taken where nobody says how many.
    package static let messagesStandard = 1000
    /// Changes kept of a replay: each is a few hundred bytes.
    package static let changesMax = 1000

    /// Messages that both sets of rules were asked about.
    package var replayed = 0
    /// Messages of which at least one thing would be another.
    package var changed = 0
    package var counts: [Kind: Int] = [:]
    /// The first of them, in the order of the replay.
    package var changes: [Change] = []
    /// Time was up before as many messages were replayed as were asked for.
    package var isCutShort = false
    /// When the oldest message that was replayed was sent.
    package var oldest: Timestamp?

    // What a replay cannot tell.

    /// Replayed, and decided by threads in which something was written since: as they are now, not as they were then.
    package var threadsMovedOn = 0
    /// Texts whose words are not stored: no rule about words finds them.
    package var withoutText = 0
    /// Not replayed: nobody knows their endpoint any more, or their provider's messages are not routed.
    package var skipped = 0

    // What the files say.

    /// Names of rules, in the order of the new files and then of the old ones.
    package var rulesAdded: [String] = []
    package var rulesRemoved: [String] = []
    /// Of the same name, with other conditions or actions.
    package var rulesEdited: [String] = []
    /// Rules that are in both sets stand in another order.
    package var isReordered = false
    package var settings: [Setting] = []

    /// Compares the files alone.
    package init(before: RoutingRules, after: RoutingRules) {
        let old = Dictionary(before.rules.rules.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        let new = Set(after.rules.rules.map(\.name))
        for rule in after.rules.rules {
            guard let known = old[rule.name] else {
                rulesAdded.append(rule.name)
                continue
            }
            if !known.isSame(as: rule) { rulesEdited.append(rule.name) }
        }
        rulesRemoved = before.rules.rules.map(\.name).filter { !new.contains($0) }
        let kept = before.rules.rules.map(\.name).filter { new.contains($0) }
        isReordered = kept != after.rules.rules.map(\.name).filter { old[$0] != nil }
        settings = zip(before.settings, after.settings).compactMap { before, after in
            guard before.value != after.value else { return nil }
            return Setting(
                name: before.name, before: RuleAction.quoted(before.value), after: RuleAction.quoted(after.value))
        }
    }

    /// Whether neither a verdict nor a setting would be another. Rules that no replayed message meets do not count.
    package var isEmpty: Bool { changed == 0 && settings.isEmpty }

    /// What the files say, in a line.
    package var fileSummary: String {
        var parts = [("added", rulesAdded.count), ("removed", rulesRemoved.count), ("edited", rulesEdited.count)]
            .map { "\($0.1) \($0.0)" }
        if isReordered { parts.append("order changed") }
        let settings = settings.map(\.name).joined(separator: ", ")
        return "rules: \(parts.joined(separator: ", ")); settings changed: \(settings.isEmpty ? "none" : settings)"
    }
}

extension Rule {
    /// The same, wherever it stands.
    fileprivate func isSame(as other: Rule) -> Bool {
        condition == other.condition && actions == other.actions && continues == other.continues
    }
}

extension RoutingRules {
    /// All that is set outside `rules:`, by the names the files use, in a fixed order.
    fileprivate var settings: [(name: String, value: String)] {
        let timeout =
            switch afterTimeout {
            case .hold: "hold"
            case .assign(let landlord): "assign: \(landlord)"
            }
        return [
            ("signature", signature.template), ("ladder.landlord_spoke_hours", "\(landlordSpokeHours)"),
            ("ladder.ask", "\(asks)"), ("ladder.ask_text", question.text), ("ladder.ask_button", question.button),
            ("ladder.ask_number_hint", question.numberHint), ("ladder.ask_timeout_hours", "\(askTimeoutHours)"),
            ("ladder.after_timeout", timeout), ("unknown_sender.reply", unknownSenderReply ?? "none"),
            ("unknown_sender.every_hours", "\(unknownSenderHours)"),
        ]
    }
}
