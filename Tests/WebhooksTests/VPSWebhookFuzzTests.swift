import Foundation
import Messaging
import Testing

@testable import Webhooks

/// Events of a session server damaged at random. Run with `FUZZ_SEED` and `FUZZ_ROUNDS` to repeat a run or to go on for
/// longer.
@Suite struct VPSWebhookFuzzTests {
    private static let rounds = ProcessInfo.processInfo.environment["FUZZ_ROUNDS"].flatMap(Int.init) ?? 4000

    private static func generator(_ name: String) -> SeededGenerator {
        let seed = ProcessInfo.processInfo.environment["FUZZ_SEED"].flatMap(UInt64.init) ?? .random(in: 0...(.max))
        print("VPSWebhookFuzzTests \(name): FUZZ_SEED=\(seed)")
        return SeededGenerator(state: seed)
    }

    @Test func `bytes changed at random make one update still`() throws {
        var generator = Self.generator("bytes")
        let samples = try Fixtures.wahaSamples.map { try Fixtures.bytes($0) }
        for _ in 0..<Self.rounds {
            var body = samples.randomElement(using: &generator) ?? []
            for _ in 0..<Int.random(in: 1...4, using: &generator) where !body.isEmpty {
                let place = Int.random(in: 0..<body.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: body[place] = .random(in: 0...255, using: &generator)
                case 1: body.removeSubrange(place..<min(place + 5, body.count))
                default: body.insert(contentsOf: body[place..<min(place + 20, body.count)], at: place)
                }
            }
            check(body)
        }
    }

    @Test func `values replaced at random make one update still`() throws {
        var generator = Self.generator("values")
        let samples = try Fixtures.wahaSamples.map {
            try JSONSerialization.jsonObject(with: Data(try Fixtures.bytes($0)))
        }
        for _ in 0..<Self.rounds {
            let damaged = Self.damage(samples.randomElement(using: &generator) ?? [:], using: &generator)
            check([UInt8](try JSONSerialization.data(withJSONObject: damaged, options: .fragmentsAllowed)))
        }
    }

    private static var junk: [Any] {
        [
            NSNull(), true, false, 0, -1, 3, 1.5, 1e300, "", "\0", "true_447911123456:3@c.us_K",
            "447911123456_1:2@c.us",
            "38203818037365@lid", "1@g.us", "@", "_@_", "false_@_", "true_@c.us_", [], [[]], [:] as [String: Any],
            ["low": -1, "high": Int64.max] as [String: Any], String(repeating: "@_", count: 3000),
        ]
    }

    private static func damage(_ value: Any, using generator: inout SeededGenerator) -> Any {
        if Int.random(in: 0..<12, using: &generator) == 0 { return junk.randomElement(using: &generator) ?? 0 }
        if let object = value as? [String: Any] {
            var damaged: [String: Any] = [:]
            for (name, value) in object.sorted(by: { $0.key < $1.key })
            where Int.random(in: 0..<16, using: &generator) > 0 {
                damaged[name] = damage(value, using: &generator)
            }
            for name in ["fromMe", "ack", "timestamp", "_data", "replyTo", "editedMessageId", "revokedMessageId"]
            where Int.random(in: 0..<10, using: &generator) == 0 {
                damaged[name] = junk.randomElement(using: &generator)
            }
            return damaged
        }
        return (value as? [Any])?.map { damage($0, using: &generator) } ?? value
    }

    private func check(_ body: [UInt8]) {
        let decoded = VPSWebhookDecoder().decode(body, receivedAt: receivedAt)
        let text = String(decoding: body, as: UTF8.self)
        #expect(decoded.updates.count == 1, "\(text)")
        #expect((1...64).contains(decoded.event.utf8.count), "\(text)")
        switch decoded.updates.first {
        case .message(let message):
            #expect(!message.id.isEmpty && !message.sender.isKnownByNothing && message.type.utf8.count <= 32, "\(text)")
            #expect(message.endpoint.kind == .vpsSession && !message.endpoint.providerID.isEmpty, "\(text)")
            #expect(message.body?.unicodeScalars.contains("\0") != true, "\(text)")
        case .ignored(let what): #expect((5...64).contains(what.utf8.count), "\(text)")
        case .status(let status): #expect(!status.messageID.isEmpty, "\(text)")
        default: break
        }
    }
}
