import Conversations
import GatewayTesting
import Intake
import Logging
import Messaging
import Operations
import PostgresClient
import PostgresStore
import Routing
import Testing

@testable import Gateway

@Suite struct HealingQueueTests {
    private func hints(_ number: UInt64) -> HealingHints {
        var hints = HealingHints()
        hints.landlords = [UniqueID(high: 0, low: number)]
        return hints
    }

    @Test("gathers what comes in, hands it out once, and once more after a tick or two")
    func twice() {
        let queue = HealingQueue()
        queue.add(hints(1))
        queue.add(hints(2))
        #expect(queue.take().landlords.count == 2)
        #expect(queue.take().isEmpty)
        queue.tick()
        #expect(queue.take().isEmpty)
        queue.tick()
        #expect(queue.take().landlords.count == 2)
        for _ in 0..<4 { queue.tick() }
        #expect(queue.take().isEmpty)
    }

    @Test("looks at everything when the settings change that say what a candidate is")
    func settings() {
        let queue = HealingQueue()
        let cursor = RouteCursor(snapshot: "1", epoch: "e")
        for (days, isEverything) in [(30, false), (30, false), (10, true), (10, false)] as [(Int32, Bool)] {
            queue.add(RouteDelta(cursor: cursor, settings: RouteSettings(leaseGraceDays: days)))
            #expect(queue.take().isEverything == isEverything)
        }
    }

    @Test("hands out again what failed, and everything every five minutes")
    func failedAndSwept() {
        let queue = HealingQueue()
        queue.putBack(hints(1))
        #expect(queue.take() == hints(1))
        for _ in 0..<59 { queue.tick() }
        #expect(queue.take().isEmpty)
        queue.tick()
        #expect(queue.take() == .everything)
    }
}

/// The routing feed, the table and healing as the gateway puts them together, over a database.
@Suite(.timeLimit(.minutes(2))) struct HealingServiceTests {
    private static let nina = "447911000041"

    @Test(
        "a message from a stranger is in the landlord's thread once the stranger is a tenant, and goes on with opt-in")
    func stranger() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql + Self.message)
        try await Self.running(on: database) { store in
            // Carol, who is off, rents to Nina from now on.
            try await database.asOwner(
                """
                INSERT INTO public.tenants (id, user_id, name, phone)
                  VALUES ('10000000-0000-0000-0000-0000000000ff', '\(Self.carol)', 'Nina', '+\(Self.nina)');
                INSERT INTO public.leases (tenant_id, property_id)
                  SELECT '10000000-0000-0000-0000-0000000000ff', id FROM public.properties WHERE user_id = '\(Self.carol)';
                """)
            #expect(try await Self.routingStatus(in: store) { $0 != nil } == "opted_out")
            try await database.asOwner(
                "UPDATE public.user_profiles SET whatsapp_enabled = true WHERE id = '\(Self.carol)'")
            #expect(try await Self.routingStatus(in: store) { $0 == "delivered" } == "delivered")
        }
    }

    private static let carol = SampleWorld.landlords[2].id

    private static let message = """
        SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF', 447700900000, 'ZenRent');
        SELECT gateway.resolve_people(ARRAY['90000000-0000-0000-0000-000000000001'::uuid], '{phone}', '{""}',
          '{\(nina)}', '{\(nina)}', ARRAY[now()]);
        INSERT INTO gateway.whatsapp_messages (sent_at, person_id, endpoint_id, direction, wamid, body, status,
            routing_status, routing_metadata)
          SELECT now(), i.person_id, e.id, 'incoming', 'u1', 'is the flat free?', 'received', 'unknown_sender', '{}'
            FROM gateway.identities i, gateway.endpoints e WHERE i.value = '\(nina)';
        """

    private static func running(
        on database: GatewayDatabase, _ body: (PostgresConversationStore) async throws -> Void
    ) async throws {
        let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        let board = HealthBoard()
        let hints = HealingQueue()
        let routes = RouteLoader(
            source: PostgresRouteSource(database.plain),
            pace: .init(poll: .seconds(3600), staleAfter: .seconds(7200)),
            database: board.register("database", blocksAcknowledging: false), logger: logger,
            published: { hints.add(HealingHints($0)) })
        let session = RecorderSession(database.plain)
        let healing = HealingService(
            Healing(
                messages: PostgresWaitingMessages(session), lookup: PostgresConversationLookup(session),
                table: { routes.table.snapshot }, now: SystemTime.now),
            hints: hints, clock: ContinuousClock(), logger: logger)
        let services = Task {
            async let loading: Void = routes.run()
            async let healing: Void = healing.run()
            _ = try await (loading, healing)
        }
        defer { services.cancel() }
        try await body(PostgresConversationStore(PostgresPool(database.plain, limits: .init(connectionsMax: 1))))
    }

    /// What Carol sees of the newest message in her newest thread, once it is so.
    private static func routingStatus(
        in store: PostgresConversationStore, until isMet: (String?) -> Bool
    ) async throws -> String? {
        let principal = Principal(userID: carol, claimsJSON: #"{"sub":"\#(carol)","role":"authenticated"}"#)
        let page = PageRequest(limit: 5, cursor: nil)
        while true {
            try Task.checkCancellation()
            var status: String?
            if let thread = try await store.conversations(for: principal, page: page).items.first {
                status = try await store.messages(in: thread.id, for: principal, page: page).items.first?.routingStatus
            }
            if isMet(status) { return status }
            await Task.yield()
        }
    }
}
