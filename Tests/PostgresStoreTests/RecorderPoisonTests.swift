import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct RecorderPoisonTests {
    /// What each must come to: recorded, or refused as data. Nothing may be refused in a way that is tried for ever.
    enum Fate: Sendable { case recorded, refused }

    @Test(arguments: [
        ("hello\u{0}world", Fate.refused),
        (String(repeating: "x", count: 65_536), .recorded),
        (String(repeating: "😀", count: 16_384), .recorded),
        ("\u{FFFD} \u{202E} \u{FEFF} '; DROP TABLE gateway.people; --", .recorded),
        ("", .recorded),
    ])
    func aText(_ text: String, _ fate: Fate) async throws {
        let world = try await RecorderWorld()
        try await expect(fate, world, [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess, body: text)])
        if fate == .recorded {
            #expect(try await world.value("SELECT body FROM gateway.whatsapp_messages") == text)
        }
    }

    @Test(arguments: [
        ("wamid." + String(repeating: "A", count: 1000), Fate.recorded),
        (String(repeating: "é", count: 100_000), .recorded),
        ("a\u{0}b", .refused),
        ("", .recorded),
    ])
    func aMessageID(_ id: String, _ fate: Fate) async throws {
        let world = try await RecorderWorld()
        try await expect(fate, world, [world.message(id, from: RecorderWorld.tess, RecorderWorld.toTess)])
    }

    @Test(arguments: [
        ("GB." + String(repeating: "1", count: 135), Fate.recorded),
        (String(repeating: "1", count: 1000), .refused),
        (String(repeating: "😀", count: 5000), .refused),
        ("", .refused),
    ])
    func anAccountID(_ id: String, _ fate: Fate) async throws {
        let world = try await RecorderWorld()
        try await expect(fate, world, [world.message("w1", from: nil, account: id, .unclaimed)])
    }

    @Test(arguments: [
        (Timestamp(seconds: 253_402_300_799), Fate.recorded),  // the end of the year 9999
        (Timestamp(seconds: -62_135_596_800), .recorded),  // the beginning of the year 1
        (Timestamp(seconds: 0), .recorded),
        (Timestamp(microseconds: .max), .recorded),  // the year 294246
        (Timestamp(microseconds: .min), .refused),
    ])
    func aTime(_ moment: Timestamp, _ fate: Fate) async throws {
        let world = try await RecorderWorld()
        try await expect(fate, world, [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess, at: moment)])
        // a far time in the default partition must not keep partitions from being made
        try await world.owner.execute("SELECT gateway.ensure_partitions(5, 9)")
    }

    @Test func aSenderKnownByNothingIsRefused() async throws {
        let world = try await RecorderWorld()
        try await expect(.refused, world, [world.message("w1", from: nil, .unclaimed)])
    }

    @Test(arguments: [
        (#"{"billable":true,"category":"utility"}"#, Fate.recorded),
        (#"{"billable":"maybe"}"#, .recorded),  // waits: the message is not known yet
        (#"{"category":"a\u0000b"}"#, .refused),
        ("{", .refused),
        ("[]", .recorded),
    ])
    func aPrice(_ pricing: String, _ fate: Fate) async throws {
        let world = try await RecorderWorld()
        var status = StatusUpdate(
            endpoint: world.endpoint.reference, messageID: "s1", status: .sent, at: RecorderWorld.clock)
        status.pricing = pricing
        try await expect(fate, world, [], [status])
    }

    @Test func aPriceNestedWithoutEndIsRefused() async throws {
        try await aPrice(String(repeating: "[", count: 100_000), .refused)
    }

    @Test func whatIsRefusedLeavesTheOthersOfItsBatchForTheNextTry() async throws {
        let world = try await RecorderWorld()
        let good = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
        try await expect(
            .refused, world, [good, world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess, body: "\u{0}")])
        try await expect(.recorded, world, [good])
    }

    private func expect(
        _ fate: Fate, _ world: RecorderWorld, _ messages: [RecordedMessage], _ statuses: [StatusUpdate] = []
    ) async throws {
        let checkpoint = try await world.claim()
        let batch = world.batch(messages, statuses: statuses, after: checkpoint)
        do {
            let result = try await world.recorder.record(batch)
            guard case .recorded = result else {
                Issue.record("\(result)")
                return
            }
            #expect(fate == .recorded)
        } catch {
            guard case .dataRejected = error else {
                Issue.record("not an error of the data: \(error)")
                return
            }
            #expect(fate == .refused, "\(error)")
            #expect(try await world.claim().position == checkpoint.position)
        }
    }
}
