import ArgumentParser
import Gateway
import Logging
import Metrics
import Operations

@main
struct ZenRentGateway: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zenrent-gateway",
        abstract: "Routes WhatsApp messages between tenants and landlords who share one number.",
        discussion: """
            Exit codes: 0 done; 1 something must be mended first (the message says what); 64 the command line is wrong.
            Settings come from flags (--set NAME=VALUE), the environment, a file (--config), in that order.

            Example: zenrent-gateway dev
            """,
        version: Version.text,
        subcommands: [
            Serve.self, Dev.self, Twin.self, Migrate.self, Routes.self, Inbox.self, Certs.self, VersionCommand.self,
        ])

    static func main() async {
        Process.prepare()
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            // One line, ending in what to do: no stack of wrapped errors.
            if error is CleanExit || error is ValidationError || error is ExitCode || Self.exitCode(for: error) == .validationFailure {
                exit(withError: error)
            }
            let text = Self.message(for: error)
            Terminal.error("zenrent-gateway: \(text.isEmpty ? "\(error)" : text)")
            exit(withError: ExitCode.failure)
        }
    }
}

enum Version {
    static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.", discussion: "Example: zenrent-gateway version --json")
    @Flag(help: "Print one JSON object.") var json = false

    func run() {
        print(json ? "{\"version\":\"\(Version.text)\"}" : "zenrent-gateway \(Version.text)")
    }
}
