import Messaging
import PostgresClient
import PostgresStore
import PrivatePostgres

@testable import Gateway

/// A database of a test's own on the cluster of this process, with the logins an operator would make.
struct GatewayDatabase: Sendable {
    static let login = "gateway_login"
    let owner: PostgresConfiguration
    let plain: PostgresConfiguration

    /// Once for all tests: two that make the same role at the same moment are in each other's way.
    private static let makingLogin = Task { try await TemporaryCluster.shared().createLogin(login) }

    /// Migrated, with the plain login ready to serve.
    static func migrated() async throws -> GatewayDatabase {
        let cluster = try await TemporaryCluster.shared()
        try await makingLogin.value
        let name = try await cluster.makeDatabase(copying: "gateway_tests") { connectionString in
            let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await Migrator(connection).apply(grantTo: [login])
            await connection.close()
        }
        return GatewayDatabase(cluster, name)
    }

    /// As `CREATE DATABASE` leaves it.
    static func empty() async throws -> GatewayDatabase {
        let cluster = try await TemporaryCluster.shared()
        try await makingLogin.value
        return GatewayDatabase(cluster, try await cluster.makeDatabase())
    }

    private init(_ cluster: TemporaryCluster, _ name: String) {
        owner = PostgresConfiguration(cluster.connectionString(database: name))
        plain = PostgresConfiguration(cluster.connectionString(user: Self.login, database: name))
    }

    /// What a command is told.
    func settings(_ more: [String: String] = [:]) async throws -> SettingsReader {
        let addresses = ["DATABASE_URL": plain.connectionString, "MIGRATE_DATABASE_URL": owner.connectionString]
        return try await SettingsReader(environment: addresses.merging(more) { _, given in given })
    }

    func asOwner(_ script: String) async throws {
        let connection = try await PostgresConnection.connect(owner)
        try await connection.execute(script)
        await connection.close()
    }

    /// One value of one row, as text.
    func text(_ sql: String) async throws -> String {
        let connection = try await PostgresConnection.connect(owner)
        let text = try await connection.query(sql).one().text(0)
        await connection.close()
        return text
    }
}
