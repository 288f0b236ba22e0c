import PostgresClient
import Testing

@Suite struct PostgresValueTests {
    struct Case: Sendable, CustomTestStringConvertible {
        let value: PostgresValue
        let type: String
        let text: String?
        var testDescription: String { "\(type) \(text ?? "NULL")" }
    }

    static let cases = [
        Case(value: .bool(true), type: "bool", text: "true"),
        Case(value: .int16(-32768), type: "int2", text: "-32768"),
        Case(value: .int32(.min), type: "int4", text: "-2147483648"),
        Case(value: .int64(.max), type: "int8", text: "9223372036854775807"),
        Case(value: .text("naïve 🏠\n\\'\""), type: "text", text: "naïve 🏠\n\\'\""),
        Case(value: .text(""), type: "text", text: ""),
        Case(value: .bytea([0, 1, 255]), type: "bytea", text: "\\x0001ff"),
        Case(
            value: .uuid(high: 0x0192_f1a0_1234_7abc, low: 0x8def_0011_2233_4455), type: "uuid",
            text: "0192f1a0-1234-7abc-8def-001122334455"),
        Case(value: .timestamp(microseconds: 0), type: "timestamptz", text: "1970-01-01 00:00:00+00"),
        Case(value: .timestamp(microseconds: -1), type: "timestamptz", text: "1969-12-31 23:59:59.999999+00"),
        Case(
            value: .timestamp(microseconds: 1_772_357_400_000_001), type: "timestamptz",
            text: "2026-03-01 09:30:00.000001+00"),
        Case(value: .date(daysSince1970: 20_513), type: "date", text: "2026-03-01"),
        Case(value: .json(#"{"a": 1}"#), type: "json", text: #"{"a": 1}"#),
        Case(value: .jsonb(#"{"a":1}"#), type: "jsonb", text: #"{"a": 1}"#),
        Case(value: .null, type: "int8", text: nil),
        Case(value: PostgresValue("x" as String?, PostgresValue.text), type: "text", text: "x"),
        Case(value: PostgresValue(nil as String?, PostgresValue.text), type: "text", text: nil),
    ]

    @Test("arrives as what it is", arguments: cases)
    func arrives(_ test: Case) async throws {
        let connection = try await Server.connect()
        let row = try await connection.query("SELECT $1::\(test.type)::text", [test.value]).one()
        #expect(try row.nullableText(0) == test.text)
    }

    @Test("comes back as it went")
    func comesBack() async throws {
        let connection = try await Server.connect()
        let row = try await connection.query(
            "SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9",
            [
                .bool(false), .int32(-7), .int64(1 << 40), .text("ü"), .bytea([9, 0]), .uuid(high: 1, low: 2),
                .timestamp(microseconds: -5), .date(daysSince1970: -10_958), .jsonb(#"["x"]"#),
            ]
        ).one()
        #expect(try row.bool(0) == false)
        #expect(try row.int32(1) == -7)
        #expect(try row.int64(1) == -7)
        #expect(try row.int64(2) == 1 << 40)
        #expect(try row.text(3) == "ü")
        #expect(try row.bytes(4) == [9, 0])
        #expect(try row.uuid(5) == (1, 2))
        #expect(try row.timestamp(6) == -5)
        #expect(try row.date(7) == -10_958)
        #expect(try row.text(8) == #"["x"]"#)
    }

    @Test(
        "refuses a moment the server cannot hold, instead of making it an infinity",
        arguments: [Int64.min, Int64.min + 1])
    func extremes(_ microseconds: Int64) async throws {
        let connection = try await Server.connect()
        let error = await #expect(throws: PostgresError.self) {
            try await connection.query("SELECT $1::timestamptz", [.timestamp(microseconds: microseconds)])
        }
        #expect(error?.sqlState == "22008")
        #expect(error?.isDataError == true)
    }

    @Test("a wrong type, a NULL, a missing column or an infinity throws and does not crash")
    func mismatches() async throws {
        let connection = try await Server.connect()
        let row = try await connection.query("SELECT 1::int8, NULL::text, 'infinity'::timestamptz, 1.5::numeric").one()
        let attempts: [(String, () throws -> Void)] = [
            ("uuid of int8", { _ = try row.uuid(0) }), ("int4 of int8", { _ = try row.int32(0) }),
            ("NULL", { _ = try row.text(1) }), ("infinity", { _ = try row.timestamp(2) }),
            ("numeric", { _ = try row.text(3) }), ("column 4", { _ = try row.text(4) }),
            ("column -1", { _ = try row.isNull(-1) }),
        ]
        for (name, attempt) in attempts {
            let error = #expect(throws: PostgresError.self, "\(name)") { try attempt() }
            #expect(error?.code == .unexpectedResult)
        }
    }
}

@Suite struct PostgresArrayBuilderTests {
    @Test("every kind of element arrives, with NULLs between")
    func everyKind() async throws {
        var arrays = [PostgresArrayBuilder]()
        func array(_ element: PostgresArrayBuilder.Element, _ fill: (inout PostgresArrayBuilder) -> Void) {
            var builder = PostgresArrayBuilder(element)
            fill(&builder)
            builder.appendNull()
            arrays.append(builder)
        }
        array(.bool) { $0.append(bool: true) }
        array(.int2) { $0.append(int16: -2) }
        array(.int4) { $0.append(int32: -3) }
        array(.int8) { $0.append(int64: -4) }
        array(.text) { $0.append(text: "a,\"{b}") }
        array(.bytea) { $0.append(bytea: [1, 0]) }
        array(.uuid) { $0.append(uuidHigh: 0, low: 1) }
        array(.timestamptz) { $0.append(timestamp: 0) }
        array(.date) { $0.append(daysSince1970: 0) }
        array(.json) { $0.append(json: "[1]") }
        array(.jsonb) { $0.append(json: "[2]") }
        let connection = try await Server.connect()
        let types = ["bool", "int2", "int4", "int8", "text", "bytea", "uuid", "timestamptz", "date", "json", "jsonb"]
        let columns = types.enumerated().map { "($\($0 + 1)::\($1)[])[1]::text, ($\($0 + 1)::\($1)[])[2] IS NULL" }
        let row = try await connection.query("SELECT \(columns.joined(separator: ", "))", arrays.map(\.value)).one()
        let texts = [
            "true", "-2", "-3", "-4", "a,\"{b}", "\\x0100", "00000000-0000-0000-0000-000000000001",
            "1970-01-01 00:00:00+00", "1970-01-01", "[1]", "[2]",
        ]
        for (index, text) in texts.enumerated() {
            #expect(try row.text(2 * index) == text, "\(types[index])")
            #expect(try row.bool(2 * index + 1), "\(types[index])")
        }
    }

    @Test("empty, all NULL, optional values, and used again after being emptied")
    func edges() async throws {
        let connection = try await Server.connect()
        var texts = PostgresArrayBuilder(.text)
        func read() async throws -> [String?] {
            let rows = try await connection.query(
                "SELECT u FROM unnest($1::text[]) WITH ORDINALITY x(u, n) ORDER BY n", [texts.value])
            return try rows.map { try $0.nullableText(0) }
        }
        #expect(try await read() == [])
        texts.append(text: nil as String?)
        #expect(try await read() == [nil])
        texts.removeAll()
        texts.append(text: "x" as String?)
        texts.append(text: "")
        #expect(texts.count == 2)
        #expect(try await read() == ["x", ""])
    }

    @Test("a thousand rows of many columns travel in one call, megabytes of them")
    func large() async throws {
        let connection = try await Server.connect()
        var ids = PostgresArrayBuilder(.uuid)
        var bodies = PostgresArrayBuilder(.bytea)
        for index in 0..<1000 {
            ids.append(uuidHigh: UInt64(index), low: 7)
            bodies.append(bytea: [UInt8](repeating: UInt8(index & 0xFF), count: 20_000))
        }
        let row = try await connection.query(
            "SELECT count(DISTINCT id), sum(length(body)) FROM unnest($1::uuid[], $2::bytea[]) AS u(id, body)",
            [ids.value, bodies.value]
        ).one()
        #expect(try row.int64(0) == 1000)
        #expect(try row.int64(1) == 20_000_000)
    }
}
