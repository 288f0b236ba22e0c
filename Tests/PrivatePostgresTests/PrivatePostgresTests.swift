import Glibc
import Logging
import PostgresClient
import Testing

@testable import PrivatePostgres

@Suite struct PrivatePostgresTests {
    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    /// A cluster in a directory of its own, removed afterwards.
    static func withCluster(_ body: (PrivatePostgres) async throws -> Void) async throws {
        let owner = try ClusterOwner.current()
        let home = "/tmp/zenrent-private-\(UInt64.random(in: 0 ... .max))"
        let cluster = PrivatePostgres(
            layout: ClusterLayout(home: home), owner: owner,
            options: .init(durability: .none, sharedBuffersMegabytes: 16),
            logger: quiet)
        let outcome: Result<Void, any Error>
        do { outcome = .success(try await body(cluster)) } catch { outcome = .failure(error) }
        try await cluster.stop()
        chown(home, owner.user, owner.group)
        _ = try await owner.run("/bin/rm", ["-rf", home])
        try outcome.get()
    }

    static func process(_ cluster: PrivatePostgres) async throws -> Int32 {
        let text = try #require(ClusterLayout.contents(cluster.layout.data + "/postmaster.pid"))
        return try #require(text.split(separator: "\n").first.flatMap { Int32($0) })
    }

    @Test("is made once, started, stopped and started again with what it held")
    func lifetime() async throws {
        try await Self.withCluster { cluster in
            #expect(try await cluster.start() == .started)
            try await cluster.createLogin("worker")
            try await cluster.createLogin("worker")
            try await cluster.createDatabase("things", owner: "worker")
            try await cluster.createDatabase("things", owner: "worker")
            let connection = try await PostgresConnection.connect(
                PostgresConfiguration(cluster.connectionString(user: "worker", database: "things")))
            let row = try await connection.query(
                """
                SELECT current_setting('server_encoding'), datcollate, rolsuper, current_setting('listen_addresses')
                  FROM pg_database, pg_roles WHERE datname = 'things' AND rolname = 'worker'
                """
            ).one()
            #expect(try row.text(0) == "UTF8")
            #expect(try row.text(1) == "C")
            #expect(try row.bool(2) == false)
            #expect(try row.text(3) == "")
            await connection.close()
            try await cluster.stop()
            try await cluster.stop()
            #expect(try await cluster.start() == .started)
            #expect(
                try await cluster.sql("SELECT count(*) FROM pg_database WHERE datname = 'things'", database: "postgres")
                    == "1\n")
        }
    }

    @Test("a server that runs already is adopted, one that was killed is recovered")
    func adoption() async throws {
        try await Self.withCluster { cluster in
            try await cluster.start()
            let first = try await Self.process(cluster)
            #expect(try await cluster.start() == .adopted)
            #expect(try await Self.process(cluster) == first)
            kill(first, SIGKILL)
            // Dead, even where nobody buries it.
            while realpath("/proc/\(first)/cwd", nil) != nil { await Task.yield() }
            #expect(try await cluster.start() == .started)
        }
    }

    @Test("a server that looks ready but does not answer is not adopted")
    func silent() async throws {
        try await Self.withCluster { cluster in
            try await cluster.start()
            let process = try await Self.process(cluster)
            kill(process, SIGSTOP)
            defer { kill(process, SIGCONT) }
            let impatient = PrivatePostgres(
                layout: cluster.layout, owner: cluster.owner, options: .init(startTimeoutSeconds: 1), logger: Self.quiet
            )
            let error = await #expect(throws: PrivatePostgresError.self) { try await impatient.start() }
            #expect(error?.description.contains("neither answered nor gone in 1 s") == true)
        }
    }

    @Test("the process number of a dead server that belongs to another process now does not keep it from starting")
    func staleProcessNumber() async throws {
        try await Self.withCluster { cluster in
            try await cluster.start()
            try await cluster.stop()
            let file = try #require(fopen(cluster.layout.data + "/postmaster.pid", "w"))
            fputs("\(getpid())\n\(cluster.layout.data)\n1\n5432\n\(cluster.layout.sockets)\n\n\nready   \n", file)
            fclose(file)
            #expect(try await cluster.start() == .started)
        }
    }

    @Test("an interrupt at the terminal does not reach it: it is in a session of its own")
    func session() async throws {
        try await Self.withCluster { cluster in
            try await cluster.start()
            let process = try await Self.process(cluster)
            #expect(getpgid(process) != getpgid(0))
            #expect(getsid(process) != getsid(0))
        }
    }

    @Test("an initdb that was killed leaves nothing in the way")
    func halfMade() async throws {
        try await Self.withCluster { cluster in
            try cluster.layout.prepare(cluster.owner)
            _ = try await cluster.owner.run("/bin/mkdir", [cluster.home + "/data.new"])
            _ = try await cluster.owner.run("/bin/touch", [cluster.home + "/data.new/PG_VERSION"])
            #expect(try await cluster.start() == .started)
        }
    }

    @Test("a home that others may enter is refused")
    func openHome() async throws {
        try await Self.withCluster { cluster in
            mkdir(cluster.home, 0o755)
            chmod(cluster.home, 0o755)
            let error = await #expect(throws: PrivatePostgresError.self) { try await cluster.start() }
            #expect(error?.description.contains("chmod 700") == true)
        }
    }

    @Test("names that are not plain are refused before they reach SQL", arguments: ["", "a b", "x;DROP", "Ü", "A"])
    func names(_ name: String) async throws {
        let cluster = try PrivatePostgres(dataDirectory: "/tmp/nowhere", logger: Self.quiet)
        await #expect(throws: PrivatePostgresError.self) { try await cluster.createLogin(name) }
        await #expect(throws: PrivatePostgresError.self) { try await cluster.createDatabase(name) }
    }
}

@Suite struct ClusterLayoutTests {
    static let ourselves = ClusterOwner(name: "us", user: 1000, group: 1000, isOther: false)
    static let other = ClusterOwner(name: "postgres", user: 101, group: 101, isOther: true)

    @Test("lives in the data directory, or, for root, under /var/lib/zenrent-gateway with a name of its own")
    func homes() throws {
        #expect(
            try ClusterLayout.resident(dataDirectory: "/srv/x/./y/../var/", owner: Self.ourselves).home
                == "/srv/x/var/postgres")
        let root = try ClusterLayout.resident(dataDirectory: "/root/a/var", owner: Self.other).home
        #expect(root.hasPrefix("/var/lib/zenrent-gateway/postgres-"))
        #expect(try ClusterLayout.resident(dataDirectory: "/root/b/var", owner: Self.other).home != root)
        #expect(try ClusterLayout.resident(dataDirectory: "/root/a/c/../var", owner: Self.other).home == root)
    }

    @Test("a socket's path stays under 100 bytes, however deep the home is", arguments: [1, 60, 71, 72, 300])
    func sockets(_ depth: Int) {
        let layout = ClusterLayout(home: "/" + String(repeating: "d", count: depth))
        #expect((layout.sockets + "/.s.PGSQL.5432").utf8.count < 100)
    }
}

@Suite struct TemporaryClusterTests {
    @Test("hands out copies of a template that is filled once")
    func templates() async throws {
        let cluster = try await TemporaryCluster.shared()
        let names = try await withThrowingTaskGroup(of: String.self) { group in
            for _ in 0..<3 {
                group.addTask {
                    try await cluster.makeDatabase(copying: "filled") { string in
                        let connection = try await PostgresConnection.connect(PostgresConfiguration(string))
                        try await connection.execute("CREATE TABLE t (v int); INSERT INTO t VALUES (1)")
                        await connection.close()
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
        #expect(Set(names).count == 3)
        for name in names {
            let connection = try await PostgresConnection.connect(
                PostgresConfiguration(cluster.connectionString(database: name)))
            #expect(try await connection.query("SELECT v FROM t").count == 1)
        }
    }

    @Test("stops and leaves no directory behind when nobody holds it any more")
    func cleansUp() async throws {
        var cluster: TemporaryCluster? = try await TemporaryCluster()
        let string = try #require(cluster?.connectionString())
        let home = String(string.dropFirst("host='".count).prefix { $0 != "'" }.dropLast("/socket".count))
        #expect(access(home, F_OK) == 0)
        cluster = nil
        while access(home, F_OK) == 0 { try await Task.sleep(for: .milliseconds(10)) }
    }
}
