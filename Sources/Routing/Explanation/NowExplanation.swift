package import Messaging

/// How whole numbers and ids are shown.
package struct ExplanationMask: Hashable, Sendable {
    package var isUnmasked: Bool

    package init(isUnmasked: Bool) { self.isUnmasked = isUnmasked }

    package func phone(_ number: PhoneNumber) -> String { isUnmasked ? "+\(number.digits)" : number.masked }

    func key(_ key: PhoneKey) -> String { PhoneNumber(digits: key.value).map(phone) ?? "…" }

    package func account(_ id: String) -> String {
        // Of a short one the end would be all of it.
        isUnmasked ? id : "…\(id.count > 8 ? String(id.suffix(4)) : "")"
    }
}

extension Explanation.Identity {
    package init(_ identity: KnownIdentity, _ mask: ExplanationMask) {
        let number = identity.kind == IdentityKind.phone.rawValue ? UInt64(identity.value) : nil
        self.init(
            kind: identity.kind, value: number.map { mask.key(PhoneKey(folded: $0)) } ?? mask.account(identity.value),
            person: identity.personID, firstSeen: identity.firstSeen, retiredAt: identity.retiredAt,
            retiredReason: identity.retiredReason)
    }
}

extension Explanation.Decision {
    /// - Parameters:
    ///   - records: the rows of the leases, in the order of their tenants' and their own ids.
    ///   - blocked: conversations of the sender's that are blocked.
    package init(
        _ trace: DecisionTrace, table: RoutingTable, rules: RulesInForce, records: [RouteRecord],
        blocked: [BlockedThread] = [], mask: ExplanationMask
    ) {
        let places = PlaceFinder(table: table, joined: trace.leases.joined(with: records))
        let ruling = trace.ruling
        place = places.place(of: ruling.decision)
        rung = ruling.decision.rung?.rawValue
        state = ruling.state.rawValue
        withheld = Self.withheld(ruling, place, table, blocked)
        verdict =
            switch ruling.decision {
            case .held: "held"
            case .unclaimed: "unclaimed"
            case .lease, .thread, .landlord: withheld == nil ? "routed" : "withheld"
            }
        isByTableAlone = trace.isByTableAlone
        leases = places.leases(trace.leases, mask)
        threads = trace.facts.threads.map { thread in
            .init(
                place: places.place(of: thread), isQuoted: thread.isQuoted, isArchived: thread.isArchived,
                lastMessageAt: thread.lastMessageAt, landlordSpokeAt: thread.lastOutboundAt)
        }
        let all = Dictionary(rules.rules.rules.rules.map { ($0.name, $0.place) }, uniquingKeysWith: { a, _ in a })
        self.rules = ruling.matched.map { .init(name: $0, place: all[$0]) }
        orders = ruling.orders.map { .init(rule: $0.rule, action: $0.action.words) }
        asks = ruling.asks
        let byRules = Self.rulesStep(ruling, trace.resolution, rules)
        ladder = trace.steps + [byRules]
        let decider = byRules.decided ? byRules : trace.steps.last { $0.decided }
        reason = decider?.reason ?? Self.waiting(ruling)
    }

    /// As the commit decides it.
    private static func withheld(
        _ ruling: Ruling, _ place: Explanation.Place?, _ table: RoutingTable, _ blocked: [BlockedThread]
    ) -> String? {
        guard let place else { return nil }
        if blocked.contains(where: { $0.landlordID == place.landlord && $0.tenantID == place.tenant }) {
            return "blocked"
        }
        if table.landlord(place.landlord)?.isEnabled != true { return "opted_out" }
        return ruling.isWithheld ? "by_rule" : nil
    }

    /// What the rules say after the ladder.
    private static func rulesStep(_ ruling: Ruling, _ found: Resolution, _ rules: RulesInForce) -> LadderStep {
        let decided = ruling.decision != found.decision
        let names = ruling.matched.joined(separator: ", ")
        let reason: String
        if ruling.answer != nil {
            reason = "an answer to a question is not shown to the rules"
        } else if ruling.matched.isEmpty {
            reason = rules.rules.rules.rules.isEmpty ? "there are no rules" : "no rule matches"
        } else if decided {
            reason =
                ruling.decision.rung == nil ? "a rule holds it: \(names)" : "a rule gives it to this landlord: \(names)"
        } else {
            let isOne = ruling.matched.count == 1
            reason = "\(names) \(isOne ? "matches, and leaves" : "match, and leave") it where it goes"
        }
        return LadderStep(rung: Rung.rule.rawValue, decided: decided, reason: reason)
    }

    private static func waiting(_ ruling: Ruling) -> String {
        guard case .held = ruling.decision else { return "no landlord has this sender" }
        return "several landlords could be meant, and nothing says which; "
            + (ruling.asks ? "the sender is asked" : "an administrator has to say")
    }
}

/// Gives landlords, leases and conversations the names people know them by.
private struct PlaceFinder {
    let table: RoutingTable
    let joined: [(record: RouteRecord, explanation: RouteExplanation)]

    func place(of decision: RoutingDecision) -> Explanation.Place? {
        switch decision {
        case .lease(let candidate, _): place(of: candidate)
        case .thread(let thread, _): place(of: thread)
        case .landlord(let id, _): .init(landlord: id, landlordName: table.landlord(id)?.name)
        case .held, .unclaimed: nil
        }
    }

    func place(of thread: ThreadReference) -> Explanation.Place {
        let record = joined.first {
            $0.record.tenantID == thread.tenantID && $0.record.route.propertyID == thread.propertyID
        }
        return .init(
            landlord: thread.landlordID, landlordName: table.landlord(thread.landlordID)?.name, tenant: thread.tenantID,
            property: thread.propertyID, propertyAddress: record?.record.propertyAddress,
            conversation: thread.conversationID)
    }

    private func place(of candidate: Candidate) -> Explanation.Place {
        let speaking = joined.first {
            $0.explanation.outcome == .candidate && $0.record.route.landlordID == candidate.landlordID
                && $0.record.route.key == candidate.routeKey
        }
        return speaking.map { place(of: $0.record) }
            ?? .init(
                landlord: candidate.landlordID, landlordName: table.landlord(candidate.landlordID)?.name,
                property: candidate.propertyID)
    }

    private func place(of record: RouteRecord) -> Explanation.Place {
        .init(
            landlord: record.route.landlordID, landlordName: table.landlord(record.route.landlordID)?.name,
            tenant: record.tenantID, lease: record.leaseID, property: record.route.propertyID,
            propertyAddress: record.propertyAddress)
    }

    /// Those with rows first, then those that have none any more.
    func leases(_ all: [RouteExplanation], _ mask: ExplanationMask) -> [Explanation.Lease] {
        let withRows = joined.map { record, explanation in
            lease(place(of: record), explanation, mask)
        }
        let found = Set(joined.map(\.record.route))
        let others = all.filter { !found.contains($0.route) }.map { explanation in
            lease(
                .init(
                    landlord: explanation.route.landlordID, landlordName: explanation.landlord?.name,
                    property: explanation.route.propertyID), explanation, mask)
        }
        return withRows + others
    }

    private func lease(
        _ place: Explanation.Place, _ explanation: RouteExplanation, _ mask: ExplanationMask
    ) -> Explanation.Lease {
        .init(
            place: place, phone: mask.key(explanation.route.key), counts: explanation.outcome == .candidate,
            outcome: explanation.outcome.words)
    }
}

extension RuleAction {
    /// What it does, for people.
    fileprivate var words: String {
        switch self {
        case .reply(let text): "reply \"\(text)\""
        case .replyTemplate(let name, let language): "reply with the template \(name) (\(language))"
        case .assign(let landlord): "assign to \(landlord)"
        case .ask: "ask"
        case .hold: "hold"
        case .tag(let tag): "tag \(tag)"
        case .raisePriority: "raise the priority"
        case .notify(let subject): "notify \"\(subject)\""
        case .forward(let endpoint): "forward to \(endpoint)"
        case .optOut: "opt out"
        case .optIn: "opt in"
        case .withhold: "withhold"
        }
    }
}
