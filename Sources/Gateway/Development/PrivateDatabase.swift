package import Logging
package import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres

/// A PostgreSQL cluster of the gateway's own, made ready to be served from: migrated, with a plain login.
package struct PrivateDatabase: Sendable {
    private let cluster: PrivatePostgres
    /// Held until the last copy of this value is gone: a second gateway must not adopt, and then stop, this cluster.
    private let lock: DirectoryHold
    /// What the gateway connects with: neither superuser nor owner.
    package let url: Secret

    private static let databaseName = "zenrent"
    private static let login = "zenrent_gateway"

    /// Starts or adopts the cluster under a data directory, and brings its schema up to date.
    /// - Parameters:
    ///   - countryCode: for numbers written in national form; kept by the database from its first migration on.
    ///   - samples: SQL that is run as the owner after the migrations.
    package static func open(
        dataDirectory: String, countryCode: String, samples: String? = nil, logger: Logger
    ) async throws -> PrivateDatabase {
        let lock = try DirectoryHold(dataDirectory)
        let cluster = try PrivatePostgres(dataDirectory: dataDirectory, logger: logger)
        _ = try await cluster.start()
        do {
            try await cluster.createDatabase(databaseName)
            try await cluster.createLogin(login)
            let owner = PostgresConfiguration(
                cluster.connectionString(database: databaseName), applicationName: "zenrent-gateway migrate",
                settings: [("zenrent.default_cc", countryCode)])
            let connection = try await PostgresConnection.connect(owner)
            try await Migrator(connection).apply(grantTo: [login]) { migration in
                logger.info("applying migration", metadata: ["migration": "\(migration.title)"])
            }
            if let samples { try await connection.execute(samples) }
            await connection.close()
        } catch {
            try? await cluster.stop()
            throw error
        }
        guard let url = Secret(cluster.connectionString(user: login, database: databaseName)) else {
            preconditionFailure("a connection string is never empty")
        }
        return PrivateDatabase(cluster: cluster, lock: lock, url: url)
    }

    /// Stops the cluster; clients that are still connected are sent away.
    package func stop() async throws { try await cluster.stop() }

    /// Where the cluster of a data directory can be reached now, for commands beside a running gateway; `nil` when it does
    /// not run.
    static func address(dataDirectory: String) async throws -> Secret? {
        let cluster = try PrivatePostgres(dataDirectory: dataDirectory, logger: Logger(label: "private-postgres"))
        let address = cluster.connectionString(user: login, database: databaseName)
        let probe = PostgresConfiguration(address, applicationName: "zenrent-gateway probe")
        guard let connection = try? await PostgresConnection.connect(probe) else { return nil }
        await connection.close()
        return Secret(address)
    }
}
