import CPostgres

/// What a statement returned. Columns are numbered from 0.
package struct PostgresRows: Sendable {
    private let storage: ResultStorage

    init(_ storage: ResultStorage) { self.storage = storage }

    /// How many rows an INSERT, UPDATE or DELETE touched, or a SELECT returned.
    package var affected: Int {
        Int(String(cString: PQcmdTuples(storage.result))) ?? 0
    }

    package var columns: Int { Int(PQnfields(storage.result)) }

    /// What the server calls the command it ran, such as `COMMIT` or `INSERT 0 1`.
    var commandTag: String { String(cString: PQcmdStatus(storage.result)) }

    /// The only row.
    package func one() throws(PostgresError) -> PostgresRow {
        guard count == 1 else { throw PostgresError(.unexpectedResult, "\(count) rows where one was expected") }
        return self[0]
    }
}

extension PostgresRows: RandomAccessCollection {
    package var startIndex: Int { 0 }
    package var endIndex: Int { Int(PQntuples(storage.result)) }

    package subscript(index: Int) -> PostgresRow {
        precondition(indices.contains(index), "row \(index) of \(count)")
        return PostgresRow(storage: storage, row: Int32(index))
    }
}

/// A result of libpq's, cleared once. It is never changed after it was made, so any thread may read it.
final class ResultStorage: @unchecked Sendable {
    let result: OpaquePointer

    init(_ result: OpaquePointer) { self.result = result }
    deinit { PQclear(result) }
}

/// One row. A value is asked for by column and type; the wrong type, an unexpected NULL or a column that is not there
/// throws `PostgresError.Code.unexpectedResult`.
package struct PostgresRow: Sendable {
    fileprivate let storage: ResultStorage
    fileprivate let row: Int32

    package func isNull(_ column: Int) throws(PostgresError) -> Bool {
        try check(column)
        return PQgetisnull(storage.result, row, Int32(column)) != 0
    }

    package func bool(_ column: Int) throws(PostgresError) -> Bool { try some(nullableBool(column), column) }
    package func int32(_ column: Int) throws(PostgresError) -> Int32 { try some(nullableInt32(column), column) }
    /// Also of an `int4` or `int2`.
    package func int64(_ column: Int) throws(PostgresError) -> Int64 { try some(nullableInt64(column), column) }
    /// Also of `varchar`, `char`, `name`, `json` and `jsonb`.
    package func text(_ column: Int) throws(PostgresError) -> String { try some(nullableText(column), column) }
    package func bytes(_ column: Int) throws(PostgresError) -> [UInt8] { try some(nullableBytes(column), column) }
    /// Of a `timestamptz`: microseconds since 1970. An infinity throws.
    package func timestamp(_ column: Int) throws(PostgresError) -> Int64 { try some(nullableTimestamp(column), column) }
    /// Of a `date`: days since 1970. An infinity throws.
    package func date(_ column: Int) throws(PostgresError) -> Int32 { try some(nullableDate(column), column) }

    package func uuid(_ column: Int) throws(PostgresError) -> (high: UInt64, low: UInt64) {
        try some(nullableUUID(column), column)
    }

    package func nullableBool(_ column: Int) throws(PostgresError) -> Bool? {
        try value(column, "bool", [PostgresType.bool]) { $0.bool }
    }

    package func nullableInt32(_ column: Int) throws(PostgresError) -> Int32? {
        try value(column, "int4", [PostgresType.int4, PostgresType.int2]) { $0.anyInteger.map(Int32.init(clamping:)) }
    }

    package func nullableInt64(_ column: Int) throws(PostgresError) -> Int64? {
        try value(column, "int8", [PostgresType.int8, PostgresType.int4, PostgresType.int2]) { $0.anyInteger }
    }

    package func nullableText(_ column: Int) throws(PostgresError) -> String? {
        if try type(column) == PostgresType.jsonb {
            return try value(column, "jsonb", [PostgresType.jsonb]) { $0.jsonb }
        }
        return try value(column, "text", Self.textTypes) { $0.text }
    }

    package func nullableBytes(_ column: Int) throws(PostgresError) -> [UInt8]? {
        try value(column, "bytea", [PostgresType.bytea]) { $0.bytes.map { [UInt8]($0) } }
    }

    package func nullableUUID(_ column: Int) throws(PostgresError) -> (high: UInt64, low: UInt64)? {
        try value(column, "uuid", [PostgresType.uuid]) { $0.uuid }
    }

    package func nullableTimestamp(_ column: Int) throws(PostgresError) -> Int64? {
        try value(column, "timestamptz", [PostgresType.timestamptz]) { $0.timestamp }
    }

    package func nullableDate(_ column: Int) throws(PostgresError) -> Int32? {
        try value(column, "date", [PostgresType.date]) { $0.date }
    }

    private static let textTypes = [
        PostgresType.text, PostgresType.varchar, PostgresType.bpchar, PostgresType.name, PostgresType.char,
        PostgresType.json,
    ]

    private func check(_ column: Int) throws(PostgresError) {
        let columns = PQnfields(storage.result)
        guard (0..<Int(columns)).contains(column) else {
            throw PostgresError(.unexpectedResult, "column \(column) of a result with \(columns)")
        }
    }

    private func type(_ column: Int) throws(PostgresError) -> UInt32 {
        try check(column)
        return PQftype(storage.result, Int32(column))
    }

    /// The field's bytes are read while the result is held.
    private func value<Value>(
        _ column: Int, _ name: String, _ types: [UInt32], _ decode: (PostgresField) -> Value?
    ) throws(PostgresError) -> Value? {
        let found = try type(column)
        guard types.contains(found) else {
            throw PostgresError(.unexpectedResult, "column \(column) is of type \(found), not \(name)")
        }
        guard PQfformat(storage.result, Int32(column)) == 1 else {
            throw PostgresError(.unexpectedResult, "column \(column) came as text")
        }
        guard PQgetisnull(storage.result, row, Int32(column)) == 0 else { return nil }
        defer { withExtendedLifetime(storage) {} }
        let bytes = UnsafeRawBufferPointer(
            start: PQgetvalue(storage.result, row, Int32(column)),
            count: Int(PQgetlength(storage.result, row, Int32(column))))
        guard let value = decode(PostgresField(bytes: bytes)) else {
            throw PostgresError(.unexpectedResult, "column \(column) holds no finite \(name)")
        }
        return value
    }

    private func some<Value>(_ value: Value?, _ column: Int) throws(PostgresError) -> Value {
        guard let value else { throw PostgresError(.unexpectedResult, "column \(column) is NULL") }
        return value
    }
}
