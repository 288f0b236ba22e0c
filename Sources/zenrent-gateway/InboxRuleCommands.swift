import ArgumentParser
import Gateway
import Messaging

struct InboxNotices: InboxList {
    static let configuration = describe(
        "notices", "What rules want somebody to take up, or ordered in vain, newest first; --done takes off the list.",
        note: "These are the actions `notify`, and `forward` where the endpoint was not told.",
        example: "notices\n         zenrent-gateway inbox notices --done NOTICE-ID",
        codes: "0 listed or taken off; 1 none of them is on the list, or the database cannot be asked.")

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var list: InboxListOptions
    @Option(help: "The id of a notice that is settled; may be given several times.") var done: [String] = []

    static let emptyText = "no rule wants anything"

    func run() async throws {
        guard !done.isEmpty else { return try await printRows() }
        let ids = try done.map { try InboxAssign.id($0, "--done") }
        let closed = try await InboxAdministration(try await settings.reader()).close(notices: ids)
        try list.output.print(["closed": closed]) { "taken off the list: \(closed)" }
        if closed == 0 { throw ExitCode.failure }
    }

    static func rows(_ inbox: InboxAdministration, limit: Int) async throws -> [InboxAdministration.Notice] {
        try await inbox.notices(limit: limit)
    }

    static func text(_ notice: InboxAdministration.Notice) -> String {
        let about = [notice.landlordName.map { "for \($0)" }, notice.phone.map { "from \($0)" }].compactMap { $0 }
        return "\(notice.id)  \(notice.at)  \(notice.rule): \(notice.action) \(notice.value ?? "")  "
            + "message \(notice.message) \(about.joined(separator: " "))"
            + (notice.failure.map { "  failed: \($0)" } ?? "")
    }
}

struct InboxReassign: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reassign", abstract: "Moves a message that went to the wrong thread.",
        discussion: """
            The landlord it leaves does not see it any more, the other finds it unread. What is there already stays.

            Exit codes: 0 moved, or there already; 1 no such message is in a thread, or the lease is not its sender's.

            Example: zenrent-gateway inbox reassign MESSAGE-ID --lease LEASE-ID
            """)

    @OptionGroup var settings: SettingsOptions
    @Argument(help: "The id of a tenant's message.") var message: String
    @Option(help: "The lease whose thread it belongs to.") var lease: String
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let (message, lease) = (try InboxAssign.id(message, "MESSAGE-ID"), try InboxAssign.id(lease, "--lease"))
        let inbox = try await InboxAdministration(try await settings.reader())
        let isMoved = try await inbox.reassign(message: message, lease: lease)
        try output.print(["moved": isMoved]) { isMoved ? "moved" : "it is in that thread already" }
    }
}
