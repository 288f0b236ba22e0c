import ArgumentParser
import Gateway

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
            Serve.self, Dev.self, Twin.self, Migrate.self, Routes.self, Rules.self, Inbox.self, Explain.self,
            Replay.self,
            Certs.self, Bench.self, VersionCommand.self,
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
            end(with: error)
        }
    }

    /// Help goes out as it is; everything else is one line on standard error, ending in what to do.
    private static func end(with error: any Error) -> Never {
        let code = exitCode(for: error)
        switch code {
        case .success: exit(withError: error)
        case .validationFailure:
            var message = message(for: error).split(whereSeparator: \.isNewline).first.map(String.init) ?? "wrong usage"
            if message.hasSuffix(".") { message.removeLast() }
            Terminal.error("zenrent-gateway: \(message); see `\(commandPath()) --help`")
        default:
            if !(error is ExitCode) { Terminal.error("zenrent-gateway: \(error)") }
        }
        exit(withError: code)
    }

    /// The command that was meant, as far as the words tell.
    private static func commandPath() -> String {
        var command: any ParsableCommand.Type = Self.self
        var path = ["zenrent-gateway"]
        for word in CommandLine.arguments.dropFirst() {
            let next = command.configuration.subcommands.first { $0.configuration.commandName == word }
            guard let next else {
                if word.hasPrefix("-") { continue }
                break
            }
            command = next
            path.append(word)
        }
        return path.joined(separator: " ")
    }
}

enum Version {
    static let text = "0.1.0"
}

struct VersionCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "version", abstract: "Prints the version.",
        discussion: "Exit code: 0.\n\nExample: zenrent-gateway version --json")
    @OptionGroup var output: OutputOptions

    func run() throws {
        try output.print(["version": Version.text]) { "zenrent-gateway \(Version.text)" }
    }
}
