import ArgumentParser
import Gateway
import Messaging
import PostgresClient
import PostgresStore
import Routing

struct Routes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Looks into the routing table as the database has it now.",
        discussion: "Example: zenrent-gateway routes lookup '07911 123456'",
        subcommands: [RoutesLookup.self, RoutesStats.self])

    /// A table loaded now, as the gateway would load it.
    static func loadTable(_ settings: SettingsOptions) async throws -> RoutingTable {
        let url = try await settings.databaseURL()
        let source = PostgresRouteSource(
            PostgresConfiguration(url, applicationName: "zenrent-gateway routes"))
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        return builder.finish(cursor: cursor)
    }
}

struct RoutesLookup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup", abstract: "Tells which landlords a number leads to, and why each lease counts or not.",
        discussion: "Exits 1 when no landlord would get a message.\n\nExample: zenrent-gateway routes lookup 447911123456 --json")

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "A telephone number, as people write it.") var phone: String
    @Flag(help: "Print one JSON object.") var json = false

    func run() async throws {
        let code = try await settings.reader().text(.defaultCountryCode) ?? "44"
        guard let number = PhoneNumber(parsing: phone, defaultCountryCode: code) else {
            throw ValidationError("\"\(phone.prefix(40))\" is not a telephone number; write it with country code, such as +44 7911 123456")
        }
        let table = try await Routes.loadTable(settings)
        let explanations = table.explain(
            phone: number.key, account: nil, endpoint: Self.platform, today: SystemTime.now().day)
        let candidates = explanations.filter { $0.outcome == .candidate }.count
        let verdict = candidates == 0 ? "unclaimed" : candidates == 1 ? "routed" : "held"
        if json {
            let rows = explanations.map(RouteText.json).joined(separator: ",")
            print("{\"key\":\"\(number.key.value)\",\"verdict\":\"\(verdict)\",\"leases\":[\(rows)]}")
        } else {
            print("\(number.digits), filed under \(number.key.value): a first message would be \(verdict)")
            for explanation in explanations { print("  " + RouteText.line(explanation)) }
        }
        if candidates == 0 { throw ExitCode.failure }
    }

    /// The platform's number, where every landlord may be meant.
    private static let platform = Endpoint(
        id: UniqueID(high: 0, low: 0), reference: EndpointReference(kind: .cloud, providerID: ""), ownerID: nil,
        phoneScope: "", accountIDScope: "")
}

struct RoutesStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Counts what the routing table holds.",
        discussion: "Example: zenrent-gateway routes stats --json")

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print one JSON object.") var json = false

    func run() async throws {
        let statistics = try await Routes.loadTable(settings).statistics
        let values = [
            ("routes", statistics.routes), ("keys", statistics.keys), ("landlords", statistics.landlords),
            ("identities", statistics.identities), ("endpoints", statistics.endpoints),
            ("rejected", statistics.rejectedRoutes), ("bytes", statistics.bytes),
        ]
        if json {
            print("{\(values.map { "\"\($0.0)\":\($0.1)" }.joined(separator: ","))}")
        } else {
            for (name, value) in values { print("\(name)  \(value)") }
        }
    }
}

/// A lease and its standing, as text.
enum RouteText {
    static func line(_ explanation: RouteExplanation) -> String {
        let landlord = explanation.landlord.map { "\($0.name ?? "?")\($0.isEnabled ? "" : " (WhatsApp off)")" } ?? "unknown landlord"
        return "\(landlord), landlord \(explanation.route.landlordID), tenant \(explanation.route.tenantID), "
            + "lease \(explanation.route.leaseID): \(reason(explanation.outcome))"
    }

    static func json(_ explanation: RouteExplanation) -> String {
        let route = explanation.route
        let enabled = explanation.landlord?.isEnabled ?? false
        return "{\"landlord\":\"\(route.landlordID)\",\"tenant\":\"\(route.tenantID)\",\"lease\":\"\(route.leaseID)\","
            + "\"whatsapp_enabled\":\(enabled),\"outcome\":\"\(reason(explanation.outcome))\"}"
    }

    private static func reason(_ outcome: RouteExplanation.Outcome) -> String {
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
