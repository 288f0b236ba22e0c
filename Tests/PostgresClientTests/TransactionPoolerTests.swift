import Glibc
import PostgresClient
import Testing

@testable import PrivatePostgres

/// Runs where PgBouncer is installed, or `PGBOUNCER` names it.
@Suite struct TransactionPoolerTests {
    static let program = getenv("PGBOUNCER").map { String(cString: $0) } ?? "/usr/sbin/pgbouncer"

    @Test(
        "a pooler in transaction mode is recognised, one in session mode is let through",
        .enabled(if: access(program, X_OK) == 0), arguments: ["transaction", "statement", "session"])
    func modes(_ mode: String) async throws {
        let server = try await TemporaryCluster.shared().connectionString()
        let sockets = String(server.dropFirst("host='".count).prefix { $0 != "'" })
        let owner = try ClusterOwner.current()
        // As the server's user: it may write into the server's socket directory.
        let directory = "\(sockets)/pooler-\(mode)"
        let settings = """
            [databases]
            postgres = host=\(sockets) dbname=postgres user=postgres
            [pgbouncer]
            pool_mode = \(mode)
            listen_addr =
            unix_socket_dir = \(directory)
            listen_port = 6432
            auth_type = any
            pidfile = \(directory)/pid
            logfile = \(directory)/log
            """
        let script = """
            mkdir "$1" && printf '%s\\n' "$2" > "$1/ini" && "$0" -d "$1/ini" &&
            while ! [ -S "$1/.s.PGSQL.6432" ]; do sleep 0.01; done
            """
        let started = try await owner.run("/bin/sh", ["-c", script, Self.program, directory, settings])
        try #require(started.status == 0, "\(started.text)")
        let configuration = PostgresConfiguration("host=\(directory) port=6432 dbname=postgres user=postgres")
        for _ in 0..<5 {
            do throws(PostgresError) {
                try await configuration.checkForTransactionPooler()
                #expect(mode == "session")
            } catch {
                #expect(mode != "session" && error.code == .transactionPooler, "\(error)")
            }
        }
        _ = try await owner.run("/bin/sh", ["-c", "kill $(cat \"$0/pid\")", directory])
    }
}
