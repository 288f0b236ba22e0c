import GatewayTesting
import Journal
import Messaging
import PostgresStore
import Routing
import Testing

@testable import Intake

/// Intake meets a message of somebody whom another message of the same batch makes one person with somebody else.
@Suite(.serialized, .timeLimit(.minutes(5))) struct IdentityOutdatedTests {
    private static let tess = RecorderWorld.tess
    private static let other: UInt64 = 447_911_222_222

    /// Somebody is known by a number and an account id, and is of no landlord's; the account id turns out to be Tess's.
    private func updates(_ world: RecorderWorld) -> [InboundEvent] {
        func message(_ id: String, _ phone: UInt64?, _ account: String?) -> InboundEvent {
            .message(world.message(id, from: phone, account: account, .unclaimed, at: RecorderWorld.present).message)
        }
        return [message("f", Self.other, nil), message("t", Self.tess, "GB.1"), message("a", nil, "GB.1")]
    }

    private func makeEntries(_ webhooks: [[InboundEvent]]) -> [DecodedEntry] {
        webhooks.enumerated().map { number, updates in
            let envelope = Envelope(
                source: .meta, receivedAt: RecorderWorld.present, signature: [], body: Array("{\(number)}".utf8))
            var entry = DecodedEntry(
                JournalEntry(position: JournalPosition(Int64(number) + 1), envelope: envelope))
            entry.webhook = DecodedWebhook(event: "messages", updates: updates)
            return entry
        }
    }

    /// - Parameters:
    ///   - isKnown: the table in memory knows of the somebody, and intake that they do not go together.
    ///   - isOne: one webhook brings all.
    @Test(
        arguments: [(true, true), (true, false), (false, true), (false, false)], [[0, 1, 2], [1, 0, 2], [2, 0, 1]])
    func whatOneMessageTeachesHoldsUpNoOther(_ how: (isKnown: Bool, isOne: Bool), order: [Int]) async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: Self.tess, RecorderWorld.toTess)])
        let before = try await world.loadTable()
        try await world.record([world.message("w2", from: Self.other, account: "GB.1", .unclaimed)])
        let table = how.isKnown ? try await world.loadTable() : before
        let session = RecorderSession(world.configuration)
        let journal = IntakeJournal(id: UniqueID(high: 9, low: 9), turnstile: IntakeTurnstile())
        let (clock, events) = (ManualClock(), IntakeEventLog())
        let intake = Intake(
            journal: journal, recorder: PostgresRecorder(session), lookup: PostgresConversationLookup(session),
            table: { table }, owner: UniqueID(high: 1, low: 1), clock: clock, now: { RecorderWorld.present },
            observer: events)
        let told = order.map { updates(world)[$0] }
        let entries = makeEntries(how.isOne ? [told] : told.map { [$0] })
        let passing = Task { await clock.keepAdvancing() }
        defer { passing.cancel() }
        try await intake.reconcile(isForeign: false)
        try await intake.settled(entries[...]).get()
        #expect(try await world.count("parked_updates") == 0)
        #expect(try await world.count("whatsapp_messages") == 5)
        #expect(try await world.count("webhook_log") == 2 + entries.count)
        #expect(try await world.thread(of: "t") == world.thread(of: "w1"))
        #expect(try await world.value("SELECT count(merged_into) FROM gateway.people") == "1")
        let confusion = try await world.confusion()
        #expect(confusion == nil)
        let retried: [String] = events.all { if case .retrying(let reason, _) = $0 { reason } else { nil } }
        // Where the account id comes first, intake parts them by what it shows itself.
        #expect(retried.isEmpty == (how.isKnown || how.isOne || order[0] == 2))
        await session.close()
    }
}
