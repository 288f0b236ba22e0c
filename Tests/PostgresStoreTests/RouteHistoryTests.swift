import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@testable import PrivatePostgres

/// A table in memory that was loaded from one history of the database, and a database that has another one now.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RouteHistoryTests {
    private struct Failed: Error { let text: String }

    private static func shell(_ script: String, _ arguments: String...) async throws {
        let owner = try ClusterOwner.current()
        let bin = try ServerBinaries.find(majorVersion: nil).directory
        let output = try await owner.run("/bin/sh", ["-ec", "PATH=\"\(bin):$PATH\"; \(script)", "sh"] + arguments)
        guard output.status == 0 else { throw Failed(text: output.text) }
    }

    private static func value(_ connectionString: String, _ sql: String) async throws -> String {
        let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
        let value = try await connection.query("SELECT x::text FROM (\(sql)) q(x)").one().text(0)
        await connection.close()
        return value
    }

    private static func execute(_ connectionString: String, _ script: String) async throws {
        let connection = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
        try await connection.execute(script)
        await connection.close()
    }

    /// Loads everything, lets the database get another history, and expects that its changes no longer fit.
    private static func expectFullLoad(
        _ before: PostgresRouteSource, _ after: PostgresRouteSource? = nil, _ happens: () async throws -> Void
    ) async throws {
        let cursor = try await PostgresRouteSourceTests.load(before).cursor
        #expect(try await before.changes(since: cursor) != nil)
        try await happens()
        let source = after ?? before
        #expect(try await source.changes(since: cursor) == nil)
        let loaded = try await PostgresRouteSourceTests.load(source)
        #expect(loaded.routes.count == 3)
        #expect(try await source.changes(since: loaded.cursor) != nil)
    }

    @Test("a dump restored into another database of the cluster is loaded wholly")
    func restoredBeside() async throws {
        let world = try await RecorderWorld()
        let cluster = try await TemporaryCluster.shared()
        let name = try await world.value("SELECT current_database()") ?? ""
        let copy = try await cluster.makeDatabase()
        let copied = PostgresConfiguration(cluster.connectionString(user: RecorderWorld.login, database: copy))
        try await Self.expectFullLoad(PostgresRouteSource(world.configuration), PostgresRouteSource(copied)) {
            try await Self.shell(
                "pg_dump -d \"$1\" | psql -X -q -v ON_ERROR_STOP=1 -d \"$2\" >/dev/null",
                cluster.connectionString(database: name), cluster.connectionString(database: copy))
        }
    }

    @Test("a dump restored into another cluster is loaded wholly")
    func restoredElsewhere() async throws {
        let world = try await RecorderWorld()
        let cluster = try await TemporaryCluster.shared()
        let name = try await world.value("SELECT current_database()") ?? ""
        let other = try await TemporaryCluster()
        try await other.createLogin(RecorderWorld.login)
        let restored = PostgresConfiguration(other.connectionString(user: RecorderWorld.login))
        try await Self.expectFullLoad(PostgresRouteSource(world.configuration), PostgresRouteSource(restored)) {
            let roles = "anon,authenticated,gateway_writer,gateway_admin".split(separator: ",")
            try await Self.execute(
                other.connectionString(),
                roles.map { "CREATE ROLE \($0) NOLOGIN" }.joined(separator: ";")
                    + "; GRANT gateway_writer, authenticated TO \(RecorderWorld.login)")
            try await Self.shell(
                "pg_dump -d \"$1\" | psql -X -q -v ON_ERROR_STOP=1 -d \"$2\" >/dev/null",
                cluster.connectionString(database: name), other.connectionString())
        }
    }

    /// A migrated database with three leases on a cluster that may be harmed.
    private static func makeCluster() async throws -> TemporaryCluster {
        let cluster = try await TemporaryCluster(options: .init(durability: .none, sharedBuffersMegabytes: 16))
        try await cluster.createLogin(RecorderWorld.login)
        let connection = try await PostgresConnection.connect(PostgresConfiguration(cluster.connectionString()))
        try await Migrator(connection).apply(grantTo: [RecorderWorld.login])
        try await connection.execute(RecorderWorld.people)
        await connection.close()
        return cluster
    }

    @Test("a standby that takes over is loaded wholly: it may lack what the other had committed last")
    func promoted() async throws {
        let cluster = try await Self.makeCluster()
        let source = PostgresRouteSource(
            PostgresConfiguration(cluster.connectionString(user: RecorderWorld.login)))
        let before = try await Self.value(cluster.connectionString(), "SELECT gateway.cluster_epoch()")
        try await Self.expectFullLoad(source) {
            try await cluster.stop()
            // Recovers from a log that ends here, and begins a timeline of its own, as a promoted standby does.
            try await Self.shell(
                "echo \"restore_command = '/bin/false'\" >> \"$1/postgresql.auto.conf\"; touch \"$1/recovery.signal\"",
                cluster.cluster.layout.data)
            try await cluster.start()
            while try await Self.value(cluster.connectionString(), "SELECT pg_is_in_recovery()") == "true" {}
        }
        let after = try await Self.value(cluster.connectionString(), "SELECT gateway.cluster_epoch()")
        #expect(before.split(separator: ".")[0...1] == after.split(separator: ".")[0...1])
        #expect(before.split(separator: ".")[2] == "1" && after.split(separator: ".")[2] == "2")
    }

    @Test("a data directory put back to an earlier state is loaded wholly, also when it has caught up in transactions")
    func putBack() async throws {
        let cluster = try await Self.makeCluster()
        let address = cluster.connectionString()
        let data = cluster.cluster.layout.data
        try await cluster.stop()
        try await Self.shell("cp -a \"$1\" \"$1.kept\"", data)
        try await cluster.start()
        try await Self.execute(address, "UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess'")
        let source = PostgresRouteSource(PostgresConfiguration(cluster.connectionString(user: RecorderWorld.login)))
        let before = try await Self.value(address, "SELECT gateway.cluster_epoch()")
        try await Self.expectFullLoad(source) {
            let last = try await Self.value(address, "SELECT pg_snapshot_xmax(pg_current_snapshot())")
            try await cluster.stop()
            try await Self.shell("rm -r \"$1\"; mv \"$1.kept\" \"$1\"", data)
            try await cluster.start()
            try await Self.execute(
                address,
                """
                DO $$ BEGIN
                  WHILE pg_current_xact_id() <= '\(last)'::xid8 LOOP COMMIT; END LOOP;
                END $$
                """)
            #expect(
                try await Self.value(address, "SELECT pg_snapshot_xmax(pg_current_snapshot()) > '\(last)'") == "true")
        }
        // Nothing but the moment the server was started tells the two apart.
        #expect(try await Self.value(address, "SELECT gateway.cluster_epoch()") == before)
    }

    @Test("a connection that is cut is no reason to load everything")
    func cut() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await PostgresRouteSourceTests.load(source).cursor
        try await world.owner.execute(
            """
            SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity
             WHERE datname = current_database() AND usename = '\(RecorderWorld.login)';
            UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess'
            """)
        #expect(try await source.changes(since: cursor)?.routes.count == 2)
    }
}
