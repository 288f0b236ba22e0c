import ArgumentParser
import Gateway
import Logging

struct Serve: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Serves webhooks, the landlords' API and operations.",
        discussion: """
            Needs DATABASE_URL (a plain login, see `migrate apply --grant-to`), META_APP_SECRET, META_WEBHOOK_VERIFY_TOKEN and
            certificates in GATEWAY_CERTS_DIR. SIGHUP reloads rules, certificates and routes; SIGTERM drains and ends.

            Exit codes: 0 after SIGTERM or SIGINT; 1 when something must be mended first.

            Example: DATABASE_URL=postgres://gateway@db/zenrent zenrent-gateway serve
            """)

    @OptionGroup var settings: SettingsOptions
    @Flag(help: "Make and run a PostgreSQL of its own; GATEWAY_DATA_DIR must be an absolute path.")
    var privatePostgres = false

    func run() async throws {
        let reader = try await settings.reader()
        let logger = try Telemetry.bootstrapLogging(reader, fallback: .info)
        try await Gateway.serve(reader, withPrivatePostgres: privatePostgres, logger: logger) {
            Terminal.error("  \($0)")
        }
    }
}
