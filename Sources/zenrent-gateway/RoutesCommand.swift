import ArgumentParser
import Gateway

struct Routes: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "routes", abstract: "Looks into the routing table as the database has it now.",
        discussion: """
            Connects with DATABASE_URL, or to the database of a `dev` that runs under GATEWAY_DATA_DIR.

            Example: zenrent-gateway routes lookup '07911 123456'
            """,
        subcommands: [RoutesLookup.self, RoutesStats.self, RoutesExport.self])
}

struct RoutesLookup: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lookup", abstract: "Tells which landlords a number leads to, and why each lease counts or not.",
        discussion: """
            Exit codes: 0 at least one landlord is meant; 1 none is, or the table cannot be read.

            Example: zenrent-gateway routes lookup 447911123456 --json
            """)

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "A telephone number, as people write it.") var phone: String
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let routes = try await RouteAdministration(try await settings.reader())
        guard let lookup = try await routes.lookup(phone) else {
            throw ValidationError(
                "\"\(phone.prefix(40))\" is not a telephone number; write it with country code, such as +44 7911 123456"
            )
        }
        try output.print(lookup) {
            let first = "\(lookup.digits), filed under \(lookup.key): a first message would be \(lookup.verdict)"
            return ([first] + lookup.leases.map { "  " + Self.line($0) }).joined(separator: "\n")
        }
        if lookup.verdict == "unclaimed" { throw ExitCode.failure }
    }

    private static func line(_ lease: RouteLookup.Lease) -> String {
        "\(lease.landlordName ?? "?")\(lease.whatsappEnabled ? "" : " (WhatsApp off)"), landlord \(lease.landlord), "
            + "tenant \(lease.tenant), lease \(lease.lease)\(lease.propertyAddress.map { " (\($0))" } ?? ""): \(lease.outcome)"
    }
}

struct RoutesStats: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Counts what the routing table holds.",
        discussion: """
            Loads the table as the gateway does; on a terminal it shows how far it has come. With --rejected it also lists
            leases and tenants that no message can be routed by, because their telephone number is none (masked).

            Exit codes: 0 counted; 1 the table cannot be read.

            Example: zenrent-gateway routes stats --rejected
            """)

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "List what cannot be routed by, up to --limit rows.") var rejected = false
    @Option(help: "Rows listed at most.") var limit = 1000
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if limit < 1 { throw ValidationError("--limit must be at least 1") }
    }

    func run() async throws {
        let routes = try await RouteAdministration(try await settings.reader())
        let statistics = try await routes.statistics(rejectedMax: rejected ? limit : nil) { Terminal.progress($0) }
        Terminal.endProgress()
        try output.print(statistics) {
            let sizes = """
                routes      \(statistics.routes)
                keys        \(statistics.keys)
                landlords   \(statistics.landlords)
                identities  \(statistics.identities)
                endpoints   \(statistics.endpoints)
                rejected    \(statistics.rejected)
                bytes       \(statistics.bytes)
                """
            return ([sizes] + (statistics.rejectedRoutes ?? []).map(Self.line)).joined(separator: "\n")
        }
    }

    private static func line(_ route: RouteStatistics.Rejected) -> String {
        "  \(route.phone), landlord \(route.landlord ?? "unknown"), tenant \(route.tenant)"
            + (route.lease.map { ", lease \($0)" } ?? "")
    }
}

struct RoutesExport: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export", abstract: "Prints every lease of the routing table, one a line.",
        discussion: """
            Numbers are masked; --unmasked prints them whole, for a file that stays where you are allowed to keep it.

            Exit codes: 0 all printed; 1 the table cannot be read, or the reader went away.

            Example: zenrent-gateway routes export --format jsonl > routes.jsonl
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "csv (with a line of names), or jsonl (an object a line).") var format = RouteExportFormat.csv
    @Flag(help: "The same as --format jsonl.") var json = false
    @Flag(help: "Print telephone numbers whole.") var unmasked = false

    func run() async throws {
        let routes = try await RouteAdministration(try await settings.reader())
        try await routes.export(json ? .jsonl : format, isUnmasked: unmasked) { try Terminal.write($0) }
    }
}

extension RouteExportFormat: ExpressibleByArgument {}
