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
        let candidates = explanations.filter { $0.outcome == .candidate }
        leases = explanations.joined(with: records).map { Lease($0.record, $0.explanation) }
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
        outcome = explanation.outcome.words
    }
}
