import Messaging
import PostgresStore
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
        package let property: String?
        package let propertyAddress: String?
        /// In words: why it counts or not.
        package let outcome: String
    }

    /// - Parameter records: of all leases explained, in the order of their tenants' and their own ids.
    init(_ number: PhoneNumber, _ explanations: [RouteExplanation], _ records: [RouteRecord]) {
        digits = "\(number.digits)"
        key = "\(number.key.value)"
        let explained = Dictionary(explanations.map { ($0.route, $0) }, uniquingKeysWith: { first, _ in first })
        let candidates = explanations.filter { $0.outcome == .candidate }
        var speaking: Set<UniqueID> = []
        leases = records.compactMap { record in
            explained[record.route].map { explanation in
                var explanation = explanation
                // Of a landlord's leases that begin on one day the first in order speaks, as the commit has it.
                let chosen = candidates.first { $0.route.landlordID == record.route.landlordID }?.route
                if let chosen, explanation.outcome == .candidate || explanation.outcome == .olderLease {
                    let isEqual = chosen.validFrom == record.route.validFrom
                    let speaks = isEqual && speaking.insert(chosen.landlordID).inserted
                    explanation.outcome = speaks ? .candidate : .olderLease
                }
                return Lease(record, explanation)
            }
        }
        verdict =
            switch candidates.count {
            case 0: "unclaimed"
            case 1: candidates[0].landlord?.isEnabled == true ? "routed" : "withheld"
            default: "held"
            }
    }
}

extension RouteLookup.Lease {
    fileprivate init(_ record: RouteRecord, _ explanation: RouteExplanation) {
        landlord = "\(explanation.route.landlordID)"
        landlordName = explanation.landlord?.name
        whatsappEnabled = explanation.landlord?.isEnabled ?? false
        tenant = "\(record.tenantID)"
        lease = "\(record.leaseID)"
        property = record.route.propertyID.map { "\($0)" }
        propertyAddress = record.propertyAddress
        outcome = Self.words(explanation.outcome)
    }

    private static func words(_ outcome: RouteExplanation.Outcome) -> String {
        switch outcome {
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
