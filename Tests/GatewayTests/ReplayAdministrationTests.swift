import GatewayTesting
import Intake
import Messaging
import PostgresClient
import Testing

@testable import Gateway

@Suite struct ReplayAdministrationTests {
    private static let now = Timestamp(seconds: 1_772_359_200)  // 2026-03-01 10:00 UTC

    @Test(
        "reads a moment as people write it",
        arguments: [
            ("2026-03-01T09:30:00Z", 1_772_357_400), ("2026-03-01T09:30:00+01:00", 1_772_353_800),
            ("2026-03-01T09:30:00.250Z", 1_772_357_400), ("2026-03-01", 1_772_323_200), ("90m", 1_772_353_800),
            ("7d", 1_771_754_400), ("yesterday", nil), ("2026-13-01", nil), ("", nil),
        ])
    func moment(_ text: String, _ seconds: Int64?) {
        #expect(ReplayAdministration.moment(text, now: Self.now)?.seconds == seconds)
    }

    private static func replays(_ database: GatewayDatabase, _ clock: ManualClock) async throws -> ReplayAdministration
    {
        ReplayAdministration(
            try await DatabaseSession.address(try await database.settings()), now: SystemTime.now, clock: clock)
    }

    private static var all: ReplayAdministration.Order {
        ReplayAdministration.Order(source: nil, since: nil, until: SystemTime.now())
    }

    @Test("says that nobody works on a replay, and how to go on")
    func abandoned() async throws {
        let database = try await GatewayDatabase.migrated()
        let clock = ManualClock()
        let replays = try await Self.replays(database, clock)
        let id = try await replays.request(Self.all)
        let passing = Task { await clock.keepAdvancing() }
        defer { passing.cancel() }
        let error = await #expect(throws: AdministrationError.self) { _ = try await replays.follow(id) }
        #expect(error?.description.contains("no gateway has begun with replay \(id)") == true)
        #expect(error?.description.contains("replay --follow \(id)") == true)
        #expect(clock.now.sinceStart >= .seconds(15))
        #expect(try await database.text("SELECT actor FROM gateway.webhook_replays") == Operator.name)
        let unknown = await #expect(throws: AdministrationError.self) { _ = try await replays.follow(id + 1) }
        #expect(unknown?.description.contains("no replay") == true)
    }

    @Test("tells what a replay that is done came to")
    func finished() async throws {
        let database = try await GatewayDatabase.migrated()
        let replays = try await Self.replays(database, ManualClock())
        let id = try await replays.request(Self.all)
        try await database.asOwner(
            """
            UPDATE gateway.webhook_replays SET finished_at = now(), updated_at = now(), replayed = 7, recorded = 3,
                   refreshed = 2, files = 1, statuses = 9, refused = 1
            """)
        let counts = try await replays.follow(id)
        #expect(counts.isFinished && counts.id == id && counts.webhooks == 6 && counts.refused == 1)
        #expect([counts.messagesRecorded, counts.messagesRefreshed, counts.files, counts.statuses] == [3, 2, 1, 9])
    }

    @Test("foretells nothing where nothing is stored, and refuses a span that is empty")
    func preview() async throws {
        let database = try await GatewayDatabase.migrated()
        let replays = try await Self.replays(database, ManualClock())
        #expect(try await replays.preview(Self.all).webhooks == 0)
        #expect(try await database.text("SELECT count(*)::text FROM gateway.webhook_replays") == "0")
        var order = Self.all
        order.since = order.until
        let error = await #expect(throws: AdministrationError.self) { _ = try await replays.request(order) }
        #expect(error?.description.contains("--since before --until") == true)
    }
}

@Suite struct OperatorTests {
    @Test("is named for the audit log by the login's name")
    func name() {
        #expect(Operator.name.hasPrefix("cli:") && Operator.name.count > 4)
    }
}
