import Messaging
import PostgresClient
import Synchronization
import Testing

@testable import Gateway

@Suite struct SchemaAdministrationTests {
    @Test("plans, applies once, lets a login serve, and finds nothing to mend afterwards")
    func apply() async throws {
        let database = try await GatewayDatabase.empty()
        let schema = try SchemaAdministration(try await database.settings())
        let pending = try await schema.plan()
        #expect(!pending.isEmpty && pending.allSatisfy { $0.state == "pending" })
        let told = Mutex<[String]>([])
        let applied = try await schema.apply(grantTo: [GatewayDatabase.login]) { title in
            told.withLock { $0.append(title) }
        }
        #expect(applied.count == pending.count && told.withLock { $0 } == applied)
        #expect(try await schema.apply(grantTo: []) { _ in }.isEmpty)
        #expect(try await schema.plan().allSatisfy { $0.state == "applied" })
        #expect(try await schema.verify().filter(\.isFatal).isEmpty)
    }

    @Test("tells what must be mended, and how")
    func verify() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner("ALTER TABLE gateway.whatsapp_messages NO FORCE ROW LEVEL SECURITY")
        let findings = try await SchemaAdministration(try await database.settings()).verify()
        let finding = try #require(findings.first { $0.isFatal })
        #expect(finding.problem.contains("whatsapp_messages") && !finding.cure.isEmpty)
    }

    @Test("works with DATABASE_URL where no owner's address is set, and says so when neither is")
    func address() async throws {
        let database = try await GatewayDatabase.migrated()
        let one = try await SettingsReader(environment: ["DATABASE_URL": database.owner.connectionString])
        #expect(try await SchemaAdministration(one).verify().filter(\.isFatal).isEmpty)
        let none = try await SettingsReader(environment: [:])
        let error = #expect(throws: SettingError.self) { _ = try SchemaAdministration(none) }
        #expect(error?.name == .migrateDatabaseURL)
    }

    @Test("tells a login that may not migrate what to give")
    func notOwner() async throws {
        let database = try await GatewayDatabase.empty()
        let settings = try await SettingsReader(environment: ["DATABASE_URL": database.plain.connectionString])
        let error = await #expect(throws: AdministrationError.self) {
            try await SchemaAdministration(settings).apply(grantTo: []) { _ in }
        }
        #expect(error?.description.contains("MIGRATE_DATABASE_URL as an owner") == true)
    }
}

@Suite struct InboxAdministrationTests {
    @Test("names the command that makes an empty database ready")
    func empty() async throws {
        let database = try await GatewayDatabase.empty()
        let inbox = try await InboxAdministration(try await database.settings())
        let error = await #expect(throws: AdministrationError.self) { _ = try await inbox.held(limit: 10) }
        #expect(error?.description.contains("migrate apply") == true)
    }

    @Test("says which server does not answer, without the password")
    func unreachable() async throws {
        let settings = try await SettingsReader(environment: ["DATABASE_URL": "postgres://u:topsecret@127.0.0.1:1/x"])
        let inbox = try await InboxAdministration(settings)
        let error = await #expect(throws: SettingError.self) { _ = try await inbox.unclaimed(limit: 10) }
        #expect(error?.name == .databaseURL && error?.problem.contains("127.0.0.1") == true)
        #expect(error?.description.contains("topsecret") == false)
        #expect(error?.description.contains("\n") == false)
    }

    @Test("lists nothing where nothing waits, and tells where to look for what does")
    func nothing() async throws {
        let database = try await GatewayDatabase.migrated()
        let inbox = try await InboxAdministration(try await database.settings())
        #expect(try await inbox.held(limit: 10).isEmpty)
        #expect(try await inbox.unclaimed(limit: 10).isEmpty)
        #expect(try await inbox.redrive(nil) == 0)
        let nobody = UniqueID(high: 1, low: 1)
        let error = await #expect(throws: AdministrationError.self) {
            _ = try await inbox.assign(message: nobody, landlord: nobody, tenant: nil)
        }
        #expect(error?.description.contains("inbox held") == true)
    }

    @Test("lists people in doubt with their numbers masked, and settles a conflict once")
    func conflicts() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(
            """
            INSERT INTO gateway.people (id) VALUES ('00000000-0000-0000-0000-000000000001'), ('00000000-0000-0000-0000-000000000002');
            INSERT INTO gateway.identities (kind, value, person_id, source) VALUES
              ('phone', '447911123456', '00000000-0000-0000-0000-000000000001', 'test'),
              ('bsuid', 'GB.13491208655302741918', '00000000-0000-0000-0000-000000000002', 'test');
            SELECT gateway.record_conflict('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001', 'seen together', '{}');
            """)
        let inbox = try await InboxAdministration(try await database.settings())
        let conflict = try #require(try await inbox.conflicts(limit: 5).first)
        #expect(conflict.personA.phones == ["+44…56"] && conflict.personA.accounts == 0)
        #expect(conflict.personB.phones == [] && conflict.personB.accounts == 1)
        let id = try #require(UniqueID(conflict.id))
        try await inbox.close(conflict: id, merging: false)
        #expect(try await inbox.conflicts(limit: 5).isEmpty)
        #expect(try await database.text("SELECT actor_role FROM gateway.audit_log") == Operator.name)
        let error = await #expect(throws: AdministrationError.self) {
            try await inbox.close(conflict: id, merging: true)
        }
        #expect(error?.description.contains("inbox conflicts") == true)
    }

    @Test("lists parked updates and asks for some or all of them")
    func parked() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(
            """
            INSERT INTO gateway.parked_payloads (hash, payload) VALUES ('\\x01', '\\x7b');
            INSERT INTO gateway.parked_updates (hash, idx, journal_id, journal_pos, received_at, source, reason)
              SELECT '\\x01', i, 1, 1, now(), 'meta', 'not_json' FROM generate_series(0, 2) i;
            """)
        let inbox = try await InboxAdministration(try await database.settings())
        let parked = try await inbox.parked(limit: 2)
        #expect(parked.count == 2 && parked.allSatisfy { $0.reason == "not_json" && $0.times == 1 })
        #expect(try await inbox.redrive([parked[0].id, -1]) == 1)
        #expect(try await inbox.redrive(nil) == 3)
    }
}

@Suite struct RouteAdministrationTests {
    @Test("writes every lease, as CSV or as an object a line, with numbers masked unless they are asked for")
    func export() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        let routes = try await RouteAdministration(try await database.settings())
        let csv = try await Self.lines(routes, .csv, isUnmasked: false)
        #expect(csv.first?.hasPrefix("phone_key,landlord_id,tenant_id,lease_id") == true)
        #expect(csv.allSatisfy { $0.split(separator: ",", omittingEmptySubsequences: false).count == 9 })
        #expect(csv.contains { $0.hasPrefix("+44…56,") } && !csv.contains { $0.contains("7911123456") })
        let objects = try await Self.lines(routes, .jsonl, isUnmasked: true)
        #expect(objects.count == csv.count - 1)
        #expect(objects.contains { $0.hasPrefix(#"{"phone_key":"447911123456","landlord_id":"a11ce000-"#) })
        #expect(objects.contains { $0.contains(#""is_active":true"#) })
    }

    @Test("stops when what it writes to is closed")
    func closedOutput() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        let routes = try await RouteAdministration(try await database.settings())
        await #expect(throws: Closed.self) {
            try await routes.export(.jsonl, isUnmasked: false) { _ in throw Closed() }
        }
    }

    private struct Closed: Error {}

    @Test("counts what the table holds")
    func statistics() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        let statistics = try await RouteAdministration(try await database.settings()).statistics()
        #expect([statistics.routes, statistics.keys, statistics.landlords, statistics.rejected] == [6, 4, 3, 0])
        #expect(statistics.bytes > 0)
    }

    @Test("counts and lists what cannot be routed by, with its number masked, and loads the rest")
    func rejected() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        try await database.asOwner(
            """
            INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, phone_key, tenant_phone, lease_status)
              SELECT gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), x, x, 'active'
                FROM unnest(ARRAY[-5, 1234567, 5000000000000000]) x;
            INSERT INTO public.tenants (id, user_id, name, phone)
              SELECT gen_random_uuid(), user_id, 'Nobody', 'ask at the office' FROM public.tenants LIMIT 1;
            """)
        let routes = try await RouteAdministration(try await database.settings())
        let counted = try await routes.statistics()
        #expect(counted.routes == 6 && counted.rejected == 3 && counted.rejectedRoutes == nil)
        let listed = try await routes.statistics(rejectedMax: 10)
        #expect(listed.routes == 6 && listed.rejected == 4)
        #expect(Set(listed.rejectedRoutes?.map(\.phone) ?? []) == ["…", "12…67", "50…00", "as…ce"])
        #expect(listed.rejectedRoutes?.filter { $0.lease == nil }.map(\.phone) == ["as…ce"])
        let first = try await routes.statistics(rejectedMax: 1)
        #expect(first.rejected == 4 && first.rejectedRoutes?.count == 1)
    }

    @Test("takes national numbers by the country that is set, and a text for what it is")
    func lookup() async throws {
        let database = try await GatewayDatabase.migrated()
        let french = try await RouteAdministration(
            try await database.settings(["GATEWAY_DEFAULT_COUNTRY_CODE": "33"]))
        #expect(try await french.lookup("06 12 34 56 78")?.digits == "33612345678")
        #expect(try await french.lookup("no number") == nil)
    }

    private static func lines(
        _ routes: RouteAdministration, _ format: RouteExportFormat, isUnmasked: Bool
    ) async throws -> [Substring] {
        let text = Mutex("")
        try await routes.export(format, isUnmasked: isUnmasked) { part in text.withLock { $0 += part } }
        return text.withLock { $0 }.split(separator: "\n")
    }
}
