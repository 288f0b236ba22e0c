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
}
