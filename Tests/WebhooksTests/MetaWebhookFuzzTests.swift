import Foundation
import Messaging
import Testing

@testable import Webhooks

/// Webhooks damaged at random. Run with `FUZZ_SEED` and `FUZZ_ROUNDS` to repeat a run or to go on for longer.
@Suite struct MetaWebhookFuzzTests {
    private static let rounds = ProcessInfo.processInfo.environment["FUZZ_ROUNDS"].flatMap(Int.init) ?? 4000

    private static func generator(_ name: String) -> SeededGenerator {
        let seed = ProcessInfo.processInfo.environment["FUZZ_SEED"].flatMap(UInt64.init) ?? .random(in: 0...(.max))
        print("MetaWebhookFuzzTests \(name): FUZZ_SEED=\(seed)")
        return SeededGenerator(state: seed)
    }

    @Test func `bytes changed at random never break the count`() throws {
        var generator = Self.generator("bytes")
        let samples = try Self.bodies()
        for _ in 0..<Self.rounds {
            var body = samples.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &generator) { mutate(&body, &generator) }
            check(body)
        }
    }

    @Test func `values swapped at random never break the count`() throws {
        var generator = Self.generator("values")
        let samples = try Self.bodies().compactMap { try? JSONSerialization.jsonObject(with: Data($0)) }
            .filter { JSONSerialization.isValidJSONObject($0) }
        for _ in 0..<Self.rounds {
            let sample = samples.randomElement(using: &generator) ?? [:]
            let other = samples.randomElement(using: &generator) ?? [:]
            let damaged = damage(merge(sample, other), using: &generator)
            let data = try JSONSerialization.data(withJSONObject: damaged, options: .fragmentsAllowed)
            let body = [UInt8](data)
            #expect(accepts(body))
            #expect(check(body) == UpdateCount.of(damaged), "\(String(decoding: body, as: UTF8.self))")
        }
    }

    /// The samples, and what the fuzzer starts from: it has Messenger, Instagram and the rarer shapes as well.
    private static func bodies() throws -> [[UInt8]] {
        try Fixtures.metaSamples.map { try Fixtures.bytes($0) }
            + Fixtures.fuzzingCorpus.map { try Fixtures.bytes($0) }.filter { $0.starts(with: Array("m{".utf8)) }
            .map { Array($0.dropFirst()) }
    }

    @Test(arguments: Fixtures.fuzzingCorpus)
    func `what the fuzzer found is decoded`(path: String) throws {
        let input = try Fixtures.bytes(path)
        if input.first != UInt8(ascii: "v") { check(Array(input.dropFirst())) }
        #expect(FuzzInput.violations(of: input.withUnsafeBytes(FuzzInput.decode)) == [])
    }

    @Test func `the corpus is there, and small`() throws {
        let sizes = try Fixtures.fuzzingCorpus.map { try Fixtures.bytes($0).count }
        #expect(sizes.count >= 90)
        #expect(sizes.reduce(0, +) < 500_000)
    }

    @discardableResult
    private func check(_ body: [UInt8]) -> Int {
        let decoded = MetaWebhookDecoder().decode(body, receivedAt: receivedAt)
        #expect(FuzzInput.violations(of: decoded) == [], "\(String(decoding: body, as: UTF8.self))")
        if Self.isReadByFoundation(body) {
            let text = String(decoding: body, as: UTF8.self)
            #expect(accepts(body), "\(text)")
            #expect(decoded.updates.count == UpdateCount.of(body), "\(text)")
        }
        return decoded.updates.count
    }

    /// Whether Foundation reads it as JSON, and not only because it guesses other encodings by zero bytes, skips a
    /// byte-order mark or lets a comma stand before a closing bracket.
    private static func isReadByFoundation(_ body: [UInt8]) -> Bool {
        guard !body.contains(0), body.first != 0xEF else { return false }
        var lastMark: UInt8 = 0
        for byte in body where ![0x20, 0x0A, 0x0D, 0x09].contains(byte) {
            if lastMark == UInt8(ascii: ","), byte == UInt8(ascii: "}") || byte == UInt8(ascii: "]") { return false }
            lastMark = byte
        }
        return (try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed)) != nil
    }

    private func mutate(_ body: inout [UInt8], _ generator: inout SeededGenerator) {
        let place = Int.random(in: 0..<max(1, body.count), using: &generator)
        let tokens = [
            "{", "}", "[", "]", ",", ":", "\"", "\\", "null", "\\u0000", "\\ud83d", "1e999", "\u{FF}", "[[", "{}",
        ]
        switch Int.random(in: 0..<5, using: &generator) {
        case 0: if !body.isEmpty { body[place] = .random(in: 0...255, using: &generator) }
        case 1: body.insert(.random(in: 32...126, using: &generator), at: place)
        case 2: body.removeSubrange(place..<min(body.count, place + Int.random(in: 1...20, using: &generator)))
        case 3: body.insert(contentsOf: (tokens.randomElement(using: &generator) ?? "").utf8, at: place)
        default:
            let end = min(body.count, place + Int.random(in: 1...60, using: &generator))
            body.insert(contentsOf: Array(body[place..<end]), at: Int.random(in: 0...body.count, using: &generator))
        }
    }

    /// One webhook with the entries of two.
    private func merge(_ a: Any, _ b: Any) -> Any {
        guard var merged = a as? [String: Any], let first = merged["entry"] as? [Any],
            let second = (b as? [String: Any])?["entry"] as? [Any]
        else { return a }
        merged["entry"] = first + second
        return merged
    }

    /// The same value with something in it replaced, dropped or doubled.
    private func damage(_ value: Any, using generator: inout SeededGenerator) -> Any {
        if Int.random(in: 0..<40, using: &generator) == 0 {
            let others: [Any] = [
                NSNull(), 0, -1.5, 1e300, true, "", "x", "447911123456", "GB.1", "\u{0}", [Any](), [String: Any](),
                ["a"],
                [["a": 1]], ["messages": [[String: Any]()]],
            ]
            return others.randomElement(using: &generator) ?? 0
        }
        if let object = value as? [String: Any] {
            var damaged: [String: Any] = [:]
            for key in object.keys.sorted() where Int.random(in: 0..<40, using: &generator) != 0 {
                damaged[key] = damage(object[key] ?? NSNull(), using: &generator)
            }
            return damaged
        }
        if let list = value as? [Any] {
            var damaged: [Any] = []
            for element in list {
                for _ in 0..<[0, 1, 1, 1, 1, 1, 1, 1, 2, 3][Int.random(in: 0..<10, using: &generator)] {
                    damaged.append(damage(element, using: &generator))
                }
            }
            return damaged
        }
        return value
    }
}

/// SplitMix64.
struct SeededGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
