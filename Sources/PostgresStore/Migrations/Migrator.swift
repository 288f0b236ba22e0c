package import PostgresClient

/// Brings a database to what this program needs, as an owner of the schema `gateway` (or somebody who may make it).
///
/// Each migration is a transaction of its own, noted in `gateway.schema_migrations`; a lock keeps two migrators apart.
/// Applying again changes nothing.
package struct Migrator: Sendable {
    private let connection: PostgresConnection
    private let migrations: [Migration]

    package init(_ connection: PostgresConnection, migrations: [Migration] = Migration.all) {
        self.connection = connection
        self.migrations = migrations
    }

    /// All migrations in order, and where each stands. Writes nothing.
    package func plan() async throws(PostgresError) -> [MigrationStatus] {
        let applied = try await appliedChecksums()
        var statuses: [MigrationStatus] = []
        for migration in migrations {
            let checksum = try await checksum(migration)
            let state: MigrationStatus.State =
                switch applied[migration.number] {
                case .none: .pending
                case .some(let row): row.checksum == checksum ? .applied : .changed
                }
            statuses.append(
                MigrationStatus(number: migration.number, name: migration.name, checksum: checksum, state: state))
        }
        let known = Set(migrations.map(\.number))
        for (number, row) in applied.sorted(by: { $0.key < $1.key }) where !known.contains(number) {
            statuses.append(MigrationStatus(number: number, name: row.name, checksum: row.checksum, state: .unknown))
        }
        return statuses
    }

    /// Applies what is pending, and makes logins members of the roles the gateway works as.
    /// - Parameters:
    ///   - logins: existing roles that may log in.
    ///   - progress: told before each migration.
    /// - Returns: what was applied now.
    /// - Throws: `SchemaProblem` for what a person must decide, `PostgresError` for the rest.
    @discardableResult
    package func apply(
        grantTo logins: [String] = [], progress: @Sendable (Migration) -> Void = { _ in }
    ) async throws -> [Migration] {
        try await connection.execute("SELECT pg_advisory_lock(\(Self.lock))", timeout: .seconds(600))
        do {
            try await prepare()
            let pending = try await pending()
            for migration in pending {
                progress(migration)
                try await apply(migration)
            }
            for login in logins { try await grant(to: login) }
            try await connection.execute("SELECT pg_advisory_unlock(\(Self.lock))")
            return pending
        } catch {
            try? await connection.execute("SELECT pg_advisory_unlock(\(Self.lock))")
            throw error
        }
    }

    /// One for this program in the space of advisory locks.
    private static let lock = 1_735_288_188

    private func prepare() async throws(PostgresError) {
        try await connection.execute(
            """
            SET client_min_messages = warning;
            CREATE SCHEMA IF NOT EXISTS gateway;
            CREATE TABLE IF NOT EXISTS gateway.schema_migrations (
              number integer PRIMARY KEY,
              name text NOT NULL,
              checksum text NOT NULL,
              applied_at timestamptz NOT NULL DEFAULT now(),
              applied_by text NOT NULL DEFAULT current_user,
              seconds double precision)
            """)
    }

    private func pending() async throws -> [Migration] {
        let statuses = try await plan()
        if let changed = statuses.first(where: { $0.state == .changed }) {
            throw SchemaProblem(
                "migration \(changed.number) (\(changed.name)) was applied from another text",
                cure: "use the version of this program that applied it, or restore the database")
        }
        let open = Set(statuses.filter { $0.state == .pending }.map(\.number))
        return migrations.filter { open.contains($0.number) }
    }

    private func apply(_ migration: Migration) async throws(PostgresError) {
        try await connection.transaction { connection throws(PostgresError) in
            // The application's tables are altered: rather give up than stand in its way.
            try connection.execute("SET LOCAL lock_timeout = '10s'; SET LOCAL search_path = pg_catalog, pg_temp")
            try connection.execute(migration.sql, timeout: .seconds(3600))
            _ = try connection.query(
                """
                INSERT INTO gateway.schema_migrations (number, name, checksum, seconds)
                VALUES ($1::integer, $2::text, encode(sha256(convert_to($3::text, 'UTF8')), 'hex'),
                        extract(epoch FROM clock_timestamp() - now())::double precision)
                """, [.int32(migration.number), .text(migration.name), .text(migration.sql)])
        }
    }

    private func grant(to login: String) async throws {
        let row = try await connection.query(
            "SELECT quote_ident($1::text), EXISTS (SELECT FROM pg_roles WHERE rolname = $1::text AND rolcanlogin)",
            [.text(login)]
        ).one()
        let name = try row.text(0)
        guard try row.bool(1) else {
            throw SchemaProblem(
                "there is no login \(login)", cure: "CREATE ROLE \(name) LOGIN PASSWORD '…', then apply again")
        }
        // Before 16 a member can always SET ROLE. From 16 on that is said, and what landlords may do is not inherited.
        let statements =
            await connection.serverVersion >= 160_000
            ? "GRANT gateway_writer TO \(name) WITH INHERIT TRUE, SET TRUE; "
                + "GRANT authenticated TO \(name) WITH INHERIT FALSE, SET TRUE"
            : "GRANT gateway_writer, authenticated TO \(name)"
        do {
            try await connection.execute(statements)
        } catch {
            guard error.sqlState == "42501" else { throw error }
            throw SchemaProblem(
                "this login may not grant the gateway's roles",
                cure: "as an administrator of the server: \(statements);")
        }
    }

    private func checksum(_ migration: Migration) async throws(PostgresError) -> String {
        try await connection.query(
            "SELECT encode(sha256(convert_to($1::text, 'UTF8')), 'hex')", [.text(migration.sql)]
        ).one().text(0)
    }

    private func appliedChecksums() async throws(PostgresError) -> [Int32: (name: String, checksum: String)] {
        let isThere = try await connection.query("SELECT to_regclass('gateway.schema_migrations') IS NOT NULL").one()
        guard try isThere.bool(0) else { return [:] }
        var applied: [Int32: (name: String, checksum: String)] = [:]
        for row in try await connection.query("SELECT number, name, checksum FROM gateway.schema_migrations") {
            applied[try row.int32(0)] = (try row.text(1), try row.text(2))
        }
        return applied
    }
}
