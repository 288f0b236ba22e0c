package import Messaging
package import Routing

// Messages that are recorded, asked about again: what would another set of rules change?

/// Where recorded messages are read from.
package protocol RecordedMessages: Sendable {
    /// Tenants' messages, those sent last first.
    /// - Parameter place: of the message behind which to go on; `nil` = from the newest one on.
    func inbound(before place: RecordedPlace?, limit: Int) async throws(RecorderError) -> RecordedMessagesPage
}

/// A recorded message's place among all.
package struct RecordedPlace: Hashable, Sendable {
    package var sentAt: Timestamp
    package var id: UniqueID

    package init(sentAt: Timestamp, id: UniqueID) {
        self.sentAt = sentAt
        self.id = id
    }
}

package struct RecordedMessagesPage: Sendable {
    package var messages: [RecordedInbound]
    /// Where the next page begins; `nil` when nothing follows.
    package var next: RecordedPlace?

    package init(messages: [RecordedInbound], next: RecordedPlace?) {
        self.messages = messages
        self.next = next
    }
}

/// Replays recorded messages through two sets of rules, a page at a time: as much is in memory as a page and the changes
/// that are kept. Reads only.
package struct RulesReplay: Sendable {
    private let messages: any RecordedMessages
    private let lookup: any ConversationLookup
    private let table: @Sendable ([InboundMessage]) async throws -> RoutingTable

    private static let pageSize = 200

    /// - Parameter table: the table that decides about these messages: the live one, or a smaller one that has their
    ///   senders.
    package init(
        messages: any RecordedMessages, lookup: any ConversationLookup,
        table: @escaping @Sendable ([InboundMessage]) async throws -> RoutingTable
    ) {
        self.messages = messages
        self.lookup = lookup
        self.table = table
    }

    /// - Parameters:
    ///   - last: how many messages, the newest ones; `RulesDiff.messagesMax` at most.
    ///   - now: the moment of deciding.
    ///   - changesMax: changes that are kept.
    ///   - isTimeUp: asked before each page; what was replayed until then is the answer.
    package func run(
        last: Int, from before: RulesInForce, to after: RulesInForce, now: Timestamp, changesMax: Int,
        isTimeUp: () -> Bool = { false }
    ) async throws -> RulesDiff {
        var comparison = RulesComparison(from: before, to: after, now: now, changesMax: changesMax)
        var left = min(last, RulesDiff.messagesMax)
        var place: RecordedPlace?
        while left > 0 {
            if Task.isCancelled || isTimeUp() {
                comparison.diff.isCutShort = true
                break
            }
            let page = try await messages.inbound(before: place, limit: min(left, Self.pageSize))
            if !page.messages.isEmpty { try await compare(page.messages, by: &comparison) }
            left -= page.messages.count
            guard let next = page.next else { break }
            place = next
        }
        return comparison.diff
    }

    private func compare(_ page: [RecordedInbound], by comparison: inout RulesComparison) async throws {
        let table = try await table(page.map(\.message))
        var passes: [(recorded: RecordedInbound, endpoint: Endpoint, pass: Resolver.FirstPass)] = []
        for recorded in page {
            guard let (endpoint, pass) = comparison.firstPass(recorded.message, table: table) else { continue }
            passes.append((recorded, endpoint, pass))
        }
        let questions = passes.compactMap { ThreadQuestion($0.recorded.message, at: $0.endpoint, $0.pass) }
        var facts = questions.isEmpty ? [] : try await lookup.facts(for: questions)[...]
        for (recorded, endpoint, pass) in passes {
            var known = SenderFacts()
            if case .needsThreads = pass, let found = facts.popFirst() { known = found }
            comparison.compare(recorded, at: endpoint, pass, facts: known, table: table)
        }
    }
}

extension ThreadQuestion {
    /// `nil` for a message that the table alone decides.
    fileprivate init?(_ message: InboundMessage, at endpoint: Endpoint, _ pass: Resolver.FirstPass) {
        guard case .needsThreads(let pending) = pass else { return nil }
        self.init(
            endpoint: endpoint, phone: message.sender.phone?.key, accountID: message.sender.accountID,
            quotedMessageID: message.quotedMessageID, questionID: pending.token?.question, sentAt: message.sentAt)
    }
}
