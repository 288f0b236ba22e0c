import Glibc
import Logging
import Synchronization

/// A cluster for one process, usually of tests: without durability, in a directory of its own, stopped and removed when
/// the process ends, in whatever way. A program that waits for the end of a pipe sees to that.
package final class TemporaryCluster: Sendable {
    let cluster: PrivatePostgres
    private let watch: Int32
    private let names = Atomic<Int>(0)
    private let templates = Mutex<[String: Task<Void, any Error>]>([:])

    private static let sharedStart = Task { try await TemporaryCluster() }

    /// The one of this process, started when it is first asked for.
    package static func shared() async throws -> TemporaryCluster { try await sharedStart.value }

    /// One more, to be stopped and harmed.
    package init(
        options: PrivatePostgres.Options = .init(durability: .none, sharedBuffersMegabytes: 64, connectionsMax: 300)
    ) async throws {
        let owner = try ClusterOwner.current()
        var template = Array("/tmp/zenrent-test-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw PrivatePostgresError.system("mkdtemp", "/tmp", errno) }
        let home = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        guard chown(home, owner.user, owner.group) == 0 else { throw PrivatePostgresError.system("chown", home, errno) }
        let binaries = try ServerBinaries.find(majorVersion: nil)
        cluster = PrivatePostgres(
            layout: ClusterLayout(home: home), owner: owner, options: options,
            logger: Logger(label: "cluster") { _ in SwiftLogNoOpLogHandler() })
        let (program, arguments) = owner.command(
            "/bin/sh",
            ["-c", "read line; \"$0\" -D \"$1/data\" -m immediate stop; rm -rf \"$1\"", binaries.path("pg_ctl"), home])
        watch = try ChildProcess.spawnWatching(program, arguments)
        try await cluster.start()
    }

    /// Stops the server and removes the directory, soon.
    deinit { close(watch) }

    package func connectionString(user: String = PrivatePostgres.superuser, database: String = "postgres") -> String {
        cluster.connectionString(user: user, database: database)
    }

    package func createLogin(_ name: String) async throws { try await cluster.createLogin(name) }
    package func stop() async throws { try await cluster.stop() }
    package func start() async throws { try await cluster.start() }

    /// A fresh, empty database; returns its name.
    package func makeDatabase() async throws -> String {
        let name = nextName()
        try await cluster.createDatabase(name)
        return name
    }

    /// A fresh copy of a database that `prepare` fills when it is first asked for; returns its name.
    /// - Parameter prepare: gets the connection string of the template; it must leave no connection open.
    package func makeDatabase(
        copying template: String, prepare: @escaping @Sendable (_ connectionString: String) async throws -> Void
    ) async throws -> String {
        let filling = templates.withLock { templates in
            if let task = templates[template] { return task }
            let task = Task {
                try await self.cluster.createDatabase(template)
                try await prepare(self.connectionString(database: template))
            }
            templates[template] = task
            return task
        }
        try await filling.value
        let name = nextName()
        try await cluster.createDatabase(name, template: template)
        return name
    }

    private func nextName() -> String { "test_\(names.add(1, ordering: .relaxed).newValue)" }
}
