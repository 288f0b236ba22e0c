package import Messaging

/// All that made a message go where it goes, for people: made on demand, by the very steps that decide.
package struct DecisionTrace: Sendable {
    /// What the sender is known by.
    package var phone: PhoneKey?
    package var account: AccountIdentity?
    /// Every lease the table finds for the sender, with the reason why it counts or not.
    package var leases: [RouteExplanation]
    /// What the database knows besides: threads, and questions.
    package var facts: SenderFacts
    /// Whether the database had to be asked.
    package var isByTableAlone: Bool
    /// What the ladder found, and by which rung; before the rules.
    package var resolution: Resolution
    /// What came of it, with the rules that matched and what they order.
    package var ruling: Ruling
    package var tableGeneration: UInt64
    package var rulesGeneration: Int64

    /// Decides a message as intake would now.
    /// - Parameters:
    ///   - facts: about the sender; ask for them with what `Resolver.firstPass` wants.
    ///   - now: the moment of deciding; the message's own time counts where the ladder and the rules ask for it.
    package init(
        _ message: InboundMessage, at endpoint: Endpoint, table: RoutingTable, rules: RulesInForce, facts: SenderFacts,
        now: Timestamp
    ) {
        let resolver = Resolver(
            table: table, today: now.day, landlordSpokeHours: rules.rules.landlordSpokeHours)
        phone = message.sender.phone?.key
        account = message.sender.account(at: endpoint)
        leases = table.explain(phone: phone, account: account, endpoint: endpoint, today: now.day)
        self.facts = facts
        switch resolver.firstPass(message, at: endpoint) {
        case .decided(let decided):
            isByTableAlone = true
            resolution = decided
        case .needsThreads(let pending):
            isByTableAlone = false
            resolution = resolver.decide(pending, facts)
        }
        ruling = rules.ruling(
            on: resolution, message, sentAt: message.sentAt, at: endpoint, table: table, mayAnswer: true)
        tableGeneration = table.generation
        rulesGeneration = rules.generation
    }
}
