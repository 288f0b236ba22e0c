import ArgumentParser
import Gateway

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Brings the database's schema up to date.",
        discussion: """
            Connects with MIGRATE_DATABASE_URL (an owner of the schema), or DATABASE_URL where that is absent.

            Example: MIGRATE_DATABASE_URL=postgres://owner@db/zenrent zenrent-gateway migrate apply --grant-to gateway
            """,
        subcommands: [MigratePlan.self, MigrateApply.self, MigrateVerify.self])
}

struct MigratePlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Lists the migrations and where each stands; writes nothing.",
        discussion: """
            Exit codes: 0 listed, whatever stands there; 1 the database cannot be asked.

            Example: zenrent-gateway migrate plan --json
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let steps = try await SchemaAdministration(try await settings.reader()).plan()
        try output.print(steps) {
            steps.map { "\($0.number)  \($0.state)  \($0.name)  \($0.checksum.prefix(12))" }.joined(separator: "\n")
        }
    }
}

struct MigrateApply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Applies what is pending, each migration in a transaction of its own.",
        discussion: """
            Exit codes: 0 applied, or nothing was pending; 1 something must be mended first.

            Example: zenrent-gateway migrate apply --grant-to gateway
            """)

    @OptionGroup var settings: SettingsOptions
    @Option(help: "A login that shall serve: it gets the memberships it needs. May be given several times.")
    var grantTo: [String] = []
    @OptionGroup var output: OutputOptions

    private struct Answer: Encodable {
        let applied: [String]
        let granted: [String]
    }

    func run() async throws {
        let isQuiet = output.json
        let schema = try SchemaAdministration(try await settings.reader())
        let applied = try await schema.apply(grantTo: grantTo) { if !isQuiet { Terminal.say("applying \($0) …") } }
        try output.print(Answer(applied: applied, granted: grantTo)) {
            let outcome = applied.isEmpty ? "nothing was pending" : "\(applied.count) migrations applied"
            return ([outcome] + grantTo.map { "\($0) may serve now" }).joined(separator: "\n")
        }
    }
}

struct MigrateVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Checks schema, roles, row security and partitions.",
        discussion: """
            Exit codes: 0 the gateway can work; 1 something must be mended.

            Example: zenrent-gateway migrate verify
            """)

    @OptionGroup var settings: SettingsOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let findings = try await SchemaAdministration(try await settings.reader()).verify()
        try output.print(findings) {
            if findings.isEmpty { return "the database is as this program needs it" }
            return findings.map { "\($0.isFatal ? "must" : "may") be mended: \($0.problem): \($0.cure)" }
                .joined(separator: "\n")
        }
        if findings.contains(where: \.isFatal) { throw ExitCode.failure }
    }
}
