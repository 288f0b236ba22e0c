import ArgumentParser
import Gateway
import Messaging

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Serves webhooks, the landlords' API and operations.",
        discussion: """
            Needs DATABASE_URL (a plain login, see `migrate apply --grant-to`), META_APP_SECRET, META_WEBHOOK_VERIFY_TOKEN and
            certificates in GATEWAY_CERTS_DIR. SIGHUP reloads rules, certificates and routes; SIGTERM drains and ends.

            Example: DATABASE_URL=postgres://gateway@db/zenrent zenrent-gateway serve
            """)

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Make and run a PostgreSQL of its own; GATEWAY_DATA_DIR must be an absolute path.") var privatePostgres = false

    func run() async throws {
        let reader = try await settings.reader()
        let logger = try settings.logger(reader)
        let registry = Process.bootstrapMetrics()
        var configuration = try GatewayConfiguration(reader)
        for line in try reader.listing() { Terminal.error("  \(line)") }
        guard privatePostgres else {
            return try await Gateway.prepare(configuration, registry: registry, logger: logger).run()
        }
        guard configuration.databaseURL == nil else {
            throw SettingError(.databaseURL, "is set, and so is --private-postgres; choose one")
        }
        guard configuration.dataDirectory.hasPrefix("/") else {
            throw SettingError(.dataDirectory, "must be an absolute path with --private-postgres, so that a start from "
                + "another folder does not open an empty database")
        }
        let database = try await PrivateDatabase.open(dataDirectory: configuration.dataDirectory, logger: logger)
        configuration.databaseURL = database.url
        do {
            try await Gateway.prepare(configuration, registry: registry, logger: logger).run()
        } catch {
            try? await database.stop()
            throw error
        }
        try await database.stop()
    }
}
