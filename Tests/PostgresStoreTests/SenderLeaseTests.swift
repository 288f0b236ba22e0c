import Intake
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Which of a landlord's leases a message goes by is found where it is recorded.
@Suite(.serialized) struct SenderLeaseTests {
    private static let tessTenant = "10000000-0000-0000-0000-000000000001"
    private static let tinaTenant = "00000000-0000-0000-0000-000000000009"
    private static let tinaLease = "20000000-0000-0000-0000-000000000009"

    /// Tina shares Tess's number, and rents from Ann, too.
    private func addTina(_ world: RecorderWorld, from day: String, status: String = "active") async throws {
        try await world.owner.execute(
            """
            INSERT INTO public.tenants (id, user_id, name, phone)
              VALUES ('\(Self.tinaTenant)', '\(RecorderWorld.ann)', 'Tina', '+447911123456');
            INSERT INTO public.leases (id, tenant_id, property_id, status, start_date)
              VALUES ('\(Self.tinaLease)', '\(Self.tinaTenant)', '\(RecorderWorld.annHome)', '\(status)', '\(day)');
            """)
    }

    private func tenant(_ world: RecorderWorld, of id: String) async throws -> String? {
        try await world.value(
            "SELECT c.tenant_id FROM gateway.whatsapp_messages m JOIN gateway.whatsapp_conversations c "
                + "ON c.id = m.conversation_id WHERE m.wamid = $1", .text(id))
    }

    @Test(
        "of people who share a number at one landlord the oldest lease speaks, then the smaller tenant id",
        arguments: [("2024-12-31", tinaTenant), ("2025-01-01", tinaTenant), ("2025-01-02", tessTenant)])
    func speaks(day: String, expected: String) async throws {
        let world = try await RecorderWorld()
        try await addTina(world, from: day)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(try await tenant(world, of: "w1") == expected)
        #expect(
            try await world.value("SELECT routing_metadata ->> 'lease' FROM gateway.whatsapp_messages")
                == (expected == Self.tinaTenant ? Self.tinaLease : "\(RecorderWorld.tessLease)"))
    }

    /// Tess's lease is the older one, and its days of grace are over since yesterday, which the day to spare lets pass.
    @Test("a lease that counts today speaks before one that counts by the day to spare alone", arguments: [30, 31])
    func counts(daysAgo: Int) async throws {
        let world = try await RecorderWorld()
        try await addTina(world, from: "2025-06-01")
        try await world.owner.execute(
            """
            UPDATE public.leases SET end_date = current_date - \(daysAgo) WHERE id = '\(RecorderWorld.tessLease)';
            UPDATE public.leases SET end_date = current_date - 5 WHERE id = '\(Self.tinaLease)';
            """)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(try await tenant(world, of: "w1") == (daysAgo == 30 ? Self.tessTenant : Self.tinaTenant))
    }

    @Test("a lease that is gone while another with the same landlord goes on is no stale route")
    func anotherLeaseGoesOn() async throws {
        let world = try await RecorderWorld()
        try await addTina(world, from: "2025-06-01")
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tessLease)'")
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(try await tenant(world, of: "w1") == Self.tinaTenant)
    }

    @Test("a lease under another number, or with another landlord, is not found")
    func notFound() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        func to(_ landlord: UniqueID, _ phone: UInt64) -> RecordedMessage.Destination {
            .lease(RecorderWorld.candidate(landlord, phone), rung: .onlyCandidate)
        }
        let batch = world.batch(
            [
                world.message("w1", from: RecorderWorld.tess, to(RecorderWorld.bob, RecorderWorld.tess)),
                world.message("w2", from: RecorderWorld.tess, to(RecorderWorld.ann, RecorderWorld.tom)),
                world.message("w3", from: RecorderWorld.tess, to(RecorderWorld.ann, RecorderWorld.tess)),
                world.message("w4", from: 447_911_555_555, to(RecorderWorld.ann, RecorderWorld.tess)),
            ], after: checkpoint)
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("not stale")
            return
        }
        #expect(stale.map(\.message) == [0, 1, 3])
    }

    @Test("a held message names its candidates' leases, and leaves out one that has none any more")
    func heldCandidates() async throws {
        let world = try await RecorderWorld()
        let (ann, bob) = (RecorderWorld.ann, RecorderWorld.bob)
        let candidates = [
            RecorderWorld.candidate(bob, RecorderWorld.tom), RecorderWorld.candidate(ann, RecorderWorld.tom),
            RecorderWorld.candidate(ann, RecorderWorld.tess),
        ]
        try await world.record([world.message("w1", from: RecorderWorld.tom, .held(candidates))])
        #expect(
            try await world.value(
                """
                SELECT string_agg(concat_ws(' ', c ->> 'landlord', c ->> 'tenant', c ->> 'lease', c ->> 'property'), ',' ORDER BY n)
                  FROM gateway.whatsapp_messages, jsonb_array_elements(routing_metadata -> 'candidates') WITH ORDINALITY x(c, n)
                """)
                == "\(bob) 10000000-0000-0000-0000-000000000003 \(RecorderWorld.timLease) \(RecorderWorld.bobHome),"
                + "\(ann) 10000000-0000-0000-0000-000000000002 \(RecorderWorld.tomLease) \(RecorderWorld.annHome)")
    }

    @Test("costs a probe by the number, however many leases there are")
    func isIndexed() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.routes (tenant_id, lease_id, landlord_id, phone_key, tenant_phone, lease_status)
              SELECT gen_random_uuid(), gen_random_uuid(), '\(RecorderWorld.ann)', 447000000000 + n, 447000000000 + n, 'active'
                FROM generate_series(1, 5000) n;
            ANALYZE gateway.routes;
            """)
        let plan = try await world.owner.query(
            """
            EXPLAIN SELECT r.lease_id FROM unnest(ARRAY[447000000007, 447000000008]) k(key)
              LEFT JOIN LATERAL gateway.sender_lease('\(RecorderWorld.ann)', k.key, '', k.key, 'bsuid', 'PF', NULL, now(), 30)
                r ON true
            """
        ).map { try $0.text(0) }.joined(separator: "\n")
        #expect(plan.contains("routes_phone_idx") && !plan.contains("Function Scan on sender_lease"), "\(plan)")
    }

    @Test("an endpoint that became a landlord's own takes nothing to another, by a lease or into a thread")
    func endpointOfAnother() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let thread = ThreadReference(
            conversationID: try #require(try await world.thread(of: "w1")), landlordID: RecorderWorld.ann,
            tenantID: nil,
            propertyID: nil, isQuoted: true, lastMessageAt: nil, lastOutboundAt: nil)
        try await world.owner.execute(
            """
            UPDATE gateway.endpoints SET scope = 'landlord', landlord_id = '\(RecorderWorld.bob)';
            UPDATE gateway.identities SET scope = '\(RecorderWorld.bob)' WHERE kind = 'phone';
            UPDATE gateway.people SET realm = '\(RecorderWorld.bob)'
            """)
        let messages = [
            world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w3", from: RecorderWorld.tess, .thread(thread, rung: .quoted)),
            world.message("w4", from: RecorderWorld.tom, RecorderWorld.toTim),
        ]
        let batch = world.batch(messages, after: try await world.claim())
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("recorded for a landlord whose endpoint it is not")
            return
        }
        #expect(stale.map(\.message) == [0, 1])
        try await world.record([messages[2]])
    }

    @Test("nothing is recorded on an endpoint that is gone, whoever it is from")
    func endpointGone() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("DELETE FROM gateway.endpoints")
        let batch = world.batch(
            [world.message("w1", from: RecorderWorld.tess + 1, .unclaimed)], after: try await world.claim())
        guard case .staleRoutes(let stale) = try await world.recorder.record(batch) else {
            Issue.record("recorded on an endpoint that is gone")
            return
        }
        #expect(stale.map(\.message) == [0] && stale[0].routes.isEmpty)
    }
}
