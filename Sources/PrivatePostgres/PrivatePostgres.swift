package import Logging

/// A PostgreSQL cluster of our own for development, reached over a Unix socket alone.
///
/// It is made on first use, started when it does not run, and adopted when it runs already, as after a crash of ours.
/// The server is in a session of its own: an interrupt at the terminal does not reach it, `stop()` does.
package struct PrivatePostgres: Sendable {
    /// What a crash of the machine may cost.
    package enum Durability: Sendable {
        /// Nothing that was committed.
        case full
        /// Everything; for tests.
        case none
    }

    package struct Options: Sendable {
        package var durability: Durability
        package var sharedBuffersMegabytes: Int
        package var connectionsMax: Int
        /// How long a start may take, recovery after a crash included.
        package var startTimeoutSeconds: Int

        package init(
            durability: Durability = .full, sharedBuffersMegabytes: Int = 256, connectionsMax: Int = 100,
            startTimeoutSeconds: Int = 120
        ) {
            self.durability = durability
            self.sharedBuffersMegabytes = sharedBuffersMegabytes
            self.connectionsMax = connectionsMax
            self.startTimeoutSeconds = startTimeoutSeconds
        }
    }

    /// Whether `start()` had to.
    package enum Start: Sendable, Hashable {
        case started
        /// It was running; its settings are those it was started with.
        case adopted
    }

    /// The name of the cluster's superuser. Nothing should work as it but what sets up databases and roles.
    package static let superuser = "postgres"

    let layout: ClusterLayout
    let owner: ClusterOwner
    let options: Options
    let logger: Logger

    /// - Parameter dataDirectory: the gateway's data directory. The cluster lives in its folder `postgres`; for root,
    ///   as whom PostgreSQL does not run, in a folder of `/var/lib/zenrent-gateway` named after it.
    package init(dataDirectory: String, options: Options = Options(), logger: Logger) throws(PrivatePostgresError) {
        let owner = try ClusterOwner.current()
        try self.init(
            layout: ClusterLayout.resident(dataDirectory: dataDirectory, owner: owner), owner: owner, options: options,
            logger: logger)
    }

    init(layout: ClusterLayout, owner: ClusterOwner, options: Options, logger: Logger) {
        self.layout = layout
        self.owner = owner
        self.options = options
        self.logger = logger
    }

    /// Where everything of the cluster is.
    package var home: String { layout.home }

    /// For libpq.
    package func connectionString(user: String = Self.superuser, database: String = "postgres") -> String {
        [("host", layout.sockets), ("port", "5432"), ("user", user), ("dbname", database)]
            .map { "\($0)=\(Self.quoted($1))" }.joined(separator: " ")
    }

    /// Makes a role that can log in and do nothing else yet. One that exists stays as it is.
    package func createLogin(_ name: String) async throws(PrivatePostgresError) {
        try Self.checkName(name)
        try await sql(
            "DO $$ BEGIN CREATE ROLE \(name) LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
            database: "postgres")
    }

    /// Makes a database. One that exists stays as it is.
    /// - Parameter template: one to copy; nobody may be connected to it.
    package func createDatabase(
        _ name: String, owner: String = Self.superuser, template: String = "template1"
    ) async throws(PrivatePostgresError) {
        for name in [name, owner, template] { try Self.checkName(name) }
        let exists = try await sql("SELECT 1 FROM pg_database WHERE datname = '\(name)'", database: "postgres")
        guard exists.isEmpty else { return }
        try await sql("CREATE DATABASE \(name) OWNER \(owner) TEMPLATE \(template)", database: "postgres")
    }

    /// Runs a statement as the superuser, and returns what `psql -At` prints.
    @discardableResult
    package func sql(_ statement: String, database: String) async throws(PrivatePostgresError) -> String {
        let binaries = try ServerBinaries.find(majorVersion: layout.majorVersion)
        let output = try await owner.run(
            binaries.path("psql"),
            ["-XqAt", "-v", "ON_ERROR_STOP=1", "-d", connectionString(database: database), "-c", statement])
        guard output.status == 0 else { throw PrivatePostgresError("psql: \(output.text.lastLines)") }
        return output.text
    }

    private static func checkName(_ name: String) throws(PrivatePostgresError) {
        let isPlain = name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x5F }
        guard isPlain, (1...63).contains(name.utf8.count) else {
            throw PrivatePostgresError("\"\(name)\" is no name for a role or database: use a-z, 0-9 and _")
        }
    }

    /// In libpq's `key='value'` form.
    private static func quoted(_ value: String) -> String {
        var quoted = ""
        for character in value {
            if character == "'" || character == "\\" { quoted.append("\\") }
            quoted.append(character)
        }
        return "'\(quoted)'"
    }
}
