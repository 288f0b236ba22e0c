import ArgumentParser
import Gateway
import Logging
import Messaging

struct Dev: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dev", abstract: "Runs everything on this machine, with sample data and a twin of Meta.",
        discussion:
            "Exit codes: 0 after Ctrl-C; 1 when something must be mended first.\n\nExample: zenrent-gateway dev",
        subcommands: [DevRun.self, DevToken.self], defaultSubcommand: DevRun.self)
}

struct DevRun: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run", abstract: "Starts it all (this is what `dev` alone does).",
        discussion: """
            Exit codes: 0 after Ctrl-C; 1 when something must be mended first.

            Example: zenrent-gateway dev --set GATEWAY_INGRESS_PORT=9443
            """)

    @OptionGroup var settings: SettingsOptions

    func run() async throws {
        let logger = try Telemetry.bootstrapLogging(try await settings.reader(), fallback: .notice)
        try await Development.run(
            overrides: try settings.overrides(), configurationFile: settings.config, logger: logger,
            print: { Terminal.say($0) })
    }
}

struct DevToken: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "token", abstract: "Prints a landlord's or an administrator's token for the API of `dev`.",
        discussion: """
            Exit codes: 0 printed; 1 when something must be mended first; 64 for an unknown landlord.

            Example: zenrent-gateway dev token --landlord bob
                     zenrent-gateway dev token --admin
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The landlord's id, or the start of a sample landlord's name (alice, bob, carol).") var landlord:
        String?
    @Flag(help: "An administrator's token instead, for /api/admin.") var admin = false
    @Option(help: "Hours until the token expires, 1 to 720.") var hours = 12
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...720).contains(hours) else { throw ValidationError("--hours must be from 1 to 720") }
        guard (landlord == nil) == admin else {
            throw ValidationError("give --landlord with a landlord, or --admin")
        }
    }

    func run() async throws {
        let reader = try await settings.reader()
        let id = try user()
        let token = try await Development.token(of: id, isAdministrator: admin, hours: Int64(hours), reader: reader)
        try output.print([admin ? "administrator" : "landlord": "\(id)", "token": token]) { token }
    }

    private func user() throws -> UniqueID {
        guard let landlord else { return SampleWorld.administratorID }
        let start = landlord.lowercased()
        let sample = SampleWorld.landlords.first { !start.isEmpty && $0.name.lowercased().hasPrefix(start) }
        guard let id = UniqueID(landlord) ?? sample?.id else {
            throw ValidationError(
                "--landlord \(landlord.prefix(40)): neither an id nor the start of a sample landlord's name")
        }
        return id
    }
}
