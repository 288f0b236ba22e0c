import Messaging
import PostgresStore
import Routing

/// What `routes export` writes: a lease a line.
///
/// All values are ids, days, numbers and truth values: nothing in them needs quoting.
package enum RouteExportFormat: String, CaseIterable, Sendable {
    /// With a line of names at the top.
    case csv
    /// One JSON object a line.
    case jsonl

    private static let names = [
        "phone_key", "landlord_id", "tenant_id", "lease_id", "property_id", "valid_from", "valid_until", "is_active",
        "learnt_at",
    ]

    var header: String? { self == .csv ? Self.names.joined(separator: ",") : nil }

    func line(_ record: RouteRecord, isUnmasked: Bool) -> String {
        let values = Self.values(record, isUnmasked: isUnmasked)
        switch self {
        case .csv: return values.map { $0 ?? "" }.joined(separator: ",")
        case .jsonl:
            let members = zip(Self.names, values).map { name, value in
                "\"\(name)\":" + (value.map { name == "is_active" ? $0 : "\"\($0)\"" } ?? "null")
            }
            return "{\(members.joined(separator: ","))}"
        }
    }

    private static func values(_ record: RouteRecord, isUnmasked: Bool) -> [String?] {
        let route = record.route
        let masked = PhoneNumber(digits: route.key.value)?.masked ?? "…"
        return [
            isUnmasked ? "\(route.key.value)" : masked, "\(route.landlordID)", "\(record.tenantID)",
            "\(record.leaseID)",
            route.propertyID.map { "\($0)" }, route.validFrom.map(day), route.validUntil.map(day), "\(route.isActive)",
            route.learntAt.rfc3339,
        ]
    }

    /// As ISO 8601 has it.
    private static func day(_ day: CalendarDay) -> String {
        let midnight = Timestamp(seconds: Int64(day.daysSince1970) * 86_400)
        return String(midnight.rfc3339.prefix { $0 != "T" })
    }
}
