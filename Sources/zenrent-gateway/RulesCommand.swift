import ArgumentParser
import Gateway

struct Rules: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rules", abstract: "Looks at the routing rules before the gateway does.",
        discussion: "Example: zenrent-gateway rules check", subcommands: [RulesCheck.self])
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
        let answer = try RulesAdministration(try await settings.reader()).check()
        try output.print(answer) {
            guard let rules = answer.rules else { return answer.errors.map(\.summary).joined(separator: "\n") }
            return "the rules of \(answer.directory) can be used: signature \"\(rules.signature)\", "
                + "landlord_spoke_hours \(rules.landlordSpokeHours), \(rules.asks ? "asks" : "does not ask") whom a message "
                + "is for, rules: \(rules.rules.isEmpty ? "none" : rules.rules.joined(separator: ", "))"
        }
        if answer.rules == nil { throw ExitCode.failure }
    }
}
