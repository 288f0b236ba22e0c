import ArgumentParser
import Gateway

struct Rules: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Looks at the routing rules: those of the files, and those in force.",
        discussion: "Example: zenrent-gateway rules check",
        subcommands: [RulesCheck.self, RulesDiffCommand.self, RulesStatus.self])
}

struct RulesCheck: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check",
        abstract: "Reads GATEWAY_RULES_DIR and names every mistake: file, line, column, text, hint.",
        discussion: """
            Exit codes: 0 the rules can be used; 1 they cannot.

            Example: zenrent-gateway rules check --set GATEWAY_RULES_DIR=/etc/zenrent/rules
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try output.print(RulesAnswer(await RulesAdministration(try await settings.reader()).check()))
    }
}

struct RulesDiffCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "diff", abstract: "Tells which recorded messages other rules would decide differently.",
        discussion: """
            Replays the newest messages of tenants through the rules of a directory and through those in force, as the
            gateway told the database it decides by. Writes nothing and sends nothing.

            Connects with DATABASE_URL, or to the database of a `dev` that runs under GATEWAY_DATA_DIR.

            Exit codes: 0 nothing changes; 2 a verdict or a setting does; 1 the rules are wrong, or the database cannot be
            asked.

            Example: zenrent-gateway rules diff
                     zenrent-gateway rules diff --dir new-rules --last 10000 --json
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "The directory of the new rules; GATEWAY_RULES_DIR, if absent.") var dir: String?
    @Option(help: "How many messages, from 1 to \(RulesAdministration.messagesMax).") var last =
        RulesAdministration.messagesStandard
    @Option(help: "A directory to compare with, in place of the rules in force.") var against: String?
    @OptionGroup var output: OutputOptions

    func validate() throws {
        guard (1...RulesAdministration.messagesMax).contains(last) else {
            throw ValidationError("--last must be from 1 to \(RulesAdministration.messagesMax)")
        }
    }

    func run() async throws {
        let rules = try RulesAdministration(try await settings.reader())
        try output.print(RulesAnswer(try await rules.diff(candidate: dir, base: against, last: last)))
    }
}

struct RulesStatus: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Tells by which rules the gateways decide, since when, and who loaded them.",
        discussion: """
            Gateways tell the database what they decide by. GATEWAY_RULES_DIR, as this command sees it, is compared with
            that: what differs is live after the next SIGHUP.

            Connects with DATABASE_URL, or to the database of a `dev` that runs under GATEWAY_DATA_DIR.

            Exit codes: 0 told; 1 no gateway has told of itself, or the database cannot be asked.

            Example: zenrent-gateway rules status --json
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try output.print(RulesAnswer(try await RulesAdministration(try await settings.reader()).status()))
    }
}

extension OutputOptions {
    /// Prints an answer, and ends with what it comes to.
    fileprivate func print(_ answer: RulesAnswer) throws {
        try print(answer) { answer.text }
        switch answer.outcome {
        case .fine: break
        case .different: throw ExitCode(2)
        case .failed: throw ExitCode.failure
        }
    }
}
