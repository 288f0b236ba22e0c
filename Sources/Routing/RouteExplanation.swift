package import Messaging

/// One lease that a sender's message could go by, and why it counts or not. For `routes lookup`.
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
    }

    package var route: Route
    package var outcome: Outcome
    /// The landlord as far as it is known.
    package var landlord: Landlord?
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
