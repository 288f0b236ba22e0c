import PostgresClient
import PostgresStore

/// The database's schema: `migrate plan`, `apply` and `verify`. Works as an owner of it.
package struct SchemaAdministration: Sendable {
    /// A migration and where it stands.
    package struct Step: Encodable, Hashable, Sendable {
        package let number: Int32
        package let name: String
        /// `pending`, `applied`, `changed` (applied from another text) or `unknown` (applied by a newer program).
        package let state: String
        /// SHA-256 of its text.
        package let checksum: String
    }

    /// Something about the database that is not as it should be.
    package struct Finding: Encodable, Hashable, Sendable {
        package let problem: String
        package let cure: String
        /// `false`: the gateway works all the same, less well.
        package let isFatal: Bool
    }

    private let address: DatabaseSession.Address

    /// - Throws: `SettingError` when no address is set.
    package init(_ settings: SettingsReader) throws { address = try DatabaseSession.ownersAddress(settings) }

    /// All migrations in order. Writes nothing.
    package func plan() async throws -> [Step] {
        try await DatabaseSession.run(address, command: "migrate") { connection in
            try await Migrator(connection).plan().map {
                Step(number: $0.number, name: $0.name, state: "\($0.state)", checksum: $0.checksum)
            }
        }
    }

    /// Applies what is pending, and makes logins members of the roles the gateway works as.
    /// - Parameter progress: told of each migration before it is applied.
    /// - Returns: the migrations that were applied now.
    package func apply(
        grantTo logins: [String], progress: @escaping @Sendable (String) -> Void
    ) async throws -> [String] {
        try await DatabaseSession.run(address, command: "migrate") { connection in
            try await Migrator(connection).apply(grantTo: logins) { progress($0.title) }.map(\.title)
        }
    }

    /// What must or may be mended in schema, roles, row security and partitions.
    package func verify() async throws -> [Finding] {
        try await DatabaseSession.run(address, command: "migrate") { connection in
            try await SchemaCheck(connection).database().map {
                Finding(problem: $0.problem, cure: $0.cure, isFatal: $0.isFatal)
            }
        }
    }
}
