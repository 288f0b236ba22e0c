/// Random numbers for ids: xoshiro256**, seeded by the system. Ids must differ, they need not be unguessable, and the
/// system's own generator costs a call into the kernel for every number.
public struct IdentifierGenerator: RandomNumberGenerator, Sendable {
    private var state: (UInt64, UInt64, UInt64, UInt64)
    private var last = UniqueID(high: 0, low: 0)

    /// Seeded with 256 bits of the system's randomness.
    public init() {
        var system = SystemRandomNumberGenerator()
        state = (system.next(), system.next(), system.next(), system.next() | 1)
    }

    public mutating func next() -> UInt64 {
        let result = Self.rotated(state.1 &* 5, by: 7) &* 9
        let shifted = state.1 << 17
        state.2 ^= state.0
        state.3 ^= state.1
        state.1 ^= state.2
        state.0 ^= state.3
        state.2 ^= shifted
        state.3 = Self.rotated(state.3, by: 45)
        return result
    }

    /// A version 7 id greater than all made before: those of one millisecond, and of a clock that was set back, count on.
    /// What is sorted by such ids stands in the order in which they were made.
    public mutating func nextID(at moment: Timestamp) -> UniqueID {
        let fresh = UniqueID.make(at: moment, using: &self)
        let isLater = fresh.high >> 16 > last.high >> 16
        last = isLater ? fresh : last.successor(by: 1 + (next() & 0xFFFF_FFFF))
        return last
    }

    private static func rotated(_ value: UInt64, by bits: UInt64) -> UInt64 { value << bits | value >> (64 - bits) }
}
