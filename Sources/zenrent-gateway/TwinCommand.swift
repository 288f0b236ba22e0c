import ArgumentParser
import Gateway
import Sandbox

struct Twin: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Speaks to the Meta twin of a running `dev`.",
        discussion: "Example: zenrent-gateway twin send --from 447911123456 --text 'The boiler is out'",
        subcommands: [TwinSend.self])
}

struct TwinSend: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Lets a tenant send a message: a signed webhook to the gateway.",
        discussion: "Example: zenrent-gateway twin send --from 447911123456 --type image --text 'Look at this'")

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The tenant's number, digits with country code.") var from: String?
    @Option(help: "The text, or the caption.") var text: String?
    @Option(help: "text, image, video, audio, document, location, contacts, reaction, …") var type = "text"
    @Option(help: "The provider's id of the message this one answers.") var quote: String?
    @Option(help: "A business-scoped user id, for a sender without a number.") var bsuid: String?
    @Option(help: "The sender's display name.") var name: String?
    @Flag(help: "Print one JSON object.") var json = false

    func run() async throws {
        let port = try await settings.reader().port(.sandboxPort)
        let order = TwinClient.Order(from: from, text: text, type: type, quote: quote, bsuid: bsuid, name: name)
        let receipt = try await TwinClient(port: port).send(order)
        if json {
            print("{\"wamid\":\"\(receipt.wamid)\",\"gateway_status\":\(receipt.gatewayStatus)}")
        } else {
            print("\(receipt.wamid): the gateway answered \(receipt.gatewayStatus)")
        }
        if receipt.gatewayStatus != 200 { throw ExitCode.failure }
    }
}
