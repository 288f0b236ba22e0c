/// A 128-bit identifier as RFC 9562 defines it; the key of every row of ours and of the landlord application.
///
/// New ones are version 7: the first 48 bits are milliseconds since 1970, so that rows made one after
/// the other lie beside each other in an index. Ids that come from elsewhere may be of any version.
@frozen
public struct UniqueID: Hashable, Sendable {
    /// The first eight bytes, big-endian.
    public let high: UInt64
    /// The last eight bytes, big-endian.
    public let low: UInt64

    @inlinable
    public init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// A version 7 id.
    /// - Parameters:
    ///   - moment: its time; the 48 bits hold it until the year 10889.
    ///   - random: 74 of these 128 bits are used.
    public init(at moment: Timestamp, random: (UInt64, UInt64)) {
        let milliseconds = UInt64(max(0, moment.microseconds / 1000)) & 0xFFFF_FFFF_FFFF
        self.high = milliseconds << 16 | 0x7000 | (random.0 & 0x0FFF)
        self.low = 0x8000_0000_0000_0000 | (random.1 & 0x3FFF_FFFF_FFFF_FFFF)
    }

    /// A version 7 id from a generator, `SystemRandomNumberGenerator` in the product, a seeded one in tests.
    public static func make(
        at moment: Timestamp, using generator: inout some RandomNumberGenerator
    ) -> UniqueID {
        UniqueID(at: moment, random: (generator.next(), generator.next()))
    }

    /// A version 7 id that comes so many after this one; into the next millisecond, if need be.
    func successor(by step: UInt64) -> UniqueID {
        let random = low & 0x3FFF_FFFF_FFFF_FFFF + (step & 0x3FFF_FFFF_FFFF_FFFF)
        let upper = (high >> 16) << 12 | (high & 0x0FFF) + random >> 62
        return UniqueID(
            high: (upper >> 12) << 16 | 0x7000 | (upper & 0x0FFF),
            low: 0x8000_0000_0000_0000 | (random & 0x3FFF_FFFF_FFFF_FFFF))
    }

    /// Sixteen bytes in network order, as PostgreSQL's binary format has them.
    public var bytes: [UInt8] {
        var out = [UInt8]()
        out.reserveCapacity(16)
        for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: high >> shift)) }
        for shift in stride(from: 56, through: 0, by: -8) { out.append(UInt8(truncatingIfNeeded: low >> shift)) }
        return out
    }

    /// From sixteen bytes in network order; `nil` for any other count.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, byte) in bytes.enumerated() {
            if index < 8 { high = high << 8 | UInt64(byte) } else { low = low << 8 | UInt64(byte) }
        }
        self.init(high: high, low: low)
    }
}

extension UniqueID: Comparable {
    @inlinable
    public static func < (a: UniqueID, b: UniqueID) -> Bool {
        a.high != b.high ? a.high < b.high : a.low < b.low
    }
}

extension UniqueID: LosslessStringConvertible {
    /// The 36-character form `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`, lower case.
    public var description: String {
        String(unsafeUninitializedCapacity: 36) { out in
            var position = 0
            for index in 0..<16 {
                if index == 4 || index == 6 || index == 8 || index == 10 {
                    out[position] = UInt8(ascii: "-")
                    position += 1
                }
                let word = index < 8 ? high : low
                let byte = UInt8(truncatingIfNeeded: word >> UInt64(56 - 8 * (index & 7)))
                out[position] = Self.digit(byte >> 4)
                out[position + 1] = Self.digit(byte & 15)
                position += 2
            }
            return 36
        }
    }

    private static func digit(_ nibble: UInt8) -> UInt8 {
        nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }

    /// Accepts the 36-character form in either case, nothing else.
    public init?(_ text: some StringProtocol) {
        var text = String(text)
        guard let id = text.withUTF8({ Self(characters: $0) }) else { return nil }
        self = id
    }

    public init?(_ description: String) {
        self.init(description[...])
    }

    /// The same from bytes: concrete, for what is read millions of times.
    public init?(characters: UnsafeBufferPointer<UInt8>) {
        guard characters.count == 36 else { return nil }
        var high: UInt64 = 0
        var low: UInt64 = 0
        for (index, unit) in characters.enumerated() {
            if index == 8 || index == 13 || index == 18 || index == 23 {
                guard unit == UInt8(ascii: "-") else { return nil }
                continue
            }
            let nibble: UInt64
            switch unit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): nibble = UInt64(unit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): nibble = UInt64(unit - UInt8(ascii: "a") + 10)
            case UInt8(ascii: "A")...UInt8(ascii: "F"): nibble = UInt64(unit - UInt8(ascii: "A") + 10)
            default: return nil
            }
            // 128 bits, shifted in from the right.
            high = high << 4 | low >> 60
            low = low << 4 | nibble
        }
        self.init(high: high, low: low)
    }
}

extension UniqueID: Encodable {
    /// As text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
