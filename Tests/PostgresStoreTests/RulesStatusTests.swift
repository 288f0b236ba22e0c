import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// What gateways tell of the rules they decide by.
@Suite(.serialized) struct RulesStatusTests {
    private static let one = UniqueID("90000000-0000-0000-0000-000000000001")!
    private static let two = UniqueID("90000000-0000-0000-0000-000000000002")!
    private static let start = Timestamp(seconds: 1_772_359_200)

    private func rules(
        _ gateway: UniqueID = one, digest: String, at seconds: Int64 = 0, by: String = "start", generation: Int64 = 1,
        failure: GatewayRules.Failure? = nil
    ) -> GatewayRules {
        GatewayRules(
            gateway: gateway, host: "h", process: 7, directory: "/rules", generation: generation, digest: digest,
            ruleCount: 3, loadedAt: Self.start.advanced(bySeconds: seconds), loadedBy: by, failure: failure)
    }

    private func withStore(_ body: (PostgresRulesStatus, RecorderWorld) async throws -> Void) async throws {
        let world = try await RecorderWorld()
        let connection = try await PostgresConnection.connect(world.configuration)
        try await body(PostgresRulesStatus(connection), world)
        await connection.close()
    }

    @Test("files are kept once for all gateways that decide by them, and go with the last one")
    func files() async throws {
        try await withStore { store, world in
            #expect(try await store.note(rules(digest: "a"), []))
            let files = [
                RulesFile(name: "a.yaml", text: "version: 1\n"),
                RulesFile(name: "b.yaml", content: .bytes([0xFF, 0])),
            ]
            try await store.keep(files, digest: "a")
            try await store.keep(files, digest: "a")
            #expect(try await store.files(of: "a") == files)
            #expect(try await !store.note(rules(Self.two, digest: "a"), []))
            #expect(try await store.note(rules(digest: "b"), []))
            #expect(try await store.files(of: "a") == files)
            _ = try await store.note(rules(Self.two, digest: "b"), [])
            #expect(try await store.files(of: "a").isEmpty)
        }
    }

    @Test("since when the same rules are live outlasts a restart, and a change ends it")
    func since() async throws {
        try await withStore { store, _ in
            _ = try await store.note(rules(digest: "a", by: "SIGHUP", generation: 4), [])
            _ = try await store.note(rules(digest: "a", at: 60), [])
            var known = try #require(try await store.gateways().first)
            #expect(
                known.generation == 1 && known.loadedBy == "start" && known.loadedAt.seconds == Self.start.seconds + 60)
            #expect(known.sameSince == Self.start && known.sameSinceBy == "SIGHUP")
            _ = try await store.note(rules(digest: "b", at: 90, by: "SIGHUP", generation: 2), [])
            known = try #require(try await store.gateways().first)
            #expect(known.sameSince.seconds == Self.start.seconds + 90 && known.digest == "b" && known.ruleCount == 3)
        }
    }

    @Test("the last failure stays over a restart until there is another")
    func failure() async throws {
        try await withStore { store, _ in
            let first = GatewayRules.Failure(at: Self.start, by: "SIGHUP", errors: 2, first: "a.yaml:1:1: broken")
            _ = try await store.note(rules(digest: "a", failure: first), [])
            _ = try await store.note(rules(digest: "a"), [])
            #expect(try await store.gateways().first?.failure == first)
            let second = GatewayRules.Failure(
                at: Self.start.advanced(bySeconds: 9), by: "x", errors: 1, first: "b.yaml")
            _ = try await store.note(rules(digest: "a", failure: second), [])
            #expect(try await store.gateways().first?.failure == second)
        }
    }

    @Test("several gateways are told apart, the one that loaded last first")
    func several() async throws {
        try await withStore { store, _ in
            _ = try await store.note(rules(Self.one, digest: "a", at: 1), [])
            _ = try await store.note(rules(Self.two, digest: "b", at: 2), [])
            #expect(try await store.gateways().map(\.gateway) == [Self.two, Self.one])
        }
    }

    @Test("each load is in the audit log, with who asked for it")
    func audit() async throws {
        try await withStore { store, world in
            let admin = UniqueID("a0000000-0000-0000-0000-000000000001")!
            _ = try await store.note(
                rules(digest: "a"),
                [
                    RulesEvent(at: Self.start, actorID: nil, actor: "SIGHUP", outcome: "rejected", digest: "a"),
                    RulesEvent(at: Self.start, actorID: admin, actor: "administrator", outcome: "swapped", digest: "a"),
                ])
            _ = try await store.note(rules(digest: "a"), [])
            let lines = try await world.value(
                """
                SELECT string_agg(concat_ws(' ', actor, actor_role, action, entity_id, detail ->> 'outcome'), '|'
                                  ORDER BY actor_role) FROM gateway.audit_log
                """)
            #expect(
                lines
                    == "SIGHUP rules.reload \(Self.one) rejected|\(admin) administrator rules.reload \(Self.one) swapped"
            )
        }
    }
}
