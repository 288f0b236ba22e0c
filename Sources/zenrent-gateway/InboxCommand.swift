import ArgumentParser
import Gateway
import Messaging

struct Inbox: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "inbox", abstract: "Shows and settles what waits for an administrator.",
        discussion: """
            Connects with DATABASE_URL, or to the database of a `dev` that runs under GATEWAY_DATA_DIR.

            Example: zenrent-gateway inbox held
            """,
        subcommands: [InboxHeld.self, InboxUnclaimed.self, InboxParked.self, InboxAssign.self, InboxRedrive.self])
}

struct InboxListOptions: ParsableArguments {
    @Option(help: "Rows at most, 1 to 1000.") var limit = 50
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1000") }
    }

    func print(_ messages: [InboxAdministration.WaitingMessage]) throws {
        try output.print(messages) {
            messages.isEmpty ? "nothing waits here" : messages.flatMap(Self.lines).joined(separator: "\n")
        }
    }

    private static func lines(_ message: InboxAdministration.WaitingMessage) -> [String] {
        let sender = message.phone ?? message.account.map { "account \($0)" } ?? "?"
        let candidates = message.candidates.map { candidate in
            let tenant = candidate.tenant.map { " --tenant \($0)" } ?? ""
            return "    for \(candidate.landlordName ?? "?"), \(candidate.propertyAddress ?? "no address"): "
                + "--landlord \(candidate.landlord)\(tenant)"
        }
        return ["\(message.id)  \(message.sentAt)  \(message.type)  from \(sender)"] + candidates
    }
}

struct InboxHeld: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "held", abstract: "Messages that could be for several landlords, newest first.",
        discussion: """
            Below each stand the landlords it could be for, with what `inbox assign` needs.

            Exit codes: 0 listed; 1 the database cannot be asked.

            Example: zenrent-gateway inbox held --json
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        try list.print(try await InboxAdministration(try await settings.reader()).held(limit: list.limit))
    }
}

struct InboxUnclaimed: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "unclaimed", abstract: "Messages from people whom no landlord has, newest first.",
        discussion: """
            Exit codes: 0 listed; 1 the database cannot be asked.

            Example: zenrent-gateway inbox unclaimed
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        try list.print(try await InboxAdministration(try await settings.reader()).unclaimed(limit: list.limit))
    }
}

struct InboxParked: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "parked", abstract: "Updates that could not be processed, newest first.",
        discussion: """
            Exit codes: 0 listed; 1 the database cannot be asked.

            Example: zenrent-gateway inbox parked
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    func run() async throws {
        let updates = try await InboxAdministration(try await settings.reader()).parked(limit: list.limit)
        try list.output.print(updates) {
            if updates.isEmpty { return "nothing is parked" }
            return updates.map {
                "\($0.id)  \($0.receivedAt)  \($0.source)  \($0.reason)  \($0.detail ?? "")  "
                    + "(came \($0.times) times, tried \($0.attempts) times)"
            }.joined(separator: "\n")
        }
    }
}

struct InboxAssign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "assign", abstract: "Gives all that a message's sender has waiting to a landlord.",
        discussion: """
            Exit codes: 0 moved; 1 that message does not wait, or the landlord does not have that tenant.

            Example: zenrent-gateway inbox assign MESSAGE-ID --landlord LANDLORD-ID --tenant TENANT-ID
            """)

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "The id of a held or unclaimed message.") var message: String
    @Option(help: "The landlord's id.") var landlord: String
    @Option(help: "The tenant of theirs whose thread it becomes; without one, a thread taken by hand.") var tenant:
        String?
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (message, landlord) = (try Self.id(message, "MESSAGE-ID"), try Self.id(landlord, "--landlord"))
        let tenant = try tenant.map { try Self.id($0, "--tenant") }
        let inbox = try await InboxAdministration(try await settings.reader())
        let moved = try await inbox.assign(message: message, landlord: landlord, tenant: tenant)
        try output.print(["moved": moved]) { "messages moved to the landlord's thread: \(moved)" }
    }

    private static func id(_ text: String, _ name: String) throws -> UniqueID {
        guard let id = UniqueID(text) else { throw ValidationError("\(name) \(text.prefix(40)): not an id") }
        return id
    }
}

struct InboxRedrive: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redrive", abstract: "Asks the running gateway to try parked updates again.",
        discussion: """
            Exit codes: 0 asked for; 1 none of them is parked, or the database cannot be asked.

            Example: zenrent-gateway inbox redrive 17 18
                     zenrent-gateway inbox redrive --all
            """)

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "Ids out of `inbox parked`.") var ids: [Int64] = []
    @Flag(help: "All that are parked.") var all = false
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard all != !ids.isEmpty else {
            throw ValidationError("name ids out of `inbox parked`, or --all, and not both")
        }
    }

    func run() async throws {
        let count = try await InboxAdministration(try await settings.reader()).redrive(all ? nil : ids)
        try output.print(["redriven": count]) {
            count == 0 ? "nothing of that is parked" : "tried again within seconds, if a gateway runs: \(count)"
        }
        if count == 0, !all { throw ExitCode.failure }
    }
}
