import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct RecorderSessionTests {
    private func tell(
        _ world: RecorderWorld, _ id: UniqueID, _ state: SessionState, at seconds: Int64, phone: UInt64? = nil
    ) async throws {
        let checkpoint = try await world.claim()
        var batch = world.batch(after: checkpoint)
        let update = SessionUpdate(
            endpoint: EndpointReference(kind: .vpsSession, providerID: "s1"), state: state,
            phone: phone.flatMap { PhoneNumber(digits: $0) }, at: Timestamp(seconds: seconds))
        batch.sessions = [RecordedSession(endpointID: id, update: update)]
        batch.webhooks = [world.webhook(batch.upTo, updates: 1, statuses: 1)]
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
    }

    private struct Failure: Error {}

    @Test func aSessionGoesForwardInTimeOnly() async throws {
        let world = try await RecorderWorld()
        let id = try await world.owner.query(
            "INSERT INTO gateway.endpoints (kind, provider_id, scope) VALUES ('vps_session', 's1', 'platform') RETURNING id"
        ).one().id(0)
        func state() async throws -> String? {
            try await world.value("SELECT (status, phone)::text FROM gateway.endpoints WHERE kind = 'vps_session'")
        }
        try await tell(world, id, .connecting, at: 1000)
        try await tell(world, id, .connected, at: 1010, phone: 447_911_555_555)
        #expect(try await state() == "(connected,447911555555)")
        try await tell(world, id, .qr, at: 1005)
        try await tell(world, id, .connecting, at: 1010)
        #expect(try await state() == "(connected,447911555555)")
        try await tell(world, id, .loggedOut, at: 1020)
        #expect(try await state() == "(logged_out,447911555555)")
        try await tell(world, id, .connected, at: 253_402_300_799)
        try await tell(world, id, .disconnected, at: 1030)
        #expect(try await state() == "(connected,447911555555)")
        #expect(try await world.verdicts().status == 7)
    }

    @Test func aFileIsNotedOnceWithItsMessage() async throws {
        let world = try await RecorderWorld()
        var routed = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
        routed.message.media = MediaReference(
            id: "media-1", mimeType: "image/jpeg", sha256: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            fileName: "roof.jpg")
        var unclaimed = world.message("w2", from: 447_911_999_999, .unclaimed)
        unclaimed.message.media = MediaReference(id: "media-2", sha256: String(repeating: "aB", count: 32))
        var odd = world.message("w3", from: RecorderWorld.tess, RecorderWorld.toTess)
        odd.message.media = MediaReference(id: "media-3", sha256: "not a hash")
        for _ in 1...2 { try await world.record([routed, unclaimed, odd]) }
        #expect(
            try await world.value(
                """
                SELECT string_agg(concat_ws(' ', provider_media_id, mime_type, left(encode(sha256, 'hex'), 8), file_name, landlord_id), ', '
                                  ORDER BY provider_media_id) FROM gateway.media
                """)
                == "media-1 image/jpeg e3b0c442 roof.jpg \(RecorderWorld.ann), media-2 abababab, media-3 \(RecorderWorld.ann)"
        )
    }
}

@Suite(.serialized) struct PeopleRetentionTests {
    private func age(_ world: RecorderWorld) async throws {
        try await world.owner.execute(
            """
            UPDATE gateway.people SET created_at = created_at - interval '900 days';
            UPDATE gateway.identities SET first_seen = first_seen - interval '900 days', last_seen = last_seen - interval '900 days',
              retired_at = retired_at - interval '900 days'
            """)
    }

    @Test func whatSaysWhoseALeaseIsStays() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w2", from: 447_911_999_999, account: "GB.9", .unclaimed),
        ])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '447911222222', now())")
        try await age(world)
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = learnt_at - interval '2000 days'")
        #expect(try await world.value("SELECT gateway.prune_people()") == "0")
        #expect(try await world.count("people") == 2)
        // Written again since: nothing is left to be told apart.
        try await world.owner.execute("UPDATE gateway.routes SET learnt_at = now()")
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        // The stranger's message aged out.
        try await world.owner.execute("DELETE FROM gateway.whatsapp_messages WHERE wamid = 'w2'")
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        #expect(try await world.count("people") == 1)
        #expect(
            try await world.value("SELECT string_agg(value, ' ') FROM gateway.identities") == "447911222222")
        try await world.record([world.message("w3", from: 447_911_999_999, account: "GB.9", .unclaimed)])
        #expect(try await world.confusion() == nil)
    }

    @Test func aShadowGoesOnceNothingSpeaksOfIt() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w2", from: nil, account: "GB.1", .unclaimed)])
        try await world.record([world.message("w3", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess)])
        #expect(try await world.count("people") == 2)
        #expect(try await world.value("SELECT gateway.prune_people()") == "0")
        try await age(world)
        #expect(try await world.value("SELECT gateway.prune_people()") == "1")
        #expect(try await world.person(of: "w3") == world.person(of: "w1"))
    }
}
