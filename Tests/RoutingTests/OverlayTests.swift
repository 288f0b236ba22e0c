import GatewayTesting
import Messaging
import Testing

@testable import Routing

@Suite struct OverlayTests {
    @Test("agrees with a dictionary, and a copy keeps what it had")
    func agreesWithDictionary() {
        let seed = UInt64.random(in: 0...UInt64.max)
        var generator = SeededGenerator(seed: seed)
        var overlay = Overlay<PhoneKey, Int?>()
        var plain: [PhoneKey: Int?] = [:]
        #expect(overlay.isEmpty && overlay[PhoneKey(folded: 1)] == nil)
        for step in 0..<3000 {
            let key = PhoneKey(folded: 447_911_000_000 + UInt64.random(in: 0..<900, using: &generator))
            let (before, count) = (overlay, plain.count)
            let known = plain[key]
            overlay.set(key, to: step % 3 == 0 ? nil : step)
            plain[key] = .some(step % 3 == 0 ? nil : step)
            #expect(overlay[key] == plain[key] && overlay.count == plain.count, "seed \(seed)")
            #expect(before[key] == known && before.count == count, "seed \(seed)")
        }
        var entries: [PhoneKey: Int?] = [:]
        overlay.forEach { key, value in entries[key] = .some(value) }
        #expect(entries == plain, "seed \(seed)")
    }

    /// A copied piece is what one more change costs.
    @Test(
        "numbers one after the other, and those of one length, spread over all pieces", arguments: [1, 7, 100, 65_536])
    func spreads(step: UInt64) {
        var pieces = [Int](repeating: 0, count: 256)
        for number in 0..<32_768 as Range<UInt64> {
            pieces[PhoneKey(folded: 447_911_000_000 + number * step).spread & 255] += 1
        }
        #expect(pieces.max() ?? 0 < 2 * 32_768 / 256)
        #expect(pieces.min() ?? 0 > 0)
    }
}
