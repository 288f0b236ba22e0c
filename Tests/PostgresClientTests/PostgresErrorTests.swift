import PostgresClient
import Testing

@Suite struct PostgresErrorTests {
    static let secret = "tenant-secret-4711"

    @Test(
        "shows no values: neither the quoted ones of data errors nor the server's DETAIL",
        arguments: [
            "SELECT $1::text::uuid", "SELECT $1::text::jsonb", "SELECT $1::text::timestamptz",
            "INSERT INTO guarded VALUES ($1::text)", "INSERT INTO guarded VALUES ('short'), (left($1, 0) || 'short')",
        ])
    func hidesValues(_ sql: String) async throws {
        let connection = try await Server.connectToScratchSchema()
        try await connection.execute("CREATE TABLE guarded (v text UNIQUE CONSTRAINT is_short CHECK (length(v) < 10))")
        let error = try #require(
            await #expect(throws: PostgresError.self) { try await connection.query(sql, [.text(Self.secret)]) })
        #expect(error.code == .server)
        #expect(!error.description.contains(Self.secret))
        #expect(!error.description.contains("(v)="))
        #expect(error.description.contains(error.sqlState ?? "none"))
    }

    @Test("knows errors of the data from all others")
    func dataErrors() async throws {
        let connection = try await Server.connectToScratchSchema()
        try await connection.execute(
            """
            CREATE TABLE guarded (id int PRIMARY KEY, v text CONSTRAINT is_short CHECK (length(v) < 10));
            CREATE TABLE parts (at date) PARTITION BY RANGE (at);
            CREATE TABLE keys (v text PRIMARY KEY);
            """)
        let long = String((0..<4000).map { _ in "abcdefghijklmnopqrstuvwxyz0123456789".randomElement()! })
        let table: [(sql: String, value: PostgresValue, state: String, isData: Bool)] = [
            ("SELECT $1::text", .text("a\u{0}b"), "22021", true),
            ("SELECT $1::jsonb", .jsonb("{"), "22P02", true),
            ("SELECT $1::jsonb", .jsonb(#""\u0000""#), "22P05", true),
            ("INSERT INTO guarded VALUES (1, $1)", .text("0123456789"), "23514", true),
            ("INSERT INTO keys VALUES ($1)", .text(long), "54000", true),
            ("INSERT INTO parts VALUES ($1)", .date(daysSince1970: 0), "23514", false),
            ("INSERT INTO guarded VALUES (1, $1), (1, '')", .text(""), "23505", false),
            ("INSERT INTO nowhere VALUES ($1)", .text(""), "42P01", false),
        ]
        for (sql, value, state, isData) in table {
            let error = try #require(
                await #expect(throws: PostgresError.self) { try await connection.query(sql, [value]) })
            #expect(error.sqlState == state, "\(sql)")
            #expect(error.isDataError == isData, "\(sql)")
            #expect(error.metricLabel == "sqlstate_class_\(state.prefix(2))")
        }
    }

    @Test("says that no server is there, without the password")
    func noServer() async throws {
        let configuration = PostgresConfiguration(
            "postgresql://somebody:\(Self.secret)@127.0.0.1:1/nowhere", connectTimeoutSeconds: 2)
        let error = try #require(
            await #expect(throws: PostgresError.self) { try await PostgresConnection.connect(configuration) })
        #expect(error.code == .connectFailed)
        #expect(!error.description.contains(Self.secret))
        #expect(!error.description.contains("\n"))
    }
}
