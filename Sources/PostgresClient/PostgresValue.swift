/// A value on its way into a statement. It travels in PostgreSQL's binary format.
package enum PostgresValue: Sendable {
    case null
    case bool(Bool)
    case int16(Int16)
    case int32(Int32)
    case int64(Int64)
    case text(String)
    case bytea([UInt8])
    /// The two halves, big-endian.
    case uuid(high: UInt64, low: UInt64)
    /// A `timestamptz`: microseconds since 1970-01-01 00:00 UTC.
    case timestamp(microseconds: Int64)
    case date(daysSince1970: Int32)
    /// JSON text; the server checks it (SQLSTATE 22P02, 22P05).
    case json(String)
    case jsonb(String)
    case array(PostgresArrayBuilder)

    /// `value` or NULL.
    package init<Wrapped>(_ value: Wrapped?, _ make: (Wrapped) -> PostgresValue) {
        self = value.map(make) ?? .null
    }

    /// The type's object id; 0 leaves it to the server.
    var type: UInt32 {
        switch self {
        case .null: 0
        case .bool: PostgresType.bool
        case .int16: PostgresType.int2
        case .int32: PostgresType.int4
        case .int64: PostgresType.int8
        case .text: PostgresType.text
        case .bytea: PostgresType.bytea
        case .uuid: PostgresType.uuid
        case .timestamp: PostgresType.timestamptz
        case .date: PostgresType.date
        case .json: PostgresType.json
        case .jsonb: PostgresType.jsonb
        case .array(let array): array.element.arrayType
        }
    }

    /// - Returns: `false` for NULL, and nothing appended.
    func append(to bytes: inout [UInt8]) -> Bool {
        switch self {
        case .null: return false
        case .bool(let value): bytes.append(value ? 1 : 0)
        case .int16(let value): bytes.append(bigEndian: value)
        case .int32(let value): bytes.append(bigEndian: value)
        case .int64(let value): bytes.append(bigEndian: value)
        case .text(let value), .json(let value): bytes.append(contentsOf: value.utf8)
        case .jsonb(let value):
            bytes.append(PostgresType.jsonbVersion)
            bytes.append(contentsOf: value.utf8)
        case .bytea(let value): bytes.append(contentsOf: value)
        case .uuid(let high, let low):
            bytes.append(bigEndian: high)
            bytes.append(bigEndian: low)
        case .timestamp(let microseconds): bytes.append(bigEndian: PostgresEpoch.timestamp(microseconds))
        case .date(let days): bytes.append(bigEndian: PostgresEpoch.date(days))
        case .array(let array): array.append(to: &bytes)
        }
        return true
    }
}

/// Object ids of the built-in types; they are the same in every database.
enum PostgresType {
    static let bool: UInt32 = 16
    static let bytea: UInt32 = 17
    static let char: UInt32 = 18
    static let name: UInt32 = 19
    static let int8: UInt32 = 20
    static let int2: UInt32 = 21
    static let int4: UInt32 = 23
    static let text: UInt32 = 25
    static let json: UInt32 = 114
    static let bpchar: UInt32 = 1042
    static let varchar: UInt32 = 1043
    static let date: UInt32 = 1082
    static let timestamptz: UInt32 = 1184
    static let uuid: UInt32 = 2950
    static let jsonb: UInt32 = 3802

    /// The byte that precedes a `jsonb` in binary format.
    static let jsonbVersion: UInt8 = 1
}

/// PostgreSQL counts from 2000-01-01. What leaves the range of its integers becomes a value the server refuses
/// (SQLSTATE 22008), not an infinity.
enum PostgresEpoch {
    private static let microseconds: Int64 = 946_684_800_000_000
    private static let days: Int32 = 10_957

    static func timestamp(_ since1970: Int64) -> Int64 {
        let (value, overflow) = since1970.subtractingReportingOverflow(microseconds)
        return overflow ? .min + 1 : value
    }

    static func date(_ since1970: Int32) -> Int32 {
        let (value, overflow) = since1970.subtractingReportingOverflow(days)
        return overflow ? .min + 1 : value
    }

    /// `nil` for an infinity.
    static func microsecondsSince1970(_ value: Int64) -> Int64? {
        guard value != .min, value != .max else { return nil }
        let (sum, overflow) = value.addingReportingOverflow(microseconds)
        return overflow ? nil : sum
    }

    /// `nil` for an infinity.
    static func daysSince1970(_ value: Int32) -> Int32? {
        guard value != .min, value != .max else { return nil }
        let (sum, overflow) = value.addingReportingOverflow(days)
        return overflow ? nil : sum
    }
}

extension [UInt8] {
    mutating func append(bigEndian value: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: value.bigEndian) { append(contentsOf: $0) }
    }
}
