import PostgresClient
import PrivatePostgres

/// The server these tests run on.
enum Server {
    static func configuration(
        user: String = PrivatePostgres.superuser, settings: [(name: String, value: String)] = []
    ) async throws -> PostgresConfiguration {
        PostgresConfiguration(try await TemporaryCluster.shared().connectionString(user: user), settings: settings)
    }

    static func connect() async throws -> PostgresConnection {
        try await PostgresConnection.connect(configuration())
    }

    /// A schema nobody else uses, first in the connection's search path.
    static func connectToScratchSchema() async throws -> PostgresConnection {
        let connection = try await connect()
        let name = "scratch_\(UInt64.random(in: 0 ... .max))"
        try await connection.execute("CREATE SCHEMA \(name); SET search_path = \(name)")
        return connection
    }
}
