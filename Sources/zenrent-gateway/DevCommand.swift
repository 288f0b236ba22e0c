import API
import ArgumentParser
import Gateway
import Logging
import Messaging

struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Runs everything on this machine, with sample data and a twin of Meta.",
        discussion: "Example: zenrent-gateway dev", subcommands: [DevRun.self, DevToken.self], defaultSubcommand: DevRun.self)
}

struct DevRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Starts it all (this is what `dev` alone does).",
        discussion: "Example: zenrent-gateway dev --set GATEWAY_INGRESS_PORT=9443")

    @OptionGroup var settings: SettingsOptions

    func run() async throws {
        let reader = try await settings.reader()
        let logger = try settings.logger(reader, fallback: .notice)
        try await Development.run(
            overrides: try settings.overrides(), configurationFile: settings.config,
            registry: Process.bootstrapMetrics(), logger: logger, print: { Terminal.say($0) })
    }
}

struct DevToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Prints a landlord's token for the API of `dev`.",
        discussion: "Example: zenrent-gateway dev token --landlord bob")

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The landlord's id, or the start of a sample landlord's name (alice, bob, carol).") var landlord: String
    @Option(help: "Hours until the token expires, 1 to 720.") var hours = 12

    func run() async throws {
        guard (1...720).contains(hours) else { throw ValidationError("--hours must be from 1 to 720") }
        let sample = SampleWorld.landlords.first { $0.name.lowercased().hasPrefix(landlord.lowercased()) }
        guard let id = UniqueID(landlord) ?? sample?.id else {
            throw ValidationError("--landlord \(landlord): neither an id nor the start of a sample landlord's name")
        }
        print(try await Development.token(landlord: id, hours: Int64(hours), reader: try await settings.reader()))
    }
}
