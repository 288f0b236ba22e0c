import ArgumentParser
import Gateway

struct Twin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "twin", abstract: "Speaks to the Meta twin of a running `dev`.",
        discussion: "Example: zenrent-gateway twin send --from 447911123456 --text 'The boiler is out'",
        subcommands: [TwinSend.self, TwinTap.self])
}

struct TwinSend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Lets a tenant send a message: a signed webhook to the gateway.",
        discussion: """
            Exit codes: 0 the gateway acknowledged it; 1 it did not, or no twin answers.

            Example: zenrent-gateway twin send --from 447911123456 --type image --text 'Look at this'

            Example: zenrent-gateway twin send --via vps --from 447911123456 --text 'The boiler is out'
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The tenant's number, digits with country code.") var from: String?
    @Option(help: "The text, or the caption.") var text: String?
    @Option(help: "text, image, location; by Meta also video, audio, document, contacts, reaction, …") var type = "text"
    @Option(help: "The provider's id of the message this one answers.") var quote: String?
    @Option(help: "A business-scoped user id, for a sender without a number.") var bsuid: String?
    @Option(help: "The way it comes in: meta, or vps for the session server.") var via = TwinAdministration.Way.meta
    @Option(help: "The digits of a hidden id (LID); with --via vps.") var lid: String?
    @Option(help: "The sender's display name.") var name: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        let (id, other) = via == .meta ? (bsuid, lid) : (lid, bsuid)
        let option = via == .meta ? "--bsuid ID" : "--lid DIGITS"
        guard from != nil || id != nil, other == nil else {
            throw ValidationError("say who writes: --from NUMBER, or \(option) with --via \(via.rawValue)")
        }
    }

    func run() async throws {
        var order = TwinAdministration.Order(from: from, text: text, type: type, quote: quote, bsuid: bsuid, name: name)
        (order.way, order.lid) = (via, lid)
        try output.print(try await TwinAdministration(try await settings.reader()).send(order))
    }
}

struct TwinTap: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tap", abstract: "Lets a tenant tap a button or a row of a list they were shown.",
        discussion: """
            Exit codes: 0 the gateway acknowledged it; 1 it did not, or there is nothing to tap.

            Example: zenrent-gateway twin tap --from 447911123456 --option 2
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The tenant's number, digits with country code.") var from: String?
    @Option(help: "A business-scoped user id, for a tenant without a number.") var bsuid: String?
    @Option(help: "Which option, counted from 1.") var option: Int?
    @Option(help: "The option of this title.") var title: String?
    @Option(help: "The provider's id of the message with the options; the newest if left out.") var message: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard from != nil || bsuid != nil else { throw ValidationError("say who taps: --from NUMBER, or --bsuid ID") }
        guard (option == nil) != (title == nil) else {
            throw ValidationError("say what is tapped: --option NUMBER, or --title TEXT")
        }
    }

    func run() async throws {
        let tap = TwinAdministration.Tap(from: from, bsuid: bsuid, message: message, option: option, title: title)
        try output.print(try await TwinAdministration(try await settings.reader()).tap(tap))
    }
}

extension OutputOptions {
    /// What came of something the twin was to do for a tenant; a failure where the gateway did not take it.
    fileprivate func print(_ receipt: TwinAdministration.Receipt) throws {
        try print(receipt) { "\(receipt.wamid): \(Self.outcome(receipt))" }
        if receipt.gatewayStatus != 200 { throw ExitCode.failure }
    }

    private static func outcome(_ receipt: TwinAdministration.Receipt) -> String {
        guard receipt.gatewayStatus == 0 else { return "the gateway answered \(receipt.gatewayStatus)" }
        return "the gateway did not answer\(receipt.error.map { " (\($0))" } ?? ""); the twin tries again by itself"
    }
}

extension TwinAdministration.Way: ExpressibleByArgument {}
