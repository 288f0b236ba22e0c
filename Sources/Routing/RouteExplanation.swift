package import Messaging

/// A row of `gateway.routes`, with the ids and the address that routing does without.
package struct RouteRecord: Hashable, Sendable {
    package var route: Route
    package var tenantID: UniqueID
    package var leaseID: UniqueID
    package var propertyAddress: String?

    package init(route: Route, tenantID: UniqueID, leaseID: UniqueID, propertyAddress: String?) {
        self.route = route
        self.tenantID = tenantID
        self.leaseID = leaseID
        self.propertyAddress = propertyAddress
    }
}

/// One lease that a sender's message could go by, and why it counts or not. For `routes lookup` and `explain`.
package struct RouteExplanation: Hashable, Sendable {
    package enum Outcome: Hashable, Sendable {
        /// The landlord's one candidate.
        case candidate
        /// Within grace, but another lease of the sender runs.
        case runningPreferred
        /// Another lease with the same landlord speaks for the sender, being the older one.
        case olderLease
        case notBegun
        case over
        /// The endpoint belongs to somebody else.
        case otherOwner
        /// Written down before the number's former holder left it: meant for that person.
        case formerHolder
        /// Written down after the sender left the number: meant for the next holder.
        case nextHolder

        /// In words: why it counts or not.
        package var words: String {
            switch self {
            case .candidate: "counts"
            case .runningPreferred: "in its days of grace, but another lease runs"
            case .olderLease: "another lease with the same landlord, which is older, counts"
            case .notBegun: "has not begun"
            case .over: "is over"
            case .otherOwner: "belongs to another owner than this endpoint"
            case .formerHolder: "was meant for a former holder of the number"
            case .nextHolder: "is meant for the next holder of the number"
            }
        }
    }

    package var route: Route
    package var outcome: Outcome
    /// The landlord as far as it is known.
    package var landlord: Landlord?
}

extension [RouteExplanation] {
    /// Each lease with its row, in the order of the rows.
    ///
    /// Of a landlord's leases that begin on one day the first in order speaks, as the commit has it.
    /// - Parameter records: of all leases explained, in the order of their tenants' and their own ids.
    package func joined(with records: [RouteRecord]) -> [(record: RouteRecord, explanation: RouteExplanation)] {
        let explained = Dictionary(map { ($0.route, $0) }, uniquingKeysWith: { first, _ in first })
        var speaking: Set<UniqueID> = []
        return records.compactMap { record in
            guard var explanation = explained[record.route] else { return nil }
            let chosen = first { $0.outcome == .candidate && $0.route.landlordID == record.route.landlordID }?.route
            if let chosen, explanation.outcome == .candidate || explanation.outcome == .olderLease {
                let isEqual = chosen.validFrom == record.route.validFrom
                let speaks = isEqual && speaking.insert(chosen.landlordID).inserted
                explanation.outcome = speaks ? .candidate : .olderLease
            }
            return (record, explanation)
        }
    }
}

extension RoutingTable {
    /// All leases under the sender's keys, with the reason for each; the same rules as `candidates`.
    package func explain(
        phone: PhoneKey?, account: AccountIdentity?, endpoint: Endpoint, today: CalendarDay
    ) -> [RouteExplanation] {
        let list = candidates(phone: phone, account: account, endpoint: endpoint, today: today)
        var reached: [Route: [Reach]] = [:]
        var order: [Route] = []
        identities.forEachReach(phone: phone, account: account, phoneScope: endpoint.phoneScope) { reach in
            forEachRoute(of: reach.key) { route in
                if reached[route] == nil { order.append(route) }
                reached[route, default: []].append(reach)
            }
        }
        return order.map { route in
            RouteExplanation(
                route: route,
                outcome: outcome(of: route, reaches: reached[route] ?? [], in: list, at: endpoint, on: today),
                landlord: landlord(route.landlordID))
        }
    }

    private func outcome(
        of route: Route, reaches: [Reach], in list: CandidateList, at endpoint: Endpoint, on today: CalendarDay
    ) -> RouteExplanation.Outcome {
        guard endpoint.admits(landlord: route.landlordID) else { return .otherOwner }
        guard reaches.contains(where: { $0.includes(route.learntAt) }) else {
            let isFormer = reaches.contains { $0.learntFrom.map { route.learntAt < $0 } ?? false }
            return isFormer ? .formerHolder : .nextHolder
        }
        let standing = route.standing(on: today, graceDays: settings.leaseGraceDays)
        switch standing {
        case .notBegun: return .notBegun
        case .over: return .over
        case .inGrace where !list.running.isEmpty: return .runningPreferred
        case .running, .inGrace:
            let chosen = list.counting.first { $0.landlordID == route.landlordID }
            return chosen.map { $0 == route ? .candidate : .olderLease } ?? .over
        }
    }
}
