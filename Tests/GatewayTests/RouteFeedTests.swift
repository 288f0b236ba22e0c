import GatewayTesting
import Logging
import Messaging
import Operations
import PostgresClient
import PostgresStore
import Routing
import Testing

@testable import Gateway

/// Everything that decides about routes, changed in the database as the landlord application or an operator does it.
@Suite(.serialized, .timeLimit(.minutes(5))) struct RouteFeedTests {
    @Test(
        "a change reaches the table by its hint, and by the clock alone; nothing else in the table changes",
        arguments: FeedChange.all)
    func reaches(_ change: FeedChange) async throws {
        let world = try await FeedWorld()
        if let prepare = change.prepare { try await world.execute(prepare) }
        try await world.follow { hinted, deaf in
            let before = world.answers(hinted.loader)
            try await world.execute(change.sql)
            let after = try await world.answersOfFullLoad()
            let keys = Set(before.keys).union(after.keys)
            #expect(keys.filter { after[$0] != before[$0] } == change.changes)
            for followed in [hinted, deaf] {
                await followed.until { world.answers($0) == after }
            }
        }
    }

    @Test(
        "what routing does not look at is not told",
        arguments: [
            "UPDATE public.tenants SET email = 'x@example.org'",
            "UPDATE public.user_profiles SET updated_at = now()",
            "UPDATE gateway.endpoints SET last_seen_at = now(), status = 'disconnected', session_data = '{\"a\": 1}'",
            "UPDATE gateway.endpoints SET display_name = 'x' WHERE false",
            "UPDATE gateway.settings SET value = '15' WHERE key = 'webhook_log_retention_days'",
            "INSERT INTO public.properties (user_id, address) SELECT id, 'empty' FROM auth.users",
        ])
    func silent(_ sql: String) async throws {
        let world = try await FeedWorld()
        let source = PostgresRouteSource(world.database.plain)
        #expect(await source.changesAvailable(atMost: .seconds(60)) == .hinted)
        try await world.execute(sql)
        // Told in the order of commits: had the first been told, there would be two.
        #expect(await source.changesAvailable(atMost: .milliseconds(50)) == .quiet)
        try await world.execute("UPDATE public.tenants SET name = 'Theresa' WHERE name = 'Tess'")
        #expect(await source.changesAvailable(atMost: .seconds(60)) == .hinted)
    }

    @Test("a lease begins, runs out and leaves its grace by the date of the lookup, without a change")
    func dates() async throws {
        let world = try await FeedWorld()
        try await world.execute(
            """
            UPDATE public.leases SET start_date = '2031-01-10', end_date = '2031-02-10'
             WHERE id = '\(FeedWorld.tessLease)'
            """)
        try await world.follow { hinted, _ in
            let table = try #require(hinted.loader.table.snapshot)
            func standing(_ day: CalendarDay?) throws -> [Int] {
                let list = table.candidates(
                    phone: FeedWorld.phones[0], account: nil, endpoint: world.endpoint, today: try #require(day))
                return [list.running.count, list.inGrace.count]
            }
            #expect(try standing(CalendarDay(year: 2031, month: 1, day: 9)) == [0, 0])
            #expect(try standing(CalendarDay(year: 2031, month: 1, day: 10)) == [1, 0])
            #expect(try standing(CalendarDay(year: 2031, month: 2, day: 10)) == [1, 0])
            #expect(try standing(CalendarDay(year: 2031, month: 2, day: 11)) == [0, 1])
            #expect(try standing(CalendarDay(year: 2031, month: 3, day: 12)) == [0, 1])
            #expect(try standing(CalendarDay(year: 2031, month: 3, day: 13)) == [0, 0])
        }
    }

    @Test("an application that writes all the time costs a bounded number of looks, and its last change arrives")
    func busy() async throws {
        let world = try await FeedWorld()
        try await world.follow { hinted, _ in
            let first = hinted.loader.liveGeneration
            try await world.execute(
                """
                DO $$ BEGIN
                  FOR n IN 1 .. 2000 LOOP
                    UPDATE public.tenants SET phone = '+44791100' || 1000 + n WHERE name = 'Tess';
                    COMMIT;
                  END LOOP;
                END $$
                """)
            let last = PhoneKey(folded: 447_911_003_000)
            await hinted.until { $0.table.snapshot?.routeCount(of: last) == 1 }
            #expect(hinted.loader.liveGeneration - first < 1000)
        }
    }
}

/// One change, and whose answers it changes.
struct FeedChange: Sendable, CustomTestStringConvertible {
    let name: String
    let prepare: String?
    let sql: String
    let changes: Set<String>

    var testDescription: String { name }

    init(_ name: String, prepare: String? = nil, _ sql: String, _ changes: Set<String>) {
        (self.name, self.prepare, self.sql, self.changes) = (name, prepare, sql, changes)
    }

    static let all = tenants + leases + properties + landlords + identities + endpointsAndSettings

    private static let tess = "447911123456"
    private static let tom = "447911000002"
    private static let new = "447911000009"
    private static let former = "447911000005"
    private static let alias = "US.tess"

    private static let tenants = [
        FeedChange(
            "a tenant's number", "UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess'",
            [tess, new, alias]),
        FeedChange(
            "a number that is none", "UPDATE public.tenants SET phone = '?' WHERE name = 'Tess'", [tess, alias]),
        FeedChange(
            "a tenant's name, by which nothing is decided", "UPDATE public.tenants SET name = 'T.' WHERE name = 'Tess'",
            []),
        FeedChange(
            "a tenant's owner",
            prepare: """
                ALTER TABLE public.properties ALTER user_id DROP NOT NULL;
                UPDATE public.properties SET user_id = NULL
                """,
            "UPDATE public.tenants SET user_id = '\(FeedWorld.bob)' WHERE name = 'Tess'", [tess, alias]),
        FeedChange(
            "a new tenant",
            """
            INSERT INTO public.tenants (id, user_id, name, phone)
              VALUES ('10000000-0000-0000-0000-000000000009', '\(FeedWorld.ann)', 'Nell', '07911 000009');
            INSERT INTO public.leases (tenant_id, property_id)
              VALUES ('10000000-0000-0000-0000-000000000009', 'aaaaaaaa-0000-0000-0000-0000000000a1')
            """, [new]),
        FeedChange("a tenant who is deleted", "DELETE FROM public.tenants WHERE name = 'Tim'", [tom]),
        FeedChange("all tenants truncated", "TRUNCATE public.tenants CASCADE", [tess, tom, alias]),
    ]

    private static let leases = [
        FeedChange(
            "a new lease",
            """
            INSERT INTO public.leases (tenant_id, property_id, start_date)
              SELECT id, 'bbbbbbbb-0000-0000-0000-0000000000a1', '2024-01-01' FROM public.tenants WHERE name = 'Tess'
            """, [tess, alias]),
        FeedChange("a deleted lease", "DELETE FROM public.leases WHERE id = '\(FeedWorld.tessLease)'", [tess, alias]),
        FeedChange(
            "a lease that goes to another tenant",
            """
            UPDATE public.leases SET tenant_id = '10000000-0000-0000-0000-000000000002'
             WHERE id = '\(FeedWorld.tessLease)'
            """, [tess, tom, alias]),
        FeedChange(
            "a lease's status",
            "UPDATE public.leases SET status = 'ended', end_date = current_date WHERE id = '\(FeedWorld.tessLease)'",
            [tess, alias]),
        FeedChange(
            "a lease's status that is none of ours",
            "UPDATE public.leases SET status = 'draft' WHERE id = '\(FeedWorld.tessLease)'", [tess, alias]),
        FeedChange(
            "a lease's first day",
            "UPDATE public.leases SET start_date = current_date + 9 WHERE id = '\(FeedWorld.tessLease)'",
            [tess, alias]),
        FeedChange(
            "a lease's last day",
            "UPDATE public.leases SET end_date = current_date - 9 WHERE id = '\(FeedWorld.tessLease)'", [tess, alias]),
        FeedChange("all leases truncated", "TRUNCATE public.leases", [tess, tom, alias]),
    ]

    private static let properties = [
        FeedChange(
            "a property's owner",
            "UPDATE public.properties SET user_id = '\(FeedWorld.bob)' WHERE address = '1 A Street'",
            [tess, tom, alias]),
        FeedChange(
            "a property that gets an owner at last",
            prepare: """
                ALTER TABLE public.properties ALTER user_id DROP NOT NULL;
                ALTER TABLE public.tenants ALTER user_id DROP NOT NULL;
                UPDATE public.properties SET user_id = NULL WHERE address = '1 B Street';
                UPDATE public.tenants SET user_id = NULL WHERE name = 'Tim'
                """,
            "UPDATE public.properties SET user_id = '\(FeedWorld.bob)' WHERE address = '1 B Street'", [tom]),
        FeedChange("a deleted property", "DELETE FROM public.properties WHERE address = '1 B Street'", [tom]),
        FeedChange(
            "a property that arrives after its leases",
            prepare: """
                ALTER TABLE public.leases DROP CONSTRAINT leases_property_id_fkey;
                DELETE FROM public.properties WHERE address = '1 B Street'
                """,
            """
            INSERT INTO public.properties (id, user_id, address)
              VALUES ('bbbbbbbb-0000-0000-0000-0000000000a1', '\(FeedWorld.bob)', '1 B Street')
            """, [tom]),
    ]

    private static let landlords = [
        FeedChange(
            "a landlord's name", "UPDATE public.user_profiles SET full_name = 'Anne' WHERE full_name = 'Ann'", ["Ann"]),
        FeedChange(
            "a landlord who is switched on",
            "UPDATE public.user_profiles SET whatsapp_enabled = true WHERE full_name = 'Bob'", ["Bob"]),
        FeedChange(
            "a landlord who is switched off",
            "UPDATE public.user_profiles SET whatsapp_enabled = false WHERE full_name = 'Ann'", ["Ann"]),
        FeedChange(
            "a landlord's settings",
            """
            INSERT INTO gateway.landlord_whatsapp_settings (user_id, is_enabled)
              VALUES ('\(FeedWorld.bob)', true)
            """, ["Bob"]),
        FeedChange(
            "a landlord's signature",
            prepare: "INSERT INTO gateway.landlord_whatsapp_settings (user_id) VALUES ('\(FeedWorld.ann)')",
            "UPDATE gateway.landlord_whatsapp_settings SET message_signature = 'A.'", ["Ann"]),
        FeedChange(
            "a landlord's settings deleted",
            prepare: """
                INSERT INTO gateway.landlord_whatsapp_settings (user_id, is_enabled)
                  VALUES ('\(FeedWorld.ann)', false)
                """,
            "DELETE FROM gateway.landlord_whatsapp_settings", ["Ann"]),
        FeedChange("a landlord who is gone", "DELETE FROM public.user_profiles WHERE full_name = 'Ann'", ["Ann"]),
        FeedChange("all landlords truncated", "TRUNCATE public.user_profiles", ["Ann", "Bob"]),
    ]

    private static let identities = [
        FeedChange(
            "an account id seen with a number",
            """
            SELECT gateway.resolve_people(
              ARRAY['90000000-0000-0000-0000-000000000001', '90000000-0000-0000-0000-000000000001']::uuid[],
              '{phone,bsuid}', '{"",PF}', '{447911000002,US.tom}', '{447911000002,NULL}', ARRAY[now(), now()])
            """, ["US.tom"]),
        FeedChange(
            "a tenant's new number, told by the provider",
            "SELECT gateway.change_identity('phone', '', '\(tess)', '\(new)', now())", [tess, new]),
        FeedChange(
            "an account id that rotated",
            "SELECT gateway.change_identity('bsuid', 'PF', 'US.tess', 'US.tess2', now())", [alias, "US.tess2"]),
        FeedChange(
            "an account id whose portfolio becomes known",
            prepare: """
                SELECT gateway.ensure_endpoint('cloud', 'PN4', 'W4');
                UPDATE gateway.identities SET scope = 'W4' WHERE value = 'US.tess'
                """,
            "SELECT gateway.ensure_endpoint('cloud', 'PN4', 'W4', 'PF')", [alias, "endpoints"]),
        FeedChange("an account id removed", "DELETE FROM gateway.identities WHERE value = 'US.tess'", [alias]),
        FeedChange("a number removed", "DELETE FROM gateway.identities WHERE kind = 'phone'", [alias]),
    ]

    private static let endpointsAndSettings = [
        FeedChange(
            "a new endpoint",
            "INSERT INTO gateway.endpoints (kind, provider_id, scope) VALUES ('cloud', 'PN2', 'platform')",
            ["endpoints"]),
        FeedChange(
            "an endpoint's owner",
            "UPDATE gateway.endpoints SET scope = 'landlord', landlord_id = '\(FeedWorld.ann)'", ["endpoints"]),
        FeedChange("an endpoint's portfolio", "UPDATE gateway.endpoints SET portfolio_id = 'PF2'", ["endpoints"]),
        FeedChange("an endpoint that is gone", "DELETE FROM gateway.endpoints", ["endpoints"]),
        FeedChange(
            "an endpoint of the configuration", "SELECT gateway.ensure_endpoint('cloud', 'PN3')", ["endpoints"]),
        FeedChange(
            "the days of grace", "UPDATE gateway.settings SET value = '60' WHERE key = 'lease_grace_days'",
            ["settings", former]),
        FeedChange(
            "the statuses that have a grace",
            prepare: "UPDATE public.leases SET status = 'over', end_date = current_date WHERE end_date IS NOT NULL",
            "UPDATE gateway.settings SET value = '[\"over\"]' WHERE key = 'ended_lease_statuses'", [former]),
        FeedChange(
            "whether threads outlive leases",
            "UPDATE gateway.settings SET value = 'false' WHERE key = 'conversation_outlives_lease'", ["settings"]),
    ]
}

/// A database with two landlords, Ann and Bob, and four leases: Tess' and Tom's of Ann, Tim's of Bob under Tom's number,
/// and Olga's, which ended 40 days ago.
struct FeedWorld: Sendable {
    let database: GatewayDatabase
    let endpoint: Endpoint

    static let ann = "aaaaaaaa-0000-0000-0000-000000000001"
    static let bob = "bbbbbbbb-0000-0000-0000-000000000001"
    static let tessLease = "20000000-0000-0000-0000-000000000001"
    static let phones = [447_911_123_456, 447_911_000_002, 447_911_000_009, 447_911_000_005].map {
        PhoneKey(folded: $0)
    }
    private static let accounts = ["US.tess", "US.tess2", "US.tom"]

    init() async throws {
        database = try await .migrated()
        try await database.asOwner(Self.people)
        let id = try await database.text("SELECT id::text FROM gateway.endpoints")
        endpoint = Endpoint(
            id: try #require(UniqueID(id)), reference: EndpointReference(kind: .cloud, providerID: "PN1"), ownerID: nil,
            phoneScope: "", accountIDScope: "PF")
    }

    private static let people = """
        INSERT INTO auth.users (id, email) VALUES ('\(ann)', 'ann@example.org'), ('\(bob)', 'bob@example.org');
        INSERT INTO public.user_profiles (id, full_name, whatsapp_enabled)
          VALUES ('\(ann)', 'Ann', true), ('\(bob)', 'Bob', false);
        INSERT INTO public.properties (id, user_id, address) VALUES
          ('aaaaaaaa-0000-0000-0000-0000000000a1', '\(ann)', '1 A Street'),
          ('bbbbbbbb-0000-0000-0000-0000000000a1', '\(bob)', '1 B Street');
        INSERT INTO public.tenants (id, user_id, name, phone) VALUES
          ('10000000-0000-0000-0000-000000000001', '\(ann)', 'Tess', '0044 7911 123456'),
          ('10000000-0000-0000-0000-000000000002', '\(ann)', 'Tom', '+44 7911 000002'),
          ('10000000-0000-0000-0000-000000000003', '\(bob)', 'Tim', '07911 000002'),
          ('10000000-0000-0000-0000-000000000004', '\(ann)', 'Olga', '07911 000005');
        INSERT INTO public.leases (id, tenant_id, property_id, status, end_date) VALUES
          ('\(tessLease)', '10000000-0000-0000-0000-000000000001', 'aaaaaaaa-0000-0000-0000-0000000000a1', 'active',
           NULL),
          ('20000000-0000-0000-0000-000000000002', '10000000-0000-0000-0000-000000000002',
           'aaaaaaaa-0000-0000-0000-0000000000a1', 'active', NULL),
          ('20000000-0000-0000-0000-000000000003', '10000000-0000-0000-0000-000000000003',
           'bbbbbbbb-0000-0000-0000-0000000000a1', 'active', NULL),
          ('20000000-0000-0000-0000-000000000004', '10000000-0000-0000-0000-000000000004',
           'aaaaaaaa-0000-0000-0000-0000000000a1', 'ended', current_date - 40);
        SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF', 447700900000, 'ZenRent');
        SELECT gateway.resolve_people(
          ARRAY['90000000-0000-0000-0000-000000000001', '90000000-0000-0000-0000-000000000001']::uuid[],
          '{phone,bsuid}', '{"",PF}', '{447911123456,US.tess}', '{447911123456,NULL}', ARRAY[now(), now()]);
        """

    func execute(_ script: String) async throws { try await database.asOwner(script) }

    /// Follows the database with two loaders, of which one asks by the clock hardly ever and the other hears no hint.
    func follow(_ body: (_ hinted: FollowedRoutes, _ deaf: FollowedRoutes) async throws -> Void) async throws {
        let (hinted, deaf) = (FollowedRoutes(database.plain), FollowedRoutes(database.plain, isDeaf: true))
        let following = [hinted, deaf].map { followed in Task { try await followed.loader.run() } }
        defer { following.forEach { $0.cancel() } }
        for followed in [hinted, deaf] { await followed.until { $0.table.snapshot != nil } }
        try await body(hinted, deaf)
    }

    /// Everything there is to ask a table, with the answers.
    func answers(_ loader: RouteLoader) -> [String: String] { loader.table.snapshot.map(answers) ?? [:] }

    func answersOfFullLoad() async throws -> [String: String] {
        var builder = RoutingTableBuilder()
        let cursor = try await PostgresRouteSource(database.plain).loadAll { builder.add($0) }
        return answers(builder.finish(cursor: cursor))
    }

    private func answers(_ table: RoutingTable) -> [String: String] {
        let today = CalendarDay(daysSince1970: Int32(SystemTime.now().microseconds / 86_400_000_000))
        var answers: [String: String] = [:]
        for phone in Self.phones {
            let list = table.candidates(phone: phone, account: nil, endpoint: endpoint, today: today)
            answers["\(phone.value)"] = "\(table.routeCount(of: phone)) \(list)"
        }
        for value in Self.accounts {
            let account = AccountIdentity(kind: .businessScopedID, scope: "PF", value: value)
            answers[value] = "\(table.candidates(phone: nil, account: account, endpoint: endpoint, today: today))"
        }
        answers["Ann"] = UniqueID(Self.ann).flatMap(table.landlord).map { "\($0)" }
        answers["Bob"] = UniqueID(Self.bob).flatMap(table.landlord).map { "\($0)" }
        answers["endpoints"] = "\(table.allEndpoints.map { "\($0)" }.sorted())"
        answers["settings"] = "\(table.settings)"
        answers["size"] = "\(table.routeCount == Self.phones.reduce(0) { $0 + table.routeCount(of: $1) })"
        return answers
    }
}

/// A loader, and when it has looked.
struct FollowedRoutes: Sendable {
    let loader: RouteLoader
    private let looks = Watched(0)

    /// - Parameter isDeaf: no hint comes through; the clock ticks all the time instead.
    init(_ configuration: PostgresConfiguration, isDeaf: Bool = false) {
        let source = WatchedRouteSource(source: PostgresRouteSource(configuration), isDeaf: isDeaf, looks: looks)
        loader = RouteLoader(
            source: source, pace: .init(poll: .seconds(3600), staleAfter: .seconds(7200)),
            database: HealthBoard().register("database", blocksAcknowledging: false),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    }

    /// Returns once the table is so.
    func until(_ isMet: (RouteLoader) -> Bool) async {
        while true {
            let seen = looks.value
            if isMet(loader) { return }
            await looks.until { $0 > seen }
        }
    }
}

private struct WatchedRouteSource: RouteSource {
    let source: PostgresRouteSource
    let isDeaf: Bool
    /// Waits for a hint so far: before each, a refresh has ended.
    let looks: Watched<Int>

    func loadAll(_ receive: (RouteChunk) throws -> Void) async throws -> RouteCursor {
        try await source.loadAll(receive)
    }

    func changes(since cursor: RouteCursor) async throws -> RouteDelta? { try await source.changes(since: cursor) }

    func changesAvailable(atMost limit: Duration) async -> RouteHint {
        looks.change { $0 += 1 }
        return isDeaf ? .deaf(reason: "by design") : await source.changesAvailable(atMost: limit)
    }
}
