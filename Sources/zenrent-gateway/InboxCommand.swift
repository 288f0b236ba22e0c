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
        subcommands: [
            InboxHeld.self, InboxUnclaimed.self, InboxParked.self, InboxConflicts.self, InboxNotices.self,
            InboxAssign.self, InboxReassign.self, InboxRedrive.self,
        ])
}

struct InboxListOptions: ParsableArguments {
    @Option(help: "Rows at most, 1 to 1000.") var limit = 50
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...1000).contains(limit) else { throw ValidationError("--limit must be from 1 to 1000") }
    }
}

/// A command that lists one kind of what waits.
protocol InboxList: AsyncParsableCommand {
    associatedtype Row: Encodable & Sendable
    var settings: SettingsOptions { get }
    var list: InboxListOptions { get }
    /// What is said when nothing waits.
    static var emptyText: String { get }
    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [Row]
    static func text(_ row: Row) -> String
}

extension InboxList {
    func run() async throws { try await printRows() }

    func printRows() async throws {
        let rows = try await Self.rows(try await InboxAdministration(try await settings.reader()), limit: list.limit)
        try list.output.print(rows) { rows.isEmpty ? Self.emptyText : rows.map(Self.text).joined(separator: "\n") }
    }

    static func describe(
        _ name: String, _ abstract: String, note: String = "", example: String, codes: String? = nil
    ) -> CommandConfiguration {
        let codes = codes ?? "0 listed; 1 the database cannot be asked."
        return CommandConfiguration(
            commandName: name, abstract: abstract,
            discussion:
                "\(note.isEmpty ? "" : note + "\n\n")Exit codes: \(codes)\n\nExample: zenrent-gateway inbox \(example)")
    }
}

extension InboxList where Row == InboxAdministration.WaitingMessage {
    static var emptyText: String { "nothing waits here" }

    static func text(_ message: Row) -> String {
        let sender = message.phone ?? message.account.map { "account \($0)" } ?? "?"
        let candidates = message.candidates.map { candidate in
            let tenant = candidate.tenant.map { " --tenant \($0)" } ?? ""
            return "    for \(candidate.landlordName ?? "?"), \(candidate.propertyAddress ?? "no address"): "
                + "--landlord \(candidate.landlord)\(tenant)"
        }
        return (["\(message.id)  \(message.sentAt)  \(message.type)  from \(sender)"] + candidates)
            .joined(separator: "\n")
    }
}

struct InboxHeld: InboxList {
    static let configuration = describe(
        "held", "Messages that could be for several landlords, newest first.",
        note: "Below each stand the landlords it could be for, with what `inbox assign` needs.", example: "held --json")

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [InboxAdministration.WaitingMessage] {
        try await inbox.held(limit: limit)
    }
}

struct InboxUnclaimed: InboxList {
    static let configuration = describe(
        "unclaimed", "Messages from people whom no landlord has, newest first.",
        note: "They go on by themselves once their sender is a tenant.", example: "unclaimed")

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [InboxAdministration.WaitingMessage] {
        try await inbox.unclaimed(limit: limit)
    }
}

struct InboxParked: InboxList {
    static let configuration = describe(
        "parked", "Updates that could not be processed, newest first.", example: "parked")

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions

    static let emptyText = "nothing is parked"

    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [InboxAdministration.ParkedUpdate] {
        try await inbox.parked(limit: limit)
    }

    static func text(_ update: InboxAdministration.ParkedUpdate) -> String {
        "\(update.id)  \(update.receivedAt)  \(update.source)  \(update.reason)  \(update.detail ?? "")  "
            + "(came \(update.times) times, tried \(update.attempts) times)"
    }
}

struct InboxConflicts: InboxList {
    static let configuration = describe(
        "conflicts", "Pairs of people who may be one, newest first; --merge or --keep-apart settles one.",
        note: """
            Two people are never made one by the gateway where both have threads or consents. Merging cannot be undone:
            the second person's threads and identities become the first one's.
            """,
        example: "conflicts\n         zenrent-gateway inbox conflicts --keep-apart CONFLICT-ID",
        codes: "0 listed or settled; 1 no such conflict is open, or the database cannot be asked.")

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions
    @Option(help: "The id of a conflict whose two people are one.") var merge: String?
    @Option(help: "The id of a conflict whose two people stay two.") var keepApart: String?

    static let emptyText = "no two people are in doubt"

    func validate() throws {
        guard merge == nil || keepApart == nil else {
            throw ValidationError("give either --merge or --keep-apart, and not both")
        }
    }

    func run() async throws {
        guard let text = merge ?? keepApart else { return try await printRows() }
        let option = merge == nil ? "--keep-apart" : "--merge"
        let id = try InboxAssign.id(text, option)
        try await InboxAdministration(try await settings.reader()).close(conflict: id, merging: merge != nil)
        let verdict = merge == nil ? "kept_apart" : "merged"
        try list.output.print(["conflict": "\(id)", "verdict": verdict]) {
            merge == nil ? "the two stay two" : "the two are one now"
        }
    }

    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [InboxAdministration.Conflict] {
        try await inbox.conflicts(limit: limit)
    }

    static func text(_ conflict: InboxAdministration.Conflict) -> String {
        let people = [conflict.personA, conflict.personB].map { person in
            "    \(person.id): known by \((person.phones + ["\(person.accounts) account ids"]).joined(separator: ", ")); "
                + (person.landlords.isEmpty ? "no threads" : "threads with \(person.landlords.joined(separator: ", "))")
        }
        return (["\(conflict.id)  \(conflict.createdAt)  \(conflict.reason)  (seen \(conflict.times) times)"] + people)
            .joined(separator: "\n")
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

    static func id(_ text: String, _ name: String) throws -> UniqueID {
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
