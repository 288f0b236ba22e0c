import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@testable import Gateway

@Suite struct ExplainAdministrationTests {
    private static let endpoint = """
        SELECT gateway.ensure_endpoint('cloud', 'PN1', 'W1', 'PF', 447700900000, 'ZenRent');
        """

    /// The sample world with one number of the platform's, and rules that know STOP.
    private static func world(
        _ more: String = "", _ body: (GatewayDatabase, ExplainAdministration) async throws -> Void
    ) async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql + endpoint + more)
        let directory = try TemporaryDirectory()
        try directory.write(
            "stop.yaml",
            """
            version: 1
            rules:
              - name: stop
                when:
                  keyword:
                    exact: [stop]
                then:
                  - opt_out
              - name: strangers
                when:
                  state: unknown
                then:
                  - forward: crm
                  - assign: \(SampleWorld.landlords[2].id)
            """)
        let settings = try await database.settings([
            "GATEWAY_RULES_DIR": directory.path, "GATEWAY_DOWNSTREAMS": "crm=https://crm.example/messages",
        ])
        try await body(database, try await ExplainAdministration(settings))
    }

    private static func question(
        _ subject: String, _ change: (inout ExplainAdministration.Question) -> Void = { _ in }
    ) -> ExplainAdministration.Question {
        var question = ExplainAdministration.Question(subject)
        change(&question)
        return question
    }

    @Test("a number of a tenant: lease, rung, rules of the directory, and a masked line in the audit log")
    func tenant() async throws {
        try await Self.world { database, administration in
            let answer = try await administration.explain(
                Self.question("07911 123456") {
                    $0.text = "Stop!"
                    $0.endpoint = "PN1"
                })
            let now = try #require(answer.explanation.now)
            #expect(now.verdict == "routed" && now.rung == "only_candidate" && now.state == "known")
            #expect(now.place?.landlordName == "Alice Archer" && now.place?.propertyAddress == "1 Acacia Avenue")
            #expect(now.rules.map(\.name) == ["stop"] && now.rules.map(\.place) == ["stop.yaml:3"])
            #expect(now.orders.map(\.action) == ["opt out"])
            #expect(answer.explanation.table.source == "as the database has it now")
            #expect(answer.explanation.rules.source.hasPrefix("of the directory /"))
            #expect(
                try await database.text("SELECT concat_ws(' ', actor_role, entity, entity_id) FROM gateway.audit_log")
                    == "\(Operator.name) sender +44…56")
        }
    }

    @Test("a tenant of two landlords waits, with every lease and its reason; a stranger goes where a rule says")
    func others() async throws {
        try await Self.world { _, administration in
            let held = try await administration.explain(Self.question("447700900003")).explanation
            #expect(held.now?.verdict == "held" && held.now?.leases.filter(\.counts).count == 2)
            #expect(held.summary.contains("Alice Archer (4 Cedar Close); Bob Brown"))
            let stranger = try await administration.explain(Self.question("+49 30 1234567")).explanation
            #expect(stranger.now?.rung == "rule" && stranger.now?.leases.isEmpty == true)
            #expect(stranger.now?.place?.landlordName == "Carol Clark" && stranger.now?.withheld == "opted_out")
            #expect(stranger.now?.orders.map(\.action) == ["forward to crm"])
            let account = try await administration.explain(Self.question("GB.13491208655302741918")).explanation
            #expect(account.now?.state == "unknown" && account.subject.account == "…1918")
        }
    }

    @Test("on a day before the lease the tenant is a stranger")
    func moment() async throws {
        try await Self.world { _, administration in
            let early = try await administration.explain(Self.question("07911123456") { $0.at = "2001-02-03" })
            #expect(early.explanation.now?.state == "unknown")
            #expect(early.explanation.now?.leases.map(\.outcome) == ["has not begun"])
        }
    }

    @Test("an account id leads to the leases of its person's numbers")
    func account() async throws {
        let linked = """
            INSERT INTO gateway.people (id) VALUES ('00000000-0000-0000-0000-000000000001');
            INSERT INTO gateway.identities (kind, scope, value, person_id, source)
              SELECT k, CASE k WHEN 'phone' THEN phone_scope ELSE id_scope END, v,
                     '00000000-0000-0000-0000-000000000001', 'test'
                FROM gateway.endpoints, (VALUES ('phone', '447911123456'), ('bsuid', 'GB.1349')) x(k, v);
            """
        try await Self.world(linked) { _, administration in
            let answer = try await administration.explain(Self.question("GB.1349") { $0.isUnmasked = true }).explanation
            #expect(answer.now?.place?.landlordName == "Alice Archer")
            #expect(answer.identities.map(\.value) == ["GB.1349", "+447911123456"])
        }
    }

    static let bad: [(String, String, @Sendable (inout ExplainAdministration.Question) -> Void)] = [
        ("0791", "the subject: it is not a telephone number", { _ in }),
        ("447911123456", "--to: there is no such endpoint for messages; there are: cloud PN1", { $0.endpoint = "PN9" }),
        ("447911123456", "--at: it is not a time", { $0.at = "yesterday" }),
        ("447911123456", "--type: it is not a word", { $0.type = "Text!" }),
        ("wamid.1", "--text: a message that is recorded has its own", { $0.text = "hello" }),
    ]

    @Test("what cannot be used is named with its cure", arguments: bad.indices)
    func refused(_ index: Int) async throws {
        let (subject, words, change) = Self.bad[index]
        try await Self.world { _, administration in
            let error = await #expect(throws: ExplainAdministration.BadQuestion.self) {
                try await administration.explain(Self.question(subject, change))
            }
            #expect(error?.description.hasPrefix(words) == true, "\(error?.description ?? "")")
        }
    }

    @Test("with several numbers of the platform's one has to be named")
    func several() async throws {
        try await Self.world("SELECT gateway.ensure_endpoint('cloud', 'PN2', 'W1', 'PF', 447700900001, 'Two');") {
            _, administration in
            let error = await #expect(throws: ExplainAdministration.BadQuestion.self) {
                try await administration.explain(Self.question("447911123456"))
            }
            #expect(error?.description.contains("name one of: cloud PN1, cloud PN2") == true)
            let named = try await administration.explain(Self.question("447911123456") { $0.endpoint = "PN2" })
            #expect(named.explanation.subject.endpoint == "cloud PN2")
        }
    }

    @Test("an id that is not recorded says where to look")
    func unknown() async throws {
        try await Self.world { _, administration in
            for id in ["wamid.none", "00000000-0000-0000-0000-000000000009"] {
                let error = await #expect(throws: AdministrationError.self) {
                    try await administration.explain(Self.question(id))
                }
                #expect(error?.description.hasPrefix("no message with this id is recorded; ") == true)
            }
        }
    }

    @Test("a database that is not migrated, or not there, is told with its cure")
    func noDatabase() async throws {
        let directory = try TemporaryDirectory()
        try directory.write("a.yaml", "version: 1\n")
        let rules = ["GATEWAY_RULES_DIR": directory.path]
        let empty = try await ExplainAdministration(try await GatewayDatabase.empty().settings(rules))
        let error = await #expect(throws: AdministrationError.self) {
            try await empty.explain(Self.question("wamid.1"))
        }
        #expect(error?.description.contains("migrate apply") == true)
        let away = ["DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"].merging(rules) { $1 }
        let lost = try await ExplainAdministration(try await SettingsReader(environment: away))
        await #expect(throws: SettingError.self) { try await lost.explain(Self.question("wamid.1")) }
    }

    @Test("the running gateway's answer is by its own table and rules, and none without a table")
    func running() async throws {
        let database = try await GatewayDatabase.migrated()
        try await database.asOwner(SampleWorld.sql + Self.endpoint)
        let session = RecorderSession(database.plain)
        let source = PostgresRouteSource(database.plain)
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        let table = builder.finish(cursor: cursor)
        func explainer(_ table: RoutingTable?) -> Explainer {
            Explainer(
                store: PostgresExplanations(session), lookup: PostgresConversationLookup(session),
                world: .running(table: { table }, rules: { .none }), countryCode: "44", now: SystemTime.now)
        }
        let reader = ExplanationReader(id: UniqueID(high: 1, low: 1), role: "admin")
        let answer = try await explainer(table).explain(ExplanationRequest("07911123456"), for: reader)
        #expect(answer.now?.place?.landlordName == "Alice Archer")
        #expect(answer.table == .init(source: "of the running gateway", generation: Int64(table.generation)))
        await #expect(throws: ExplanationError.notReady) {
            try await explainer(nil).explain(ExplanationRequest("07911123456"), for: reader)
        }
        await #expect(throws: ExplanationError.unknownMessage) {
            try await explainer(table).explain(ExplanationRequest("wamid.none"), for: reader)
        }
    }
}
