import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct RecorderStatusTests {
    /// A queued message of Ann's to Tess, and its job.
    static func queued(in world: RecorderWorld, providerID: String? = nil) async throws -> MessageReference {
        try await world.record([world.message("in", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let reference = MessageReference(
            id: UniqueID("00000000-0000-7000-8000-000000000001")!, sentAt: RecorderWorld.clock)
        _ = try await world.owner.query(
            """
            WITH m AS (
              INSERT INTO gateway.whatsapp_messages (id, sent_at, conversation_id, landlord_id, endpoint_id, direction, body, status)
              SELECT $1::uuid, $2::timestamptz, id, landlord_id, endpoint_id, 'outgoing', 'hi', 'queued'
                FROM gateway.whatsapp_conversations RETURNING id, sent_at)
            INSERT INTO gateway.outbox (kind, idempotency_key, message_id, message_sent_at, payload)
            SELECT 'meta_send', 'msg:' || id, id, sent_at, '{}' FROM m
            """, [.id(reference.id), .time(reference.sentAt)])
        if let providerID {
            _ = try await world.owner.query(
                "SELECT gateway.message_sent($1::uuid, $2::timestamptz, $3::text)",
                [.id(reference.id), .time(reference.sentAt), .text(providerID)])
        }
        return reference
    }

    static func update(
        _ world: RecorderWorld, _ status: DeliveryStatus, _ offset: Int64 = 0, id: String = "wO",
        ours: MessageReference? = nil
    ) -> StatusUpdate {
        StatusUpdate(
            endpoint: world.endpoint.reference, messageID: id, status: status,
            at: RecorderWorld.clock.advanced(bySeconds: offset), errorCode: status == .failed ? 131_026 : nil,
            errorDetail: status == .failed ? "undeliverable" : nil, correlation: ours)
    }

    static func outgoing(_ world: RecorderWorld) async throws -> (
        status: String, delivered: Timestamp?, outcome: String?
    ) {
        let row = try await world.owner.query(
            "SELECT status::text, delivered_at, outcome FROM gateway.whatsapp_messages WHERE direction = 'outgoing'"
        ).one()
        return (try row.text(0), try row.nullableTime(1), try row.nullableText(2))
    }

    /// Every order of the five, in one batch and one by one.
    static let orders: [[DeliveryStatus]] = {
        func permutations(_ rest: [DeliveryStatus]) -> [[DeliveryStatus]] {
            rest.isEmpty
                ? [[]]
                : rest.indices.flatMap { index in
                    var others = rest
                    let first = others.remove(at: index)
                    return permutations(others).map { [first] + $0 }
                }
        }
        return permutations([.sent, .failed, .delivered, .read])
    }()

    @Test func everyOrderOfStatusesEndsTheSame() async throws {
        let world = try await RecorderWorld()
        _ = try await Self.queued(in: world, providerID: "wO")
        let fresh =
            "UPDATE gateway.whatsapp_messages SET status = 'sent', delivered_at = NULL, read_at = NULL, failed_at = NULL "
            + "WHERE direction = 'outgoing'"
        for order in Self.orders {
            for batches in [[order], order.map { [$0] }] {
                try await world.owner.execute(fresh)
                for batch in batches {
                    try await world.record(statuses: batch.map { Self.update(world, $0, Int64($0.rank)) })
                }
                let outgoing = try await Self.outgoing(world)
                #expect(outgoing.status == "read", "\(batches)")
                #expect(
                    outgoing.delivered == RecorderWorld.clock.advanced(bySeconds: Int64(DeliveryStatus.delivered.rank)))
            }
        }
    }

    @Test func theFirstTimeOfAStageStays() async throws {
        let world = try await RecorderWorld()
        _ = try await Self.queued(in: world, providerID: "wO")
        for offset: Int64 in [5, 3, 9] { try await world.record(statuses: [Self.update(world, .delivered, offset)]) }
        #expect(try await Self.outgoing(world).delivered == RecorderWorld.clock.advanced(bySeconds: 3))
    }

    @Test func aFailureAfterADeliveryDoesNotWin() async throws {
        let world = try await RecorderWorld()
        _ = try await Self.queued(in: world, providerID: "wO")
        try await world.record(statuses: [Self.update(world, .delivered)])
        try await world.record(statuses: [Self.update(world, .failed)])
        #expect(try await Self.outgoing(world).status == "delivered")
    }

    @Test func aStatusForAnUnknownIDWaitsForIt() async throws {
        let world = try await RecorderWorld()
        let reference = try await Self.queued(in: world)
        try await world.record(statuses: [Self.update(world, .delivered), Self.update(world, .sent)])
        #expect(try await world.count("pending_statuses") == 2)
        #expect(try await Self.outgoing(world).status == "queued")
        _ = try await world.owner.query(
            "SELECT gateway.outbox_claim('meta_send', 'w', 1), gateway.message_sent($1::uuid, $2::timestamptz, 'wO')",
            [.id(reference.id), .time(reference.sentAt)])
        #expect(try await Self.outgoing(world).status == "delivered")
        #expect(try await world.count("pending_statuses") == 0)
    }

    /// The answer to a send and its first status at once: whichever commits first, neither misses the other.
    @Test func anAnswerWaitsForAStatusThatIsBeingRecorded() async throws {
        let world = try await RecorderWorld()
        let reference = try await Self.queued(in: world)
        let recording = try await PostgresConnection.connect(world.configuration)
        let sending = try await PostgresConnection.connect(world.configuration)
        try await recording.begin()
        _ = try await recording.query(
            "SELECT gateway.apply_statuses(ARRAY[$1::uuid], '{wO}', '{delivered}', ARRAY[$2::timestamptz], '{NULL}', '{NULL}', '{NULL}')",
            [.id(world.endpoint.id), .time(RecorderWorld.clock)])
        let process = try await sending.query("SELECT pg_backend_pid()").one().int32(0)
        async let answered = sending.query(
            "SELECT gateway.message_sent($1::uuid, $2::timestamptz, 'wO')",
            [.id(reference.id), .time(reference.sentAt)])
        var isWaiting = false
        for _ in 0..<10_000 where !isWaiting {
            isWaiting =
                try await world.value(
                    "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", .int32(process)) == "true"
        }
        #expect(isWaiting)
        try await recording.commit()
        _ = try await answered
        #expect(try await Self.outgoing(world).status == "delivered")
        #expect(try await world.count("pending_statuses") == 0)
    }

    @Test func aStatusWithOurIDCompletesASendWhoseAnswerWasLost() async throws {
        let world = try await RecorderWorld()
        let reference = try await Self.queued(in: world)
        try await world.owner.execute(
            """
            SELECT gateway.outbox_claim('meta_send', 'w', 1);
            SELECT gateway.outbox_uncertain(id, attempts, 'time-out') FROM gateway.outbox
            """)
        try await world.record(statuses: [Self.update(world, .sent, ours: reference)])
        let outgoing = try await Self.outgoing(world)
        #expect(outgoing.status == "sent")
        #expect(outgoing.outcome == "accepted")
        #expect(try await world.count("outbox") == 0)
        try await world.record(statuses: [Self.update(world, .read)])
        #expect(try await Self.outgoing(world).status == "read")
    }

    @Test func anotherMessagesReceiptIsNotTakenForOurs() async throws {
        let world = try await RecorderWorld()
        let reference = try await Self.queued(in: world, providerID: "wO")
        try await world.record(statuses: [Self.update(world, .failed, id: "wX", ours: reference)])
        #expect(try await Self.outgoing(world).status == "sent")
        #expect(try await world.count("pending_statuses") == 1)
    }

    @Test func aStatusNeverChangesAMessageSomebodySentUs() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("in", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.record(statuses: [Self.update(world, .failed, id: "in")])
        #expect(try await world.value("SELECT status FROM gateway.whatsapp_messages") == "received")
    }

    @Test func aPriceIsNotedOnce() async throws {
        let world = try await RecorderWorld()
        _ = try await Self.queued(in: world, providerID: "wO")
        var status = Self.update(world, .sent)
        status.pricing = #"{"billable":true,"pricing_model":"PMP","category":"utility","type":"regular"}"#
        try await world.record(statuses: [status])
        try await world.record(statuses: [status])
        #expect(
            try await world.value(
                "SELECT (landlord_id, category, billable, type)::text FROM gateway.message_costs")
                == "(\(RecorderWorld.ann),utility,t,regular)")
    }

    @Test func theRanksAreThoseOfTheVocabulary() async throws {
        let world = try await RecorderWorld()
        for status in DeliveryStatus.allCases {
            #expect(try await world.value("SELECT gateway.status_rank($1)", .text(status.rawValue)) == "\(status.rank)")
        }
    }
}
