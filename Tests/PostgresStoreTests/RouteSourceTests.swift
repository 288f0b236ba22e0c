import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite struct PostgresRouteSourceTests {
    /// Everything of one full load, in the order it came.
    struct Picture {
        var cursor = RouteCursor(snapshot: "", epoch: "")
        var routes: [Route] = []
        var landlords: [Landlord] = []
        var identities: [IdentityLink] = []
        var endpoints: [Endpoint] = []
        var settings: RouteSettings?
        var kinds: [String] = []
        var estimate: Int?

        mutating func add(_ chunk: RouteChunk) {
            switch chunk {
            case .estimate(let rows): estimate = rows
            case .routes(let rows): (routes, kinds) = (routes + rows, kinds + ["routes"])
            case .landlords(let rows): (landlords, kinds) = (landlords + rows, kinds + ["landlords"])
            case .identities(let rows): (identities, kinds) = (identities + rows, kinds + ["identities"])
            case .endpoints(let rows): (endpoints, kinds) = (endpoints + rows, kinds + ["endpoints"])
            case .settings(let value): (settings, kinds) = (value, kinds + ["settings"])
            }
        }
    }

    static func load(_ source: PostgresRouteSource) async throws -> Picture {
        var picture = Picture()
        picture.cursor = try await source.loadAll { picture.add($0) }
        return picture
    }

    static let tessKey = PhoneKey(folding: RecorderWorld.tess)
    static let tomKey = PhoneKey(folding: RecorderWorld.tom)

    @Test("loads every lease, landlord, identity, endpoint and setting, the routes first")
    func fullLoad() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, account: "US.tess", RecorderWorld.toTess)]
        )
        try await world.owner.execute("UPDATE gateway.settings SET value = '45' WHERE key = 'lease_grace_days'")
        let picture = try await Self.load(PostgresRouteSource(world.configuration))

        #expect(picture.kinds == ["routes", "landlords", "identities", "endpoints", "settings"])
        #expect(
            picture.routes.map { [$0.landlordID, $0.propertyID] }.sorted { "\($0)" < "\($1)" } == [
                [RecorderWorld.ann, RecorderWorld.annHome], [RecorderWorld.ann, RecorderWorld.annHome],
                [RecorderWorld.bob, RecorderWorld.bobHome],
            ])
        let tess = try #require(picture.routes.first { $0.key == Self.tessKey })
        #expect(tess.key == Self.tessKey && tess.landlordID == RecorderWorld.ann && tess.isActive)
        #expect(tess.validFrom == CalendarDay(year: 2025, month: 1, day: 1) && tess.validUntil == nil)
        #expect(picture.landlords.map(\.name).compactMap { $0 }.sorted() == ["Ann", "Bob"])
        #expect(picture.landlords.first { $0.id == RecorderWorld.bob }?.isEnabled == false)
        let link = try #require(picture.identities.first { $0.value == "US.tess" })
        #expect(
            link.kind == .businessScopedID && link.scope == "PF" && link.routeKey == Self.tessKey && link.movedAt == nil
        )
        #expect(picture.endpoints == [world.endpoint])
        #expect(picture.settings == RouteSettings(leaseGraceDays: 45, conversationOutlivesLease: true))
    }

    @Test("tells what changed since a load, key by key, and nothing twice")
    func changes() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        let quiet = try #require(await source.changes(since: cursor))
        #expect(quiet.routes.isEmpty && quiet.landlords.isEmpty && quiet.identities.isEmpty)
        #expect(quiet.endpoints == nil)

        try await world.owner.execute(
            """
            UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess';
            UPDATE public.user_profiles SET whatsapp_enabled = true WHERE full_name = 'Bob';
            DELETE FROM public.leases WHERE id = '\(RecorderWorld.timLease)';
            """)
        let delta = try #require(await source.changes(since: quiet.cursor))
        let newKey = PhoneKey(folding: 447_911_000_009)
        #expect(Set(delta.routes.keys) == [Self.tessKey, newKey, Self.tomKey])
        #expect(delta.routes[Self.tessKey] == [])
        #expect(delta.routes[newKey]?.map(\.landlordID) == [RecorderWorld.ann])
        #expect(delta.routes[Self.tomKey]?.map(\.landlordID) == [RecorderWorld.ann])
        #expect(delta.landlords[RecorderWorld.bob]??.isEnabled == true)
        #expect(try #require(await source.changes(since: delta.cursor)).routes.isEmpty)
        #expect(try #require(await source.changes(since: cursor)).routes.count == 3)
    }

    @Test("a landlord who is gone, a new identity and a number that was left are changes")
    func goneAndMoved() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let cursor = try await Self.load(source).cursor
        try await world.owner.execute(
            """
            DELETE FROM public.user_profiles WHERE full_name = 'Bob';
            SELECT gateway.change_identity('phone', '', '\(Self.tessKey.value)', '447911000055', now());
            """)
        let delta = try #require(await source.changes(since: cursor))
        #expect(delta.landlords[RecorderWorld.bob] == .some(nil))
        let old = AccountIdentity(kind: .phone, scope: "", value: String(Self.tessKey.value))
        let new = AccountIdentity(kind: .phone, scope: "", value: "447911000055")
        #expect(delta.identities[old]?.contains { $0.movedAt != nil } == true)
        #expect(delta.identities[new]?.map(\.routeKey) == [Self.tessKey])
    }

    /// Another gateway was told the portfolio of a number, in its configuration.
    @Test("account ids that count in a wider scope from now on are changes, under both")
    func widerScope() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            "SELECT gateway.ensure_endpoint('cloud', 'PN9', 'W9', NULL, 447700900009, 'Nine')")
        let row = try await world.owner.query("SELECT id FROM gateway.endpoints WHERE provider_id = 'PN9'").one()
        var message = world.message("w1", from: RecorderWorld.tess, account: "US.tess", RecorderWorld.toTess)
        message.endpoint = Endpoint(
            id: try row.id(0), reference: EndpointReference(kind: .cloud, providerID: "PN9"), ownerID: nil,
            phoneScope: "", accountIDScope: "W9")
        try await world.record([message])
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        try await world.owner.execute("SELECT gateway.ensure_endpoint('cloud', 'PN9', 'W9', 'PF9')")
        let delta = try #require(await source.changes(since: cursor))
        func account(_ scope: String) -> AccountIdentity {
            AccountIdentity(kind: .businessScopedID, scope: scope, value: "US.tess")
        }
        #expect(delta.endpoints?.first { $0.id == message.endpoint.id }?.accountIDScope == "PF9")
        #expect(delta.identities[account("W9")] == [])
        #expect(delta.identities[account("PF9")]?.map(\.routeKey) == [Self.tessKey])
    }

    @Test("a transaction that was open during the load is not missed when it commits afterwards")
    func openTransaction() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        try await world.owner.begin()
        try await world.owner.execute("UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess'")
        let picture = try await Self.load(source)
        #expect(picture.routes.contains { $0.key == Self.tessKey })
        #expect(try #require(await source.changes(since: picture.cursor)).routes.isEmpty)
        try await world.owner.commit()
        #expect(try #require(await source.changes(since: picture.cursor)).routes.count == 2)
    }

    @Test("a cursor that was pruned away, or of another cluster, asks for a full load")
    func expired() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        #expect(try await source.changes(since: RouteCursor(snapshot: cursor.snapshot, epoch: "elsewhere")) == nil)
        try await world.owner.execute(
            """
            UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess';
            UPDATE gateway.route_changes SET changed_at = now() - interval '100 hours';
            SELECT gateway.prune_route_changes();
            """)
        #expect(try await source.changes(since: cursor) == nil)
        // Not until the transactions of other tests have ended that are older than what was pruned a moment ago.
        while try await source.changes(since: Self.load(source).cursor) == nil { await Task.yield() }
    }

    @Test("what a dump brought along of another cluster's changes is not told")
    func changesFromBeyond() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        try await world.owner.execute(
            "INSERT INTO gateway.route_changes (xid, kind, phone_key) VALUES ('900000000000', 'p', 447911123456)")
        #expect(try #require(await source.changes(since: cursor)).routes.isEmpty)
    }

    @Test(
        "a mark and changes from beyond our own counter hide no pruning and no filling of ours",
        arguments: [
            """
            UPDATE public.tenants SET phone = '07911 000009' WHERE name = 'Tess';
            UPDATE gateway.route_changes SET changed_at = now() - interval '100 hours';
            SELECT gateway.prune_route_changes();
            """,
            """
            UPDATE gateway.route_changes SET changed_at = now() - interval '100 hours';
            SELECT gateway.prune_route_changes();
            DELETE FROM gateway.routes;
            SELECT gateway.refresh_tenant_landlord_routing();
            """,
        ])
    func markFromBeyond(change: String) async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        try await world.owner.execute(
            """
            DELETE FROM gateway.route_changes;
            INSERT INTO gateway.route_changes (xid, kind, phone_key) VALUES ('900000000000', 'p', 447911123456);
            UPDATE gateway.routing_state SET pruned_below = '900000000000', pruned_by = '900000000000'
            """)
        let cursor = try await Self.load(source).cursor
        #expect(try await source.changes(since: cursor) != nil)
        try await world.owner.execute(change)
        #expect(try await source.changes(since: cursor) == nil)
    }

    @Test("more changes than are worth reading one by one ask for a full load")
    func tooManyChanges() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        let fill = "INSERT INTO gateway.route_changes (kind, phone_key) SELECT 'p', 447000000000 + n FROM"
        try await world.owner.execute("\(fill) generate_series(1, 100000) n")
        let full = try #require(await source.changes(since: cursor))
        #expect(full.routes.count == 100_000)
        try await world.owner.execute("\(fill) generate_series(100001, 100001) n")
        #expect(try await source.changes(since: cursor) == nil)
        #expect(try await source.changes(since: full.cursor)?.routes.count == 1)
    }

    @Test("leases without an end, or with none that is a day, do not stop the load")
    func infinities() async throws {
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        let cursor = try await Self.load(source).cursor
        try await world.owner.execute("UPDATE public.leases SET start_date = '-infinity', end_date = 'infinity'")
        let routes = try await Self.load(source).routes
        #expect(routes.count == 3)
        #expect(routes.allSatisfy { $0.validUntil == CalendarDay(year: 9999, month: 12, day: 31) })
        #expect(routes.allSatisfy { $0.validFrom == CalendarDay(year: 1, month: 1, day: 1) })
        #expect(try #require(await source.changes(since: cursor)).routes[Self.tomKey]?.count == 2)
    }

    @Test("whoever stops in the middle of a load can load again")
    func abandoned() async throws {
        struct Enough: Error {}
        let world = try await RecorderWorld()
        let source = PostgresRouteSource(world.configuration)
        await #expect(throws: Enough.self) { _ = try await source.loadAll { _ in throw Enough() } }
        #expect(try await Self.load(source).routes.count == 3)
    }
}
