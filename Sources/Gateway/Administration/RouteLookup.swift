import Messaging
import Routing

/// Where a first message from a number would go.
package struct RouteLookup: Encodable, Hashable, Sendable {
    /// What to dial.
    package let digits: String
    /// What leases are filed under.
    package let key: String
    /// `routed`, `withheld`, `held` or `unclaimed`.
    package let verdict: String
    package let leases: [Lease]

    /// A lease under that number, and its standing.
    package struct Lease: Encodable, Hashable, Sendable {
        package let landlord: String
        package let landlordName: String?
        package let whatsappEnabled: Bool
        package let tenant: String
        package let lease: String
        /// In words: why it counts or not.
        package let outcome: String
    }

    init(_ number: PhoneNumber, _ explanations: [RouteExplanation]) {
        digits = "\(number.digits)"
        key = "\(number.key.value)"
        leases = explanations.map(Lease.init)
        let candidates = explanations.filter { $0.outcome == .candidate }
        verdict =
            switch candidates.count {
            case 0: "unclaimed"
            case 1: candidates[0].landlord?.isEnabled == true ? "routed" : "withheld"
            default: "held"
            }
    }
}

extension RouteLookup.Lease {
    fileprivate init(_ explanation: RouteExplanation) {
        landlord = "\(explanation.route.landlordID)"
        landlordName = explanation.landlord?.name
        whatsappEnabled = explanation.landlord?.isEnabled ?? false
        tenant = "\(explanation.route.tenantID)"
        lease = "\(explanation.route.leaseID)"
        outcome = Self.words(explanation.outcome)
    }

    private static func words(_ outcome: RouteExplanation.Outcome) -> String {
        switch outcome {
        case .candidate: "counts"
        case .runningPreferred: "in its days of grace, but another lease runs"
        case .olderLease(let id): "the older lease \(id) with the same landlord counts"
        case .notBegun: "has not begun"
        case .over: "is over"
        case .otherOwner: "belongs to another owner than this endpoint"
        case .formerHolder: "was meant for a former holder of the number"
        case .nextHolder: "is meant for the next holder of the number"
        }
    }
}
