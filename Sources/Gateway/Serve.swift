package import Logging

extension Gateway {
    /// Serves real webhooks until SIGTERM or SIGINT.
    /// - Parameters:
    ///   - withPrivatePostgres: makes and runs a PostgreSQL of its own under the data directory.
    ///   - announce: gets a line for each setting and where it came from.
    package static func serve(
        _ settings: SettingsReader, withPrivatePostgres: Bool, logger: Logger, announce: (String) -> Void
    ) async throws {
        let registry = Telemetry.bootstrapMetrics()
        let configuration = try GatewayConfiguration(settings)
        for line in try settings.listing() { announce(line) }
        guard withPrivatePostgres else {
            return try await prepare(configuration, registry: registry, logger: logger).run()
        }
        guard configuration.databaseURL == nil else {
            throw SettingError(.databaseURL, "is set, and so is --private-postgres; choose one")
        }
        guard configuration.dataDirectory.hasPrefix("/") else {
            throw SettingError(
                .dataDirectory,
                "must be an absolute path with --private-postgres, so that a start from another folder "
                    + "does not open an empty database")
        }
        try await PrivateDatabase.serving(
            dataDirectory: configuration.dataDirectory, countryCode: configuration.defaultCountryCode, logger: logger
        ) { url in
            var configuration = configuration
            configuration.databaseURL = url
            return try await prepare(configuration, registry: registry, logger: logger)
        } serve: { gateway in
            try await gateway.run()
        }
    }
}
