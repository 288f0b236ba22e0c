import ArgumentParser
import Gateway
import Messaging
import PostgresClient
import PostgresStore

struct Migrate: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Brings the database's schema up to date.",
        discussion: """
            Connects with MIGRATE_DATABASE_URL (an owner of the schema), or DATABASE_URL where that is absent.

            Example: MIGRATE_DATABASE_URL=postgres://owner@db/zenrent zenrent-gateway migrate apply --grant-to gateway
            """,
        subcommands: [MigratePlan.self, MigrateApply.self, MigrateVerify.self])

    /// Runs `body` on an owner's connection.
    static func withConnection(_ settings: SettingsOptions, _ body: (PostgresConnection) async throws -> Void) async throws {
        let reader = try await settings.reader()
        var url = try reader.secret(.migrateDatabaseURL)
        if url == nil { url = try reader.secret(.databaseURL) }
        guard let url else {
            throw SettingError(.migrateDatabaseURL, "is not set; give the address of the database, as an owner of the schema gateway")
        }
        let connection = try await PostgresConnection.connect(
            PostgresConfiguration(url.reveal(), applicationName: "zenrent-gateway migrate"))
        do {
            try await body(connection)
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }
}

struct MigratePlan: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan", abstract: "Lists the migrations and where each stands; writes nothing.",
        discussion: "Example: zenrent-gateway migrate plan --json")

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Print one JSON array.") var json = false

    func run() async throws {
        try await Migrate.withConnection(settings) { connection in
            let statuses = try await Migrator(connection).plan()
            if json {
                let rows = statuses.map {
                    "{\"number\":\($0.number),\"name\":\"\($0.name)\",\"state\":\"\($0.state)\",\"checksum\":\"\($0.checksum)\"}"
                }
                print("[\(rows.joined(separator: ","))]")
            } else {
                for status in statuses { print("\(status.number)  \(status.state)  \(status.name)  \(status.checksum.prefix(12))") }
            }
        }
    }
}

struct MigrateApply: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "apply", abstract: "Applies what is pending.",
        discussion: "Example: zenrent-gateway migrate apply --grant-to gateway")

    @OptionGroup var settings: SettingsOptions
    @Option(help: "A login that shall serve: it gets the memberships it needs. May be given several times.")
    var grantTo: [String] = []

    func run() async throws {
        try await Migrate.withConnection(settings) { connection in
            let applied = try await Migrator(connection).apply(grantTo: grantTo) { print("applying \($0.title) …") }
            print(applied.isEmpty ? "nothing was pending" : "\(applied.count) migrations applied")
            for login in grantTo { print("\(login) may serve now") }
        }
    }
}

struct MigrateVerify: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Checks schema, roles, row security and partitions.",
        discussion: "Exits 1 when something must be mended.\n\nExample: zenrent-gateway migrate verify")

    @OptionGroup var settings: SettingsOptions

    func run() async throws {
        try await Migrate.withConnection(settings) { connection in
            let problems = try await SchemaCheck(connection).database()
            for problem in problems { print("\(problem.isFatal ? "must" : "may") be mended: \(problem)") }
            if problems.isEmpty { print("the database is as this program needs it") }
            if problems.contains(where: \.isFatal) { throw ExitCode.failure }
        }
    }
}
