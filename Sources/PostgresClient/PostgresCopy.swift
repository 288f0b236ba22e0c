import CPostgres
import Glibc

/// One row of a binary COPY. Its values point into libpq's buffer, and must not outlive the closure they are given to.
///
/// The format names no types: whoever reads must know them. A length that does not fit throws.
package struct PostgresCopyRow {
    fileprivate let base: UnsafeRawPointer
    fileprivate let offsets: UnsafePointer<Int32>
    fileprivate let lengths: UnsafePointer<Int32>
    package let columns: Int

    /// The bytes of a value, `nil` for NULL.
    package func bytes(_ column: Int) -> UnsafeRawBufferPointer? {
        precondition(column >= 0 && column < columns, "column \(column) of \(columns)")
        let length = Int(lengths[column])
        return length < 0 ? nil : UnsafeRawBufferPointer(start: base + Int(offsets[column]), count: length)
    }

    private func value<Value>(_ column: Int, _ decode: (PostgresField) -> Value?) throws(PostgresError) -> Value? {
        guard let bytes = bytes(column) else { return nil }
        guard let value = decode(PostgresField(bytes: bytes)) else {
            throw PostgresError(
                .unexpectedResult, "column \(column) of a COPY has a value of \(bytes.count) bytes that does not fit")
        }
        return value
    }

    private func some<Value>(_ value: Value?, _ column: Int) throws(PostgresError) -> Value {
        guard let value else { throw PostgresError(.unexpectedResult, "column \(column) of a COPY is NULL") }
        return value
    }

    package func nullableUUID(_ column: Int) throws(PostgresError) -> (high: UInt64, low: UInt64)? {
        try value(column) { $0.uuid }
    }

    package func nullableInt64(_ column: Int) throws(PostgresError) -> Int64? { try value(column) { $0.anyInteger } }
    package func nullableText(_ column: Int) throws(PostgresError) -> String? { try value(column) { $0.text } }
    package func nullableBool(_ column: Int) throws(PostgresError) -> Bool? { try value(column) { $0.bool } }
    package func nullableTimestamp(_ column: Int) throws(PostgresError) -> Int64? { try value(column) { $0.timestamp } }
    package func nullableDate(_ column: Int) throws(PostgresError) -> Int32? { try value(column) { $0.date } }

    package func uuid(_ column: Int) throws(PostgresError) -> (high: UInt64, low: UInt64) {
        try some(nullableUUID(column), column)
    }

    package func int64(_ column: Int) throws(PostgresError) -> Int64 { try some(nullableInt64(column), column) }
    package func text(_ column: Int) throws(PostgresError) -> String { try some(nullableText(column), column) }
    package func bool(_ column: Int) throws(PostgresError) -> Bool { try some(nullableBool(column), column) }
    package func timestamp(_ column: Int) throws(PostgresError) -> Int64 { try some(nullableTimestamp(column), column) }
}

extension PostgresConnection {
    /// Begins `COPY (…) TO STDOUT (FORMAT binary)`. Then `readCopy` is called until it returns nothing; until then
    /// the connection takes no other call.
    package func startCopy(_ sql: String, timeout: Duration? = nil) throws(PostgresError) {
        let deadline = deadline(timeout)
        let pointer = try usable()
        guard PQsendQuery(pointer, sql) == 1 else { throw lost(pointer) }
        try flush(pointer, deadline)
        guard let result = try nextResult(pointer, deadline) else { throw lost(pointer) }
        guard PQresultStatus(result.result) == PGRES_COPY_OUT, PQbinaryTuples(result.result) == 1 else {
            let failure = refusal(result, pointer)
            try endCopy(pointer, deadline)
            throw failure
        }
        setCopying(true)
        notePhase()
    }

    /// Up to `limit` rows, decoded; empty at the end. When anything throws, the connection is closed: a COPY cannot be
    /// left half read.
    package func readCopy<Element: Sendable>(
        atMost limit: Int, timeout: Duration? = nil,
        _ decode: @Sendable (PostgresCopyRow) throws(PostgresError) -> Element
    ) throws(PostgresError) -> [Element] {
        guard isCopying else { return [] }
        guard let pointer else { throw PostgresError(.connectionLost, "the connection to PostgreSQL is closed") }
        let deadline = deadline(timeout)
        var elements: [Element] = []
        elements.reserveCapacity(limit)
        do {
            var fields = CopyFields()
            while elements.count < limit, let message = try nextCopyMessage(pointer, deadline) {
                defer { PQfreemem(message.baseAddress) }
                try fields.forEachRow(in: UnsafeRawBufferPointer(message)) { row throws(PostgresError) in
                    elements.append(try decode(row))
                }
            }
            if elements.count < limit {
                setCopying(false)
                try endCopy(pointer, deadline)
            }
        } catch {
            setCopying(false)
            close()
            throw error
        }
        return elements
    }

    /// One message of the stream, to be freed with `PQfreemem`; `nil` at the end.
    private func nextCopyMessage(
        _ pointer: OpaquePointer, _ deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> UnsafeMutableRawBufferPointer? {
        while true {
            var buffer: UnsafeMutablePointer<CChar>?
            let length = PQgetCopyData(pointer, &buffer, 1)
            if length > 0, let buffer { return UnsafeMutableRawBufferPointer(start: buffer, count: Int(length)) }
            if length == -1 { return nil }
            if length == -2 { throw lost(pointer) }
            _ = try wait(pointer, Int16(POLLIN), deadline)
            if PQconsumeInput(pointer) == 0 { throw lost(pointer) }
        }
    }

    /// Takes the results that follow the data; an error among them is the COPY's.
    private func endCopy(_ pointer: OpaquePointer, _ deadline: ContinuousClock.Instant) throws(PostgresError) {
        defer { notePhase() }
        var failure: PostgresError?
        while let result = try nextResult(pointer, deadline) {
            guard PQresultStatus(result.result) != PGRES_COMMAND_OK else { continue }
            failure = failure ?? refusal(result, pointer)
            if PQstatus(pointer) != CONNECTION_OK { break }
        }
        if let failure { throw failure }
    }
}

/// Reads the frames of PostgreSQL's binary COPY: a header, rows of length-prefixed fields, a trailer of -1.
private struct CopyFields {
    /// Room for the positions of one row's fields; grown once.
    private var offsets: [Int32] = []
    private var lengths: [Int32] = []

    private static let signature: [UInt8] = [0x50, 0x47, 0x43, 0x4F, 0x50, 0x59, 0x0A, 0xFF, 0x0D, 0x0A, 0x00]

    /// A message holds whole rows; the first holds the header, too.
    mutating func forEachRow(
        in message: UnsafeRawBufferPointer, _ body: (PostgresCopyRow) throws(PostgresError) -> Void
    ) throws(PostgresError) {
        var position = 0
        if message.count >= 19, message.prefix(11).elementsEqual(Self.signature) {
            position = 19 + Int(try Self.integer(Int32.self, message, 15))
        }
        while position < message.count {
            let columns = Int(try Self.integer(Int16.self, message, position))
            position += 2
            if columns < 0 { return }
            while offsets.count < columns {
                offsets.append(0)
                lengths.append(0)
            }
            for column in 0..<columns {
                let length = try Self.integer(Int32.self, message, position)
                position += 4
                offsets[column] = Int32(position)
                lengths[column] = length
                position += Int(max(length, 0))
            }
            guard position <= message.count, let base = message.baseAddress else { throw Self.broken }
            try offsets.withUnsafeBufferPointer { offsets throws(PostgresError) in
                try lengths.withUnsafeBufferPointer { lengths throws(PostgresError) in
                    guard let first = offsets.baseAddress, let second = lengths.baseAddress else { return }
                    try body(PostgresCopyRow(base: base, offsets: first, lengths: second, columns: columns))
                }
            }
        }
    }

    private static var broken: PostgresError { PostgresError(.unexpectedResult, "a broken row in a COPY") }

    private static func integer<Value: FixedWidthInteger>(
        _: Value.Type, _ message: UnsafeRawBufferPointer, _ offset: Int
    ) throws(PostgresError) -> Value {
        guard offset >= 0, offset + MemoryLayout<Value>.size <= message.count else { throw broken }
        return Value(bigEndian: message.loadUnaligned(fromByteOffset: offset, as: Value.self))
    }
}
