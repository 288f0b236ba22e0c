import Foundation
import GatewayTesting
import Logging
import Messaging
import Operations
import Routing
import Testing

@testable import Gateway

/// `rules diff` and `rules status`, on a real database.
@Suite struct RulesAdministrationTests {
    private static let plain = "version: 1\nladder: {ask: false}\n"
    private static let tagging = plain + "rules:\n  - {name: drip, when: {keyword: tap}, then: [{tag: leak}]}\n"

    /// Tenants of the sample world, who wrote.
    private func makeDatabase(messages: Int = 3) async throws -> GatewayDatabase {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql)
        try await database.asOwner(
            "SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF', 447700900000, 'ZenRent')")
        try await database.asOwner(
            """
            INSERT INTO gateway.people (id) VALUES ('00000000-0000-0000-0000-000000000001');
            INSERT INTO gateway.whatsapp_messages (sent_at, endpoint_id, person_id, tenant_phone, direction, wamid, body,
                status, routing_status)
              SELECT now() - n * interval '1 minute', e.id, '00000000-0000-0000-0000-000000000001', 447911123456,
                     'incoming', 'w' || n, CASE WHEN n = 1 THEN 'The tap drips' ELSE 'Hello' END, 'received',
                     'unknown_sender'
                FROM gateway.endpoints e, generate_series(1, \(messages)) n WHERE e.provider_id = 'PN1';
            """)
        return database
    }

    private func rules(_ database: GatewayDatabase, _ directory: TemporaryDirectory) async throws -> RulesAdministration
    {
        try RulesAdministration(try await database.settings(["GATEWAY_RULES_DIR": directory.path]))
    }

    private func compared(_ comparison: RulesAdministration.Comparison) throws -> RulesDiffReport {
        guard case .compared(let report) = comparison else { throw CancellationError() }
        return report
    }

    @Test("tells which recorded messages change, masks senders, and leaves the database as it was")
    func diff() async throws {
        let database = try await makeDatabase()
        let (old, new) = (try TemporaryDirectory(), try TemporaryDirectory())
        try old.write("a.yaml", Self.plain)
        try new.write("a.yaml", Self.tagging)
        let report = try compared(
            try await rules(database, old).diff(candidate: new.path, base: old.path, last: 100))
        #expect(report.replayed == 3 && report.changed == 1 && report.rulesAdded == ["drip"] && !report.isUnchanged)
        let change = try #require(report.changes.first)
        #expect(change.sender == "+44…56" && change.actionsAdded == ["tag: \"leak\""] && change.after.rules == ["drip"])
        #expect(change.before.destination == change.after.destination)
        #expect(change.before.destination.hasPrefix("landlord a11ce000-"))
        let text = RulesAnswer(.compared(report)).text
        #expect(
            text.contains("rules added: drip") && text.contains("no rule -> drip") && text.contains("+ tag: \"leak\""))
        #expect(!text.contains("7911123456") && !text.contains("drips"))
        let written = try await database.text(
            "SELECT count(*)::text FROM gateway.rule_actions UNION ALL SELECT count(*)::text FROM gateway.outbox LIMIT 1"
        )
        #expect(written == "0")
        #expect(
            try compared(try await rules(database, old).diff(candidate: nil, base: old.path, last: 2)).isUnchanged)
        #expect(
            try compared(try await rules(database, old).diff(candidate: nil, base: old.path, last: 2)).replayed == 2)
    }

    @Test("compares with what a gateway told it decides by, and says so when none has")
    func live() async throws {
        let database = try await makeDatabase()
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.plain)
        let administration = try await rules(database, directory)
        let nobody = await #expect(throws: AdministrationError.self) {
            _ = try await administration.diff(candidate: nil, base: nil, last: 10)
        }
        #expect(nobody?.description.contains("--against") == true)
        try await tell(of: try RulesLoader(directory: directory.path), database)
        let same = try compared(try await administration.diff(candidate: nil, base: nil, last: 10))
        #expect(
            same.isUnchanged && same.before.digest == same.after.digest && same.before.from.contains("generation 1"))
        try directory.write("a.yaml", Self.tagging)
        let changed = try compared(try await administration.diff(candidate: nil, base: nil, last: 10))
        #expect(changed.changed == 1 && changed.before.digest == same.before.digest)
    }

    /// Lets a gateway put its rules on record.
    private func tell(of loader: RulesLoader, _ database: GatewayDatabase, gateway: UInt64 = 1) async throws {
        try await RulesRecordService(
            rules: loader, gateway: { UniqueID(high: 7, low: gateway) }, host: "host-\(gateway)",
            configuration: database.plain, logger: Logger(label: "test")
        ).tell()
    }

    @Test("tells generation, digest, who and when of each gateway, beside the directory")
    func status() async throws {
        let database = try await GatewayDatabase.migrated()
        let (one, two) = (try TemporaryDirectory(), try TemporaryDirectory())
        for directory in [one, two] { try directory.write("a.yaml", Self.plain) }
        let administration = try await rules(database, one)
        #expect(try await administration.status().gateways.isEmpty)
        let (first, second) = (try RulesLoader(directory: one.path), try RulesLoader(directory: two.path))
        try two.write("a.yaml", Self.tagging)
        _ = try await second.reload(by: [ReloadActor(name: "administrator x", id: UniqueID(high: 1, low: 1))])
        try two.write("a.yaml", "version: 9\n")
        _ = try? await second.reload(by: [.signal])
        try await tell(of: first, database)
        try await tell(of: second, database, gateway: 2)
        let status = try await administration.status()
        let other = try #require(status.gateways.first { $0.host == "host-2" })
        #expect(other.generation == 2 && other.rules == 1 && other.loadedBy == "administrator x" && other.isRunning)
        #expect(other.directoryDiffers == true && other.lastFailure?.firstError.hasPrefix("a.yaml:1:10: ") == true)
        let own = try #require(status.gateways.first { $0.host == "host-1" })
        #expect(own.directoryDiffers == false && own.digest == status.directory.rules?.digest && own.lastFailure == nil)
        let text = RulesAnswer(status).text
        #expect(
            text.contains("by administrator x") && text.contains("last failed") && text.contains("as the directory"))
        let lines = try await database.text(
            """
            SELECT string_agg(actor_role || ' ' || (detail ->> 'outcome'), '|' ORDER BY actor_role, detail ->> 'outcome')
              FROM gateway.audit_log WHERE action = 'rules.reload'
            """)
        #expect(lines == "SIGHUP rejected|administrator x swapped|start swapped|start swapped")
        // Told once: nothing new is on record after another look.
        try await tell(of: second, database, gateway: 2)
        #expect(try await database.text("SELECT count(*)::text FROM gateway.audit_log") == "4")
    }

    @Test("a gateway that has not told of itself for long may not run; a directory that is wrong is named")
    func stale() async throws {
        let database = try await GatewayDatabase.migrated()
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", Self.plain)
        try await tell(of: try RulesLoader(directory: directory.path), database)
        try await database.asOwner("UPDATE gateway.rules_in_force SET seen_at = now() - interval '10 minutes'")
        try directory.write("a.yaml", "version: 9\n")
        let status = try await rules(database, directory).status()
        #expect(status.gateways.map(\.isRunning) == [false] && status.gateways.map(\.directoryDiffers) == [nil])
        #expect(status.directory.errorCount == 1)
        #expect(RulesAnswer(status).text.contains("it may not run"))
    }
}

/// How long anybody waits.
@Suite struct DeadlineTests {
    @Test("what is late is not waited for, what is in time is the answer")
    func race() async {
        #expect(await Deadline.race(.seconds(60)) { 7 } == 7)
        let isAllowed = Watched(false)
        let late: Int? = await Deadline.race(.milliseconds(1)) {
            await isAllowed.until { $0 }
            return 7
        }
        #expect(late == nil)
        isAllowed.change { $0 = true }
    }
}
