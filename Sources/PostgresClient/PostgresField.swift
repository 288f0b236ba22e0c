/// The bytes of one value in binary format, `nil` for NULL. They belong to the result or buffer they point into.
struct PostgresField {
    let bytes: UnsafeRawBufferPointer?

    func integer<Value: FixedWidthInteger>(as _: Value.Type) -> Value? {
        guard let bytes, bytes.count == MemoryLayout<Value>.size else { return nil }
        return Value(bigEndian: bytes.loadUnaligned(as: Value.self))
    }

    /// An `int2`, `int4` or `int8`, by its length.
    var anyInteger: Int64? {
        switch bytes?.count {
        case 8: integer(as: Int64.self)
        case 4: integer(as: Int32.self).map(Int64.init)
        case 2: integer(as: Int16.self).map(Int64.init)
        default: nil
        }
    }

    var bool: Bool? { integer(as: UInt8.self).map { $0 != 0 } }

    var uuid: (high: UInt64, low: UInt64)? {
        guard let bytes, bytes.count == 16 else { return nil }
        return (
            UInt64(bigEndian: bytes.loadUnaligned(as: UInt64.self)),
            UInt64(bigEndian: bytes.loadUnaligned(fromByteOffset: 8, as: UInt64.self))
        )
    }

    var timestamp: Int64? { integer(as: Int64.self).flatMap(PostgresEpoch.microsecondsSince1970) }
    var date: Int32? { integer(as: Int32.self).flatMap(PostgresEpoch.daysSince1970) }
    var text: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }

    /// Without the version byte; `nil` if that is not one we know.
    var jsonb: String? {
        guard let bytes, bytes.first == PostgresType.jsonbVersion else { return nil }
        return String(decoding: UnsafeRawBufferPointer(rebasing: bytes.dropFirst()), as: UTF8.self)
    }
}
