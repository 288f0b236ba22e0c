package import Logging
package import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres

/// A PostgreSQL cluster of the gateway's own, made ready to be served from: migrated, with a plain login.
package struct PrivateDatabase: Sendable {
    private let cluster: PrivatePostgres
    private let logger: Logger

    private static let databaseName = "zenrent"
    private static let login = "zenrent_gateway"

    /// Starts or adopts the cluster under a data directory, serves from it, and stops it, whatever happens.
    ///
    /// No other gateway can have the directory meanwhile: it would adopt this cluster, and then stop it.
    /// - Parameters:
    ///   - countryCode: for numbers written in national form; kept by the database from its first migration on.
    ///   - samples: SQL that is run as the owner after the migrations.
    ///   - prepare: gets what the gateway connects with, a login that is neither superuser nor owner. An interrupt
    ///     before it has returned cancels it, and everything is stopped.
    ///   - serve: gets what `prepare` made, and sees to interrupts itself.
    package static func serving<Prepared: Sendable>(
        dataDirectory: String, countryCode: String, samples: String? = nil, logger: Logger,
        prepare: @escaping @Sendable (_ url: Secret) async throws -> Prepared,
        serve: (Prepared) async throws -> Void
    ) async throws {
        let hold = try DirectoryHold(dataDirectory)
        let database = PrivateDatabase(
            cluster: try PrivatePostgres(dataDirectory: dataDirectory, logger: logger), logger: logger)
        do {
            let prepared = try await Interruption.watched {
                let url = try await database.open(countryCode: countryCode, samples: samples)
                return try await prepare(url)
            }
            try await serve(prepared)
        } catch {
            try? await database.cluster.stop()
            throw error
        }
        try await database.cluster.stop()
        withExtendedLifetime(hold) {}
    }

    /// Starts the cluster and brings its schema up to date. Ends early when its task is cancelled.
    private func open(countryCode: String, samples: String?) async throws -> Secret {
        _ = try await cluster.start()
        try Task.checkCancellation()
        try await cluster.createDatabase(Self.databaseName)
        try await cluster.createLogin(Self.login)
        let owner = PostgresConfiguration(
            cluster.connectionString(database: Self.databaseName), applicationName: "zenrent-gateway migrate",
            settings: [("zenrent.default_cc", countryCode)])
        let connection = try await PostgresConnection.connect(owner)
        do {
            try await Migrator(connection).apply(grantTo: [Self.login]) { migration in
                logger.info("applying migration", metadata: ["migration": "\(migration.title)"])
            }
            if let samples { try await connection.execute(samples) }
        } catch let problem as SchemaProblem {
            await connection.close()
            throw AdministrationError(
                "\(problem.problem), in the database of \(cluster.home)",
                cure: "\(problem.cure), or remove that directory with all that is in it to begin with a new database")
        } catch {
            await connection.close()
            throw error
        }
        await connection.close()
        try Task.checkCancellation()
        guard let url = Self.address(cluster) else { preconditionFailure("a connection string is never empty") }
        return url
    }

    private static func address(_ cluster: PrivatePostgres) -> Secret? {
        Secret(cluster.connectionString(user: login, database: databaseName))
    }

    /// Where the cluster of a data directory can be reached now, for commands beside a running gateway; `nil` when it does
    /// not run.
    static func address(dataDirectory: String) async throws -> Secret? {
        let cluster = try PrivatePostgres(dataDirectory: dataDirectory, logger: Logger(label: "private-postgres"))
        guard let url = address(cluster) else { return nil }
        let probe = PostgresConfiguration(url.reveal(), applicationName: "zenrent-gateway probe")
        guard let connection = try? await PostgresConnection.connect(probe) else { return nil }
        await connection.close()
        return url
    }
}
