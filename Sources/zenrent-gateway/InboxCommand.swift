import ArgumentParser
import Gateway
import Messaging
import PostgresClient
import PostgresStore

struct Inbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows and settles what waits for an administrator.",
        discussion: "Example: zenrent-gateway inbox held",
        subcommands: [InboxHeld.self, InboxUnclaimed.self, InboxParked.self, InboxAssign.self, InboxRedrive.self])

    /// Runs `body` on a connection of the gateway's own login.
    static func withInbox(_ settings: SettingsOptions, _ body: (PostgresInbox) async throws -> Void) async throws {
        let url = try await settings.databaseURL()
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(url, applicationName: "zenrent-gateway inbox"))
        do {
            try await body(PostgresInbox(connection))
            await connection.close()
        } catch let error as PostgresError where error.sqlState == "ZR404" || error.sqlState == "ZR006" {
            await connection.close()
            throw ValidationError("\(error.message); see `zenrent-gateway inbox held` and `inbox unclaimed`")
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Who did it, for the audit log.
    static var actor: String { "command line" }
}

struct InboxListOptions: ParsableArguments {
    @Option(help: "Rows at most, 1 to 1000.") var limit = 50
    @Flag(help: "Print one JSON array.") var json = false

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1000") }
    }

    func print(_ messages: [PostgresInbox.Message]) {
        if json { return Swift.print("[\(messages.map(Self.json).joined(separator: ","))]") }
        for message in messages {
            let sender = message.phone?.masked ?? message.accountID.map { "account …\($0.suffix(4))" } ?? "?"
            Swift.print("\(message.id)  \(message.sentAt.rfc3339)  \(message.type)  from \(sender)")
            if let candidates = message.candidatesJSON { Swift.print("    could be for \(candidates)") }
        }
        if messages.isEmpty { Swift.print("nothing waits here") }
    }

    private static func json(_ message: PostgresInbox.Message) -> String {
        let phone = message.phone.map { "\"\($0.masked)\"" } ?? "null"
        return "{\"id\":\"\(message.id)\",\"sent_at\":\"\(message.sentAt.rfc3339)\",\"type\":\(JSONString(message.type)),"
            + "\"phone\":\(phone),\"candidates\":\(message.candidatesJSON ?? "null")}"
    }
}

struct InboxHeld: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "held", abstract: "Messages that could be for several landlords.",
        discussion: "Example: zenrent-gateway inbox held --json")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        try await Inbox.withInbox(settings) { list.print(try await $0.messages(.held, limit: list.limit)) }
    }
}

struct InboxUnclaimed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unclaimed", abstract: "Messages from people whom no landlord has.",
        discussion: "Example: zenrent-gateway inbox unclaimed")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        try await Inbox.withInbox(settings) { list.print(try await $0.messages(.unclaimed, limit: list.limit)) }
    }
}

struct InboxParked: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parked", abstract: "Updates that could not be processed.",
        discussion: "Example: zenrent-gateway inbox parked")
    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        try await Inbox.withInbox(settings) { inbox in
            let rows = try await inbox.parked(limit: list.limit)
            if list.json {
                let objects = rows.map {
                    "{\"id\":\($0.id),\"reason\":\(JSONString($0.reason)),\"detail\":\($0.detail.map { "\(JSONString($0))" } ?? "null"),"
                        + "\"source\":\(JSONString($0.source)),\"received_at\":\"\($0.receivedAt.rfc3339)\",\"times\":\($0.times),"
                        + "\"attempts\":\($0.attempts)}"
                }
                return print("[\(objects.joined(separator: ","))]")
            }
            for row in rows {
                print("\(row.id)  \(row.receivedAt.rfc3339)  \(row.source)  \(row.reason)  \(row.detail ?? "")")
            }
            if rows.isEmpty { print("nothing is parked") }
        }
    }
}

struct InboxAssign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assign", abstract: "Gives all that a message's sender has waiting to a landlord.",
        discussion: "Example: zenrent-gateway inbox assign MESSAGE-ID --landlord LANDLORD-ID --tenant TENANT-ID")

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "The id of a held or unclaimed message.") var message: String
    @Option(help: "The landlord's id.") var landlord: String
    @Option(help: "The tenant of theirs whose thread it becomes; without one, a thread taken by hand.") var tenant: String?

    func run() async throws {
        let (message, landlord) = (try Self.id(message, "MESSAGE-ID"), try Self.id(landlord, "--landlord"))
        let tenant = try tenant.map { try Self.id($0, "--tenant") }
        try await Inbox.withInbox(settings) { inbox in
            let moved = try await inbox.assign(message: message, landlord: landlord, tenant: tenant, actor: Inbox.actor)
            print("\(moved) messages moved to the landlord's thread")
        }
    }

    private static func id(_ text: String, _ name: String) throws -> UniqueID {
        guard let id = UniqueID(text) else { throw ValidationError("\(name) \(text.prefix(40)): not an id") }
        return id
    }
}

struct InboxRedrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive", abstract: "Asks the running gateway to try parked updates again.",
        discussion: "Example: zenrent-gateway inbox redrive 17 18\n         zenrent-gateway inbox redrive --all")

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "Ids out of `inbox parked`.") var ids: [Int64] = []
    @Flag(help: "All that are parked.") var all = false

    func run() async throws {
        guard all != !ids.isEmpty else { throw ValidationError("name ids, or --all") }
        try await Inbox.withInbox(settings) { inbox in
            let count = try await inbox.redrive(all ? nil : ids, actor: Inbox.actor)
            print("\(count) updates will be tried again within seconds, if a gateway runs")
        }
    }
}
