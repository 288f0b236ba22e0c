/// A one-dimensional array for a statement, built element by element straight into the bytes that travel.
///
/// Appending allocates nothing but the growth of one buffer. A precondition holds the elements to the type.
package struct PostgresArrayBuilder: Sendable {
    package enum Element: Sendable, Hashable {
        case bool, int2, int4, int8, text, bytea, uuid, timestamptz, date, json, jsonb

        var type: UInt32 {
            switch self {
            case .bool: PostgresType.bool
            case .int2: PostgresType.int2
            case .int4: PostgresType.int4
            case .int8: PostgresType.int8
            case .text: PostgresType.text
            case .bytea: PostgresType.bytea
            case .uuid: PostgresType.uuid
            case .timestamptz: PostgresType.timestamptz
            case .date: PostgresType.date
            case .json: PostgresType.json
            case .jsonb: PostgresType.jsonb
            }
        }

        var arrayType: UInt32 {
            switch self {
            case .bool: 1000
            case .int2: 1005
            case .int4: 1007
            case .int8: 1016
            case .text: 1009
            case .bytea: 1001
            case .uuid: 2951
            case .timestamptz: 1185
            case .date: 1182
            case .json: 199
            case .jsonb: 3807
            }
        }
    }

    package let element: Element
    package private(set) var count = 0
    private var hasNulls = false
    private var body: [UInt8] = []

    /// - Parameter bytes: how much room to make at once, lengths of elements (4 bytes each) included.
    package init(_ element: Element, reservingBytes bytes: Int = 0) {
        self.element = element
        if bytes > 0 { body.reserveCapacity(bytes) }
    }

    /// The array as a statement's parameter.
    package var value: PostgresValue { .array(self) }

    /// Empties it; the buffer stays for the next batch.
    package mutating func removeAll() {
        body.removeAll(keepingCapacity: true)
        count = 0
        hasNulls = false
    }

    package mutating func appendNull() {
        count += 1
        hasNulls = true
        body.append(bigEndian: Int32(-1))
    }

    package mutating func append(bool value: Bool) {
        begin(.bool, length: 1)
        body.append(value ? 1 : 0)
    }

    package mutating func append(int16 value: Int16) {
        begin(.int2, length: 2)
        body.append(bigEndian: value)
    }

    package mutating func append(int32 value: Int32) {
        begin(.int4, length: 4)
        body.append(bigEndian: value)
    }

    package mutating func append(int64 value: Int64) {
        begin(.int8, length: 8)
        body.append(bigEndian: value)
    }

    package mutating func append(uuidHigh high: UInt64, low: UInt64) {
        begin(.uuid, length: 16)
        body.append(bigEndian: high)
        body.append(bigEndian: low)
    }

    /// A `timestamptz`, in microseconds since 1970.
    package mutating func append(timestamp microseconds: Int64) {
        begin(.timestamptz, length: 8)
        body.append(bigEndian: PostgresEpoch.timestamp(microseconds))
    }

    package mutating func append(daysSince1970 days: Int32) {
        begin(.date, length: 4)
        body.append(bigEndian: PostgresEpoch.date(days))
    }

    package mutating func append(text value: String) {
        let utf8 = value.utf8
        begin(.text, length: utf8.count)
        body.append(contentsOf: utf8)
    }

    package mutating func append(bytea value: [UInt8]) {
        begin(.bytea, length: value.count)
        body.append(contentsOf: value)
    }

    /// JSON text, for `json` and `jsonb`.
    package mutating func append(json value: String) {
        let utf8 = value.utf8
        if element == .jsonb {
            begin(.jsonb, length: utf8.count + 1)
            body.append(PostgresType.jsonbVersion)
        } else {
            begin(.json, length: utf8.count)
        }
        body.append(contentsOf: utf8)
    }

    private mutating func begin(_ given: Element, length: Int) {
        precondition(given == element, "an array of \(element) takes no \(given)")
        count += 1
        body.append(bigEndian: Int32(length))
    }

    /// Dimensions, whether there are NULLs, the element's type; for each dimension its length and first index; then
    /// the elements.
    func append(to bytes: inout [UInt8]) {
        bytes.append(bigEndian: Int32(count == 0 ? 0 : 1))
        bytes.append(bigEndian: Int32(hasNulls ? 1 : 0))
        bytes.append(bigEndian: element.type)
        guard count > 0 else { return }
        bytes.append(bigEndian: Int32(count))
        bytes.append(bigEndian: Int32(1))
        bytes.append(contentsOf: body)
    }
}

extension PostgresArrayBuilder {
    package mutating func append(uuid value: (high: UInt64, low: UInt64)?) {
        if let value { append(uuidHigh: value.high, low: value.low) } else { appendNull() }
    }

    package mutating func append(text value: String?) {
        if let value { append(text: value) } else { appendNull() }
    }

    package mutating func append(bytea value: [UInt8]?) {
        if let value { append(bytea: value) } else { appendNull() }
    }

    package mutating func append(json value: String?) {
        if let value { append(json: value) } else { appendNull() }
    }

    package mutating func append(int16 value: Int16?) {
        if let value { append(int16: value) } else { appendNull() }
    }

    package mutating func append(int32 value: Int32?) {
        if let value { append(int32: value) } else { appendNull() }
    }

    package mutating func append(int64 value: Int64?) {
        if let value { append(int64: value) } else { appendNull() }
    }

    package mutating func append(timestamp microseconds: Int64?) {
        if let microseconds { append(timestamp: microseconds) } else { appendNull() }
    }
}
