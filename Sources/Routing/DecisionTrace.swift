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
    /// Whether the database did not have to be asked.
    package var isByTableAlone: Bool
    /// The rungs in order, up to the one that decided.
    package var steps: [LadderStep]
    /// What the ladder found, and by which rung; before the rules.
    package var resolution: Resolution
    /// What came of it, with the rules that matched and what they order.
    package var ruling: Ruling
    package var tableGeneration: UInt64
    package var rulesGeneration: Int64

    /// Decides a message as intake would now.
    /// - Parameters:
    ///   - routes: all leases the database has for this sender: nobody is a stranger, or between two landlords, by the
    ///     table alone. `nil`: the table is the database's.
    ///   - facts: about the sender; ask for them with what `Resolver.firstPass` wants.
    ///   - now: the moment of deciding; the message's own time counts where the ladder and the rules ask for it.
    package init(
        _ message: InboundMessage, at endpoint: Endpoint, table: RoutingTable, rules: RulesInForce, facts: SenderFacts,
        routes: [Route]? = nil, now: Timestamp
    ) {
        let resolver = Resolver(
            table: table, today: now.day, landlordSpokeHours: rules.rules.landlordSpokeHours)
        phone = message.sender.phone?.key
        account = message.sender.account(at: endpoint)
        leases = table.explain(phone: phone, account: account, endpoint: endpoint, today: now.day)
        self.facts = facts
        var pending = resolver.pending(message, at: endpoint)
        switch resolver.firstPass(pending.candidates, message, at: endpoint) {
        case .decided(let decided) where decided.decision.rung != nil:
            isByTableAlone = true
            resolution = decided
        case .decided, .needsThreads:
            isByTableAlone = false
            if pending.candidates.only == nil, let routes {
                pending = resolver.pending(message, at: endpoint, withRoutes: routes)
                leases += Self.unknown(pending.candidates, to: leases, table)
            }
            resolution = resolver.decide(pending, facts)
        }
        steps = resolver.steps(to: resolution, message, pending, facts)
        ruling = rules.ruling(
            on: resolution, message, sentAt: message.sentAt, at: endpoint, table: table, mayAnswer: true)
        tableGeneration = table.generation
        rulesGeneration = rules.generation
    }

    /// Leases that count and that the table does not have yet.
    private static func unknown(
        _ candidates: CandidateList, to leases: [RouteExplanation], _ table: RoutingTable
    ) -> [RouteExplanation] {
        candidates.counting.compactMap { route in
            guard !leases.contains(where: { $0.route == route }) else { return nil }
            return RouteExplanation(route: route, outcome: .candidate, landlord: table.landlord(route.landlordID))
        }
    }
}

extension RoutingDecision {
    /// The rung that decided; `nil` where the message waits.
    package var rung: Rung? {
        switch self {
        case .lease(_, let rung), .thread(_, let rung), .landlord(_, let rung): rung
        case .held, .unclaimed: nil
        }
    }
}
