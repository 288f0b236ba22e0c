import PostgresClient
import Testing

@Suite struct PostgresCopyTests {
    @Test(
        "hands over every row, in order, in pieces of the size asked for", arguments: [0, 1, 999, 1000, 1001, 50_000])
    func everyRow(_ count: Int) async throws {
        let connection = try await Server.connect()
        try await connection.startCopy(
            """
            COPY (SELECT n::int8, repeat('x', n % 7), CASE WHEN n % 2 = 0 THEN n::int4 END
                    FROM generate_series(1, \(count)) n) TO STDOUT (FORMAT binary)
            """
        )
        var next: Int64 = 1
        while true {
            let rows = try await connection.readCopy(atMost: 1000) { row throws(PostgresError) in
                (try row.int64(0), try row.text(1), try row.nullableInt64(2))
            }
            if rows.isEmpty { break }
            #expect(rows.count <= 1000)
            for (number, text, even) in rows {
                #expect(number == next && text.utf8.count == Int(next % 7) && even == (next % 2 == 0 ? next : nil))
                next += 1
            }
        }
        #expect(next == Int64(count) + 1)
        #expect(connection.phase == .idle)
        #expect(try await connection.query("SELECT 1").count == 1)
    }

    @Test("reads every type the routing feed has, and refuses a length that does not fit")
    func types() async throws {
        let connection = try await Server.connect()
        let sql = """
            COPY (SELECT '00000000-0000-0001-0000-000000000002'::uuid, '2026-03-01'::date, true,
                         '1970-01-01 00:00:01Z'::timestamptz, NULL::uuid, NULL::date) TO STDOUT (FORMAT binary)
            """
        try await connection.startCopy(sql)
        let rows = try await connection.readCopy(atMost: 10) { row throws(PostgresError) -> Bool in
            let (id, day, flag, moment) = (
                try row.uuid(0), try row.nullableDate(1), try row.bool(2), try row.timestamp(3)
            )
            let (noID, noDay) = (try row.nullableUUID(4), try row.nullableDate(5))
            return id == (1, 2) && day == 20_513 && flag && moment == 1_000_000 && noID == nil && noDay == nil
        }
        #expect(rows == [true])
        try await connection.startCopy(sql)
        let error = await #expect(throws: PostgresError.self) {
            _ = try await connection.readCopy(atMost: 10) { row throws(PostgresError) in try row.int64(0) }
        }
        #expect(error?.code == .unexpectedResult)
        #expect(connection.phase == .closed)
    }

    @Test("an error at the start leaves the connection usable; one in the middle is the COPY's")
    func errors() async throws {
        let connection = try await Server.connect()
        let missing = await #expect(throws: PostgresError.self) {
            try await connection.startCopy("COPY (SELECT * FROM nowhere) TO STDOUT (FORMAT binary)")
        }
        #expect(missing?.sqlState == "42P01")
        #expect(connection.phase == .idle)
        try await connection.startCopy(
            "COPY (SELECT 1 / (1000 - n) FROM generate_series(1, 2000) n) TO STDOUT (FORMAT binary)")
        let broken = await #expect(throws: PostgresError.self) {
            while try await connection.readCopy(atMost: 100, { row throws(PostgresError) in try row.int64(0) }).isEmpty
                == false
            {}
        }
        #expect(broken?.sqlState == "22012")
    }
}

@Suite struct PostgresNotificationTests {
    @Test("wakes whoever waits, with channel and payload")
    func wakes() async throws {
        let (listener, speaker) = (try await Server.connect(), try await Server.connect())
        try await listener.listen("test_wakes")
        let waiting = Task { try await listener.waitForNotification(timeout: .seconds(60)) }
        _ = try await speaker.query("SELECT pg_notify('test_wakes', 'hello')")
        let heard = try #require(await waiting.value)
        #expect(heard.channel == "test_wakes" && heard.payload == "hello")
    }

    @Test("returns nothing when the time is over, or the task is cancelled, and can wait again")
    func returnsNothing() async throws {
        let (listener, speaker) = (try await Server.connect(), try await Server.connect())
        try await listener.listen("test_nothing")
        #expect(try await listener.waitForNotification(timeout: .milliseconds(1)) == nil)
        let waiting = Task { try await listener.waitForNotification(timeout: .seconds(600)) }
        waiting.cancel()
        #expect(try await waiting.value == nil)
        _ = try await speaker.query("SELECT pg_notify('test_nothing', '')")
        var heard: PostgresNotification?
        while heard == nil { heard = try await listener.waitForNotification(timeout: .seconds(60)) }
        #expect(heard?.channel == "test_nothing")
    }

    @Test("a listener whose session ends learns of it")
    func learnsOfTheEnd() async throws {
        let (listener, killer) = (try await Server.connect(), try await Server.connect())
        let process = try await listener.query("SELECT pg_backend_pid()").one().int32(0)
        let waiting = Task { try await listener.waitForNotification(timeout: .seconds(600)) }
        _ = try await killer.query("SELECT pg_terminate_backend($1)", [.int32(process)])
        let error = await #expect(throws: PostgresError.self) { try await waiting.value }
        #expect(error?.code == .connectionLost)
    }
}
