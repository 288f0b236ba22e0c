import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct PostgresInboxConflictTests {
    /// Two people with threads whose ids come together in one message.
    private static func world() async throws -> (RecorderWorld, PostgresInbox) {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, account: "GB.other", RecorderWorld.toTom),
        ])
        try await world.record([
            world.message("w3", from: RecorderWorld.tess, account: "GB.other", RecorderWorld.toTess)
        ])
        return (world, PostgresInbox(try await PostgresConnection.connect(world.configuration)))
    }

    @Test("lists two people in doubt with what they are known by and whom they have threads with")
    func list() async throws {
        let (_, inbox) = try await Self.world()
        let conflict = try #require(try await inbox.conflicts(limit: 5).first)
        let people = [conflict.personA, conflict.personB]
        #expect(
            Set(people.flatMap(\.phones)) == [
                try #require(PhoneNumber(digits: RecorderWorld.tess)).masked,
                try #require(PhoneNumber(digits: RecorderWorld.tom)).masked,
            ])
        #expect(people.map(\.accounts).sorted() == [0, 1])
        #expect(people.map(\.landlords) == [["Ann"], ["Ann"]])
        #expect(try await inbox.conflicts(limit: 0).isEmpty)
    }

    @Test("settles a conflict once, on the record", arguments: [true, false])
    func close(_ isMerge: Bool) async throws {
        let (world, inbox) = try await Self.world()
        let conflict = try #require(try await inbox.conflicts(limit: 5).first)
        try await inbox.close(conflict: conflict.id, merging: isMerge, actor: "cli:root")
        #expect(try await inbox.conflicts(limit: 5).isEmpty)
        #expect(
            try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL")
                == (isMerge ? "1" : "2"))
        #expect(
            try await world.value(
                "SELECT concat_ws(' ', actor_role, action, detail ->> 'verdict') FROM gateway.audit_log")
                == "cli:root inbox.conflict \(isMerge ? "merged" : "kept_apart")")
        let error = await #expect(throws: PostgresError.self) {
            try await inbox.close(conflict: conflict.id, merging: isMerge, actor: "cli:root")
        }
        #expect(error?.sqlState == "ZR404")
    }

    /// Both have a thread with Ann as the same tenant by the time the notice comes.
    @Test("who was kept apart is absorbed by no later notice; who was not, is", arguments: [true, false])
    func keptApart(_ isKept: Bool) async throws {
        let (world, inbox) = try await Self.world()
        let conflict = try #require(try await inbox.conflicts(limit: 5).first)
        if isKept { try await inbox.close(conflict: conflict.id, merging: false, actor: "cli:root") }
        try await world.owner.execute(
            """
            SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tom)', '\(RecorderWorld.tess)', now(), 'notice')
            """)
        #expect(
            try await world.value("SELECT count(*) FROM gateway.people WHERE merged_into IS NULL")
                == (isKept ? "2" : "1"))
    }

    @Test("found by a notice are counted, once in a transaction")
    func counted() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, RecorderWorld.toTom),
        ])
        let phones = try [RecorderWorld.tess, RecorderWorld.tom].map { try #require(PhoneNumber(digits: $0)) }
        let checkpoint = try await world.claim()
        var batch = world.batch(after: checkpoint)
        batch.phase = .opens
        batch.identityChanges = [world.change("n1", .phone(from: phones[0], to: phones[1]))]
        var found: [Int] = []
        for _ in 1...2 {
            guard case .recorded(let outcome) = try await world.recorder.record(batch) else {
                Issue.record("not recorded")
                return
            }
            found.append(outcome.identityConflicts)
            batch.phase = .continues
        }
        #expect(found == [1, 0])
        await world.recorder.abandon()
    }
}
