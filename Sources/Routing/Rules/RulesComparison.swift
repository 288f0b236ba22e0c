package import Messaging

/// A message that is recorded, as far as rules are asked about it.
package struct RecordedInbound: Hashable, Sendable {
    package var id: UniqueID
    /// The sender is who its person is now.
    package var message: InboundMessage

    package init(id: UniqueID, message: InboundMessage) {
        self.id = id
        self.message = message
    }
}

/// Asks two sets of rules about the same messages, and keeps in what they differ. Nothing is written or sent.
///
/// Both are asked as if the message came now: with today's leases, threads and questions; the message's own time counts
/// where the ladder and the rules ask for it.
package struct RulesComparison: Sendable {
    package var diff: RulesDiff
    private let before: RulesInForce
    private let after: RulesInForce
    private let today: CalendarDay
    private let changesMax: Int

    /// - Parameter changesMax: changes that are kept; all are counted.
    package init(from before: RulesInForce, to after: RulesInForce, now: Timestamp, changesMax: Int) {
        diff = RulesDiff(before: before.rules, after: after.rules)
        self.before = before
        self.after = after
        today = now.day
        self.changesMax = changesMax
    }

    /// What the table alone says about a message, before rules are asked; `nil` for one that cannot be replayed, which is
    /// noted.
    package mutating func firstPass(
        _ message: InboundMessage, table: RoutingTable
    ) -> (endpoint: Endpoint, pass: Resolver.FirstPass)? {
        guard message.endpoint.kind.isRouted, let endpoint = table.endpoint(message.endpoint) else {
            diff.skipped += 1
            return nil
        }
        return (endpoint, resolver(table, before).firstPass(message, at: endpoint))
    }

    /// Compares what both sets say to a message.
    /// - Parameters:
    ///   - pass: of `firstPass`, with the same table.
    ///   - facts: about the sender, where `pass` needs them.
    package mutating func compare(
        _ recorded: RecordedInbound, at endpoint: Endpoint, _ pass: Resolver.FirstPass, facts: SenderFacts,
        table: RoutingTable
    ) {
        let message = recorded.message
        func verdict(_ rules: RulesInForce) -> RuleVerdict {
            let resolution =
                switch pass {
                case .decided(let resolution): resolution
                case .needsThreads(let pending): resolver(table, rules).decide(pending, facts)
                }
            return RuleVerdict(
                rules.ruling(
                    on: resolution, message, sentAt: message.sentAt, at: endpoint, table: table, mayAnswer: true))
        }
        diff.replayed += 1
        diff.oldest = min(diff.oldest ?? message.sentAt, message.sentAt)
        if case .needsThreads = pass, facts.threads.contains(where: { $0.hasMoved(since: message.sentAt) }) {
            diff.threadsMovedOn += 1
        }
        if message.type == "text", message.body == nil { diff.withoutText += 1 }
        note(recorded, verdict(before), verdict(after))
    }

    private mutating func note(_ recorded: RecordedInbound, _ before: RuleVerdict, _ after: RuleVerdict) {
        guard before != after else { return }
        let added = after.actions.subtracting(before.actions)
        let removed = before.actions.subtracting(after.actions)
        var kinds: [RulesDiff.Kind] = []
        if before.destination != after.destination { kinds.append(.destination) }
        if !added.isEmpty || !removed.isEmpty { kinds.append(.actions) }
        if before.rules != after.rules { kinds.append(.rules) }
        // The same actions in another order come to the same.
        guard !kinds.isEmpty else { return }
        diff.changed += 1
        for kind in kinds { diff.counts[kind, default: 0] += 1 }
        guard diff.changes.count < changesMax else { return }
        diff.changes.append(
            RulesDiff.Change(
                message: recorded.id, sentAt: recorded.message.sentAt, sender: recorded.message.sender, before: before,
                after: after, actionsAdded: added, actionsRemoved: removed))
    }

    private func resolver(_ table: RoutingTable, _ rules: RulesInForce) -> Resolver {
        Resolver(table: table, today: today, landlordSpokeHours: rules.rules.landlordSpokeHours)
    }
}

extension ThreadReference {
    /// Whether something was written in it after a message.
    fileprivate func hasMoved(since moment: Timestamp) -> Bool {
        (lastMessageAt ?? moment) > moment || (lastOutboundAt ?? moment) > moment
    }
}

extension [String] {
    /// What is left when each of the others took one equal away, in order.
    fileprivate func subtracting(_ others: [String]) -> [String] {
        var counts: [String: Int] = [:]
        for other in others { counts[other, default: 0] += 1 }
        return filter { text in
            guard let count = counts[text], count > 0 else { return true }
            counts[text] = count - 1
            return false
        }
    }
}
