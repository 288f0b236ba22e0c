import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// A message that went to the wrong thread.
@Suite(.serialized) struct ReassignTests {
    /// Three messages of Tom's at Ann's, the last two unread, and one at Bob's; all landlords are switched on.
    private func makeWorld() async throws -> RecorderWorld {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE public.user_profiles SET whatsapp_enabled = true")
        for (index, id) in ["w1", "w2", "w3"].enumerated() {
            let at = RecorderWorld.clock.advanced(bySeconds: Int64(index) - 60)
            try await world.record([world.message(id, from: RecorderWorld.tom, RecorderWorld.toTom, at: at)])
        }
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET unread_count = 2")
        return world
    }

    private func reassign(_ world: RecorderWorld, _ id: String, to lease: UniqueID) async throws -> Bool {
        let text = try await world.value("SELECT id FROM gateway.whatsapp_messages WHERE wamid = $1", .text(id))
        let message = try #require(text.flatMap { UniqueID($0) })
        return try await PostgresInbox(world.owner).reassign(message: message, lease: lease, actor: "root")
    }

    private func threads(_ world: RecorderWorld) async throws -> String? {
        try await world.value(
            """
            SELECT string_agg(concat_ws(' ', l.landlord_name, c.unread_count,
                     (SELECT string_agg(wamid, ',' ORDER BY sent_at) FROM gateway.whatsapp_messages m
                       WHERE m.conversation_id = c.id),
                     c.last_message_at = (SELECT max(sent_at) FROM gateway.whatsapp_messages m
                                           WHERE m.conversation_id = c.id)), '; ' ORDER BY l.landlord_name)
              FROM gateway.whatsapp_conversations c JOIN gateway.route_landlords l USING (landlord_id)
            """)
    }

    @Test("the wrong landlord does not see it any more, the right one finds it unread, once")
    func moves() async throws {
        let world = try await makeWorld()
        #expect(try await reassign(world, "w3", to: RecorderWorld.timLease))
        #expect(try await threads(world) == "Ann 1 w1,w2 t; Bob 1 w3 t")
        #expect(try await !reassign(world, "w3", to: RecorderWorld.timLease))
        #expect(try await threads(world) == "Ann 1 w1,w2 t; Bob 1 w3 t")
        #expect(
            try await world.value("SELECT string_agg(action || ' ' || actor_role, ',') FROM gateway.audit_log")
                == "inbox.reassign root")
        #expect(
            try await world.value(
                "SELECT routing_metadata ->> 'rung' FROM gateway.whatsapp_messages WHERE wamid = 'w3'") == "reassigned")
    }

    @Test("a message that was read leaves the unread count alone")
    func read() async throws {
        let world = try await makeWorld()
        #expect(try await reassign(world, "w1", to: RecorderWorld.timLease))
        #expect(try await threads(world) == "Ann 2 w2,w3 t; Bob 1 w1 t")
    }

    @Test("a thread that is left without a message is gone")
    func emptied() async throws {
        let world = try await makeWorld()
        for id in ["w1", "w2", "w3"] { #expect(try await reassign(world, id, to: RecorderWorld.timLease)) }
        #expect(try await threads(world) == "Bob 3 w1,w2,w3 t")
        #expect(try await reassign(world, "w2", to: RecorderWorld.tomLease))
        #expect(try await threads(world) == "Ann 1 w2 t; Bob 2 w1,w3 t")
    }

    @Test("tags and priority that a rule gave it go with it")
    func tags() async throws {
        let world = try await makeWorld()
        try await world.record([
            world.ordering(
                "w4", [.tag("leak"), .tag("both"), .raisePriority], from: RecorderWorld.tom, RecorderWorld.toTom),
            world.ordering("w5", [.tag("both")], from: RecorderWorld.tom, RecorderWorld.toTom),
        ])
        #expect(try await reassign(world, "w4", to: RecorderWorld.timLease))
        #expect(
            try await world.value(
                """
                SELECT string_agg((l.landlord_name, c.tags, c.priority)::text, ';' ORDER BY l.landlord_name)
                  FROM gateway.whatsapp_conversations c JOIN gateway.route_landlords l USING (landlord_id)
                """) == "(Ann,{both},normal);(Bob,\"{both,leak}\",high)")
    }

    @Test("what has not been forwarded to the wrong landlord is not any more")
    func forwards() async throws {
        let world = try await makeWorld()
        try await world.owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
        try await world.record([world.message("w4", from: RecorderWorld.tom, RecorderWorld.toTom)])
        #expect(try await reassign(world, "w4", to: RecorderWorld.timLease))
        #expect(
            try await world.value("SELECT string_agg(landlord_id::text, ',') FROM gateway.outbox")
                == "\(RecorderWorld.bob)")
    }

    @Test("a landlord who is off has it withheld")
    func withheld() async throws {
        let world = try await makeWorld()
        try await world.owner.execute(
            "UPDATE public.user_profiles SET whatsapp_enabled = false WHERE id = '\(RecorderWorld.bob)'")
        #expect(try await reassign(world, "w2", to: RecorderWorld.timLease))
        #expect(try await world.status(of: "w2") == "opted_out")
    }

    @Test(
        "only a message in a thread is moved, and only to a lease of its sender's",
        arguments: [
            ("w2", RecorderWorld.tessLease, "ZR006"), ("w2", UniqueID(high: 1, low: 1), "ZR006"),
            ("waiting", RecorderWorld.timLease, "ZR404"),
        ])
    func refusals(id: String, lease: UniqueID, code: String) async throws {
        let world = try await makeWorld()
        try await world.record([world.message("waiting", from: RecorderWorld.tom, .held(RecorderWorld.tomOrTim))])
        let before = try await world.everything()
        let error = await #expect(throws: PostgresError.self) { _ = try await reassign(world, id, to: lease) }
        #expect(error?.sqlState == code)
        #expect(try await world.everything() == before)
    }
}
