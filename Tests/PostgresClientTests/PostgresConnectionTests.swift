import Glibc
import PostgresClient
import Testing

@Suite struct PostgresConnectionTests {
    @Test("applies the session settings, and those every connection has")
    func settings() async throws {
        let configuration = try await Server.configuration(settings: [("plan_cache_mode", "force_generic_plan")])
        let connection = try await PostgresConnection.connect(configuration)
        let names = ["plan_cache_mode", "client_encoding", "standard_conforming_strings", "application_name"]
        let row = try await connection.query(
            "SELECT \(names.map { "current_setting('\($0)')" }.joined(separator: ", "))"
        ).one()
        #expect(try names.indices.map { try row.text($0) } == ["force_generic_plan", "UTF8", "on", "zenrent-gateway"])
        #expect(await connection.serverVersion >= 15_00_00)
    }

    @Test("runs scripts of many statements; a failing one undoes the whole")
    func scripts() async throws {
        let connection = try await Server.connectToScratchSchema()
        try await connection.execute("CREATE TABLE t (v int); INSERT INTO t VALUES (1), (2);")
        await #expect(throws: PostgresError.self) {
            try await connection.execute("INSERT INTO t VALUES (3); SELECT 1/0")
        }
        let rows = try await connection.query("SELECT v FROM t ORDER BY v")
        #expect(try rows.map { try $0.int32(0) } == [1, 2])
        #expect(try await connection.query("DELETE FROM t").affected == 2)
        #expect(connection.phase == .idle)
    }

    @Test("prepares a statement once, and anew when the tables have changed under it")
    func statements() async throws {
        let connection = try await Server.connectToScratchSchema()
        try await connection.execute("CREATE TABLE t (v int); INSERT INTO t VALUES (1)")
        let statement = PostgresStatement(name: "everything", sql: "SELECT * FROM t WHERE v = $1::int")
        for _ in 0..<3 { #expect(try await connection.query(statement, [.int32(1)]).columns == 1) }
        let prepared = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'everything%'"
        #expect(try await connection.query(prepared).one().int64(0) == 1)
        try await connection.execute("ALTER TABLE t ADD w text")
        let error = await #expect(throws: PostgresError.self) { try await connection.query(statement, [.int32(1)]) }
        #expect(error?.sqlState == "0A000")
        #expect(try await connection.query(statement, [.int32(1)]).columns == 2)
    }

    @Test("a COPY sent as a statement closes the connection instead of hanging")
    func strayCopy() async throws {
        let connection = try await Server.connect()
        await #expect(throws: PostgresError.self) { try await connection.execute("COPY (SELECT 1) TO STDOUT") }
        #expect(connection.phase == .closed)
    }

    @Test("a call past its time closes the connection, and the next one says so")
    func timeLimit() async throws {
        let connection = try await Server.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("SELECT pg_sleep(600)", timeout: .milliseconds(30))
        }
        #expect(error?.code == .connectionLost)
        #expect(connection.phase == .closed)
        let next = await #expect(throws: PostgresError.self) { try await connection.query("SELECT 1") }
        #expect(next?.code == .connectionLost)
    }

    @Test("a server process that freezes holds nobody for ever, neither before an answer nor before a large question")
    func frozen() async throws {
        for bytes in [1, 40_000_000] {
            let connection = try await Server.connect()
            let process = try await connection.query("SELECT pg_backend_pid()").one().int32(0)
            kill(process, SIGSTOP)
            defer { kill(process, SIGCONT) }
            let error = await #expect(throws: PostgresError.self) {
                try await connection.query(
                    "SELECT length($1::bytea)", [.bytea([UInt8](repeating: 0, count: bytes))],
                    timeout: .milliseconds(50))
            }
            #expect(error?.code == .connectionLost)
        }
    }

    @Test("a terminated session is a lost connection, with the server's last words")
    func terminated() async throws {
        let (victim, killer) = (try await Server.connect(), try await Server.connect())
        let process = try await victim.query("SELECT pg_backend_pid()").one().int32(0)
        let sleeping = Task { try await victim.query("SELECT pg_sleep(600)") }
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'"
        while try await killer.query(waiting, [.int32(process)]).one().int64(0) == 0 { await Task.yield() }
        _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int32(process)])
        let error = await #expect(throws: PostgresError.self) { try await sleeping.value }
        #expect(error?.code == .connectionLost)
        #expect(error?.sqlState == "57P01")
        #expect(victim.phase == .closed)
        #expect(!victim.isQuiet)
    }

    @Test("a direct connection is not taken for a pooler")
    func noPooler() async throws {
        for _ in 0..<5 { try await Server.configuration().checkForTransactionPooler() }
    }
}

@Suite struct PostgresTransactionTests {
    @Test("commits what returns, rolls back what throws")
    func outcomes() async throws {
        let connection = try await Server.connectToScratchSchema()
        try await connection.execute("CREATE TABLE t (v int)")
        let count = try await connection.transaction { connection throws(PostgresError) in
            try connection.query("INSERT INTO t VALUES (1), (2)").affected
        }
        #expect(count == 2)
        await #expect(throws: PostgresError.self) {
            try await connection.transaction { connection throws(PostgresError) in
                _ = try connection.query("INSERT INTO t VALUES (3)")
                throw PostgresError(.unexpectedResult, "changed my mind")
            }
        }
        #expect(connection.phase == .idle)
        #expect(try await connection.query("SELECT count(*) FROM t").one().int64(0) == 2)
    }

    @Test("a commit that turns out to be a rollback throws")
    func swallowedError() async throws {
        let connection = try await Server.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.transaction { connection throws(PostgresError) in
                do { _ = try connection.query("SELECT 1/0") } catch {}
            }
        }
        #expect(error?.sqlState == "25P02")
        #expect(connection.phase == .idle)
    }

    @Test("a repeatable transaction sees one picture and writes nothing")
    func repeatable() async throws {
        let (reader, writer) = (try await Server.connectToScratchSchema(), try await Server.connect())
        try await reader.execute("CREATE TABLE t (v int)")
        let schema = try await reader.query("SELECT current_schema()").one().text(0)
        try await reader.begin(.repeatableReadOnly)
        #expect(try await reader.query("SELECT count(*) FROM t").one().int64(0) == 0)
        try await writer.execute("INSERT INTO \(schema).t VALUES (1)")
        #expect(try await reader.query("SELECT count(*) FROM t").one().int64(0) == 0)
        let error = await #expect(throws: PostgresError.self) { try await reader.query("INSERT INTO t VALUES (2)") }
        #expect(error?.sqlState == "25006")
        await reader.rollback()
        #expect(try await reader.query("SELECT count(*) FROM t").one().int64(0) == 1)
    }

    @Test(
        "role and claims end with the transaction, whichever way that goes",
        arguments: [nil, "SELECT 1/0", "SELECT pg_sleep(-1), nonsense"])
    func identity(_ breaking: String?) async throws {
        try await TemporaryRole.make("plain_reader")
        let connection = try await Server.connect()
        let who = "SELECT current_user::text, coalesce(current_setting('request.jwt.claims', true), '')"
        let identity = TransactionIdentity(role: "plain_reader", claimsJSON: #"{"sub":"a'b\\"}"#)
        do {
            let seen = try await connection.transaction(as: identity) { connection throws(PostgresError) in
                let row = try connection.query(who).one()
                let seen = [try row.text(0), try row.text(1)]
                if let breaking { _ = try connection.query(breaking) }
                return seen
            }
            #expect(seen == ["plain_reader", #"{"sub":"a'b\\"}"#])
        } catch {
            #expect(breaking != nil)
        }
        let after = try await connection.query(who).one()
        #expect(try after.text(0) == "postgres")
        #expect(try after.text(1) == "")
    }

    @Test("an identity that cannot be taken leaves no transaction behind")
    func unknownRole() async throws {
        let connection = try await Server.connect()
        await #expect(throws: PostgresError.self) {
            try await connection.transaction(as: TransactionIdentity(role: "nobody_at_all", claimsJSON: "{}")) { _ in }
        }
        #expect(connection.phase == .idle)
    }
}

enum TemporaryRole {
    static func make(_ name: String) async throws {
        let connection = try await Server.connect()
        try await connection.execute(
            "DO $$ BEGIN CREATE ROLE \(name); EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$")
    }
}
