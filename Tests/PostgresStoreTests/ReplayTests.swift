import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

/// Stored webhooks decoded again: what an earlier decoder had ignored or understood by half.
@Suite("PostgresReplay") struct ReplayTests {
    private static func body(_ messages: String..., statuses: [String] = []) -> [UInt8] {
        let metadata = #"{"phone_number_id":"PN1"}"#
        let value =
            #"{"metadata":\#(metadata),"messages":[\#(messages.joined(separator: ","))],"#
            + #""statuses":[\#(statuses.joined(separator: ","))]}"#
        return Array(
            #"{"object":"whatsapp_business_account","entry":[{"id":"W1","changes":[{"field":"messages","value":\#(value)}]}]}"#
                .utf8)
    }

    private static func text(_ id: String, from phone: UInt64 = RecorderWorld.tess, body: String = "hello") -> String {
        #"{"id":"\#(id)","from":"\#(phone)","timestamp":"\#(RecorderWorld.clock.seconds)","type":"text","text":{"body":"\#(body)"}}"#
    }

    private static func image(_ id: String, caption: String) -> String {
        #"{"id":"\#(id)","from":"\#(RecorderWorld.tess)","timestamp":"\#(RecorderWorld.clock.seconds)","type":"image","#
            + #""image":{"id":"77","mime_type":"image/jpeg","caption":"\#(caption)"},"context":{"id":"q1"}}"#
    }

    private static func status(_ id: String) -> String {
        #"{"id":"\#(id)","status":"delivered","timestamp":"\#(RecorderWorld.clock.seconds)","recipient_id":"1"}"#
    }

    /// Stores webhooks as a decoder did that understood none of it, and of them these messages.
    private func store(
        _ world: RecorderWorld, _ webhooks: (body: [UInt8], ignored: Int)..., messages: [RecordedMessage] = []
    ) async throws {
        let checkpoint = try await world.claim()
        let first = checkpoint.position.value + 1
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: checkpoint.position,
            upTo: JournalPosition(checkpoint.position.value + Int64(webhooks.count)))
        for (offset, webhook) in webhooks.enumerated() {
            let count = offset == 0 ? messages.count : 0
            batch.webhooks.append(
                world.webhook(
                    JournalPosition(first + Int64(offset)), updates: webhook.ignored + count, ignored: webhook.ignored,
                    body: String(decoding: webhook.body, as: UTF8.self)))
        }
        for message in messages {
            var message = message
            message.position = JournalPosition(first)
            batch.messages.append(message)
        }
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
    }

    private struct Failure: Error {}

    private func request(_ world: RecorderWorld) async throws -> PostgresReplayRequests {
        let requests = PostgresReplayRequests(try await PostgresConnection.connect(world.configuration))
        _ = try await requests.request(source: nil, from: nil, to: nil, actor: "cli:root")
        return requests
    }

    private func batch(_ slice: ReplaySlice, _ world: RecorderWorld) async throws -> RecordBatch {
        var batch = ReplayPreview.batch(of: slice, table: try await world.table(), now: RecorderWorld.clock)
        let checkpoint = try await world.claim()
        batch.journal = checkpoint.journal
        batch.owner = world.ownerID
        batch.after = checkpoint.position
        batch.upTo = checkpoint.position
        for index in batch.messages.indices where batch.messages[index].message.type == "image" {
            batch.messages[index].message.media = media
        }
        return batch
    }

    private let media = MediaReference(
        id: "77", mimeType: "image/jpeg", sha256: String(repeating: "0f", count: 32), fileName: "tap.jpg")

    /// Goes through a replay as intake does.
    private func replay(_ world: RecorderWorld, limit: Int = 100) async throws -> ReplayOutcome {
        var total = ReplayOutcome()
        while let slice = try await world.recorder.replaySlice(limit: limit) {
            guard case .recorded(let outcome) = try await world.recorder.record(try await batch(slice, world)) else {
                throw Failure()
            }
            total += try #require(outcome.replayed)
        }
        return total
    }

    @Test("records what was ignored, routed as of now, and moves its verdict in its webhook's row")
    func ignored() async throws {
        let world = try await RecorderWorld()
        try await store(
            world,
            (Self.body(Self.text("m1"), Self.text("m2", from: RecorderWorld.nina), statuses: [Self.status("s1")]), 4),
            (Self.body(Self.text("m3", from: RecorderWorld.tom)), 1))
        let requests = try await request(world)
        let outcome = try await replay(world, limit: 1)
        #expect(outcome.webhooks == 2 && outcome.recorded == 3 && outcome.statuses == 1 && outcome.refused == 0)
        #expect(try await world.status(of: "m1") == "delivered")
        #expect(try await world.status(of: "m2") == "unknown_sender")
        #expect(try await world.status(of: "m3") == "ambiguous")
        let counts = try await world.verdicts()
        #expect(counts.routed == 1 && counts.unclaimed == 1 && counts.held == 1 && counts.status == 1)
        #expect(counts.ignored == 1 && counts.total == 5)
        #expect(
            try await world.value(
                "SELECT string_agg(wamid || journal_pos, ' ' ORDER BY wamid) FROM gateway.whatsapp_messages")
                == "m11 m21 m32")
        #expect(try await world.claim().position.value == 2)
        let progress = try #require(try await requests.progress(of: 1))
        #expect(progress.isFinished && progress.outcome == outcome)
        #expect(
            try await world.value("SELECT (action, actor_role)::text FROM gateway.audit_log")
                == "(replay.request,cli:root)")
    }

    @Test("does nothing the second time")
    func again() async throws {
        let world = try await RecorderWorld()
        try await store(
            world, (Self.body(Self.text("m1"), Self.image("m2", caption: "tap"), statuses: [Self.status("s1")]), 3))
        _ = try await request(world)
        _ = try await replay(world)
        let before = try await world.everything()
        let files = try await world.count("media")
        _ = try await request(world)
        let outcome = try await replay(world)
        #expect(outcome.recorded == 0 && outcome.refreshed == 0 && outcome.files == 0 && outcome.webhooks == 1)
        #expect(try await world.everything() == before)
        #expect(try await world.count("media") == files && files == 1)
    }

    @Test("fills in what a recorded message was not understood for, and keeps its bytes and its verdict")
    func refreshed() async throws {
        let world = try await RecorderWorld()
        var message = world.message("m1", from: RecorderWorld.tess, RecorderWorld.toTess, body: nil)
        message.message.raw = Array("{}".utf8)
        message.message.type = "image"
        try await store(world, (Self.body(Self.image("m1", caption: "the tap")), 0), messages: [message])
        _ = try await request(world)
        let outcome = try await replay(world)
        #expect(outcome.recorded == 0 && outcome.refreshed == 1 && outcome.files == 1)
        #expect(
            try await world.value(
                "SELECT concat_ws('|', body, context_wamid, convert_from(raw, 'UTF8')) FROM gateway.whatsapp_messages")
                == "the tap|q1|{}")
        #expect(
            try await world.value(
                "SELECT concat_ws('|', provider_media_id, mime_type, length(sha256), file_name, landlord_id) FROM gateway.media"
            )
                == "77|image/jpeg|32|tap.jpg|\(RecorderWorld.ann)")
        #expect(try await world.verdicts().routed == 1)
    }

    @Test("leaves a message alone that was understood, and what it knew of one that is understood less")
    func understood() async throws {
        let world = try await RecorderWorld()
        var less = world.message("m2", from: RecorderWorld.tess, RecorderWorld.toTess, body: "kept", quoting: "kept")
        less.message.raw = Array("{}".utf8)
        let unknown =
            #"{"id":"m2","from":"\#(RecorderWorld.tess)","timestamp":"\#(RecorderWorld.clock.seconds)","type":"marvel"}"#
        try await store(
            world, (Self.body(Self.text("m1", body: "other"), unknown), 0),
            messages: [world.message("m1", from: RecorderWorld.tess, RecorderWorld.toTess, body: "mine"), less])
        _ = try await request(world)
        #expect(try await replay(world).refreshed == 0)
        #expect(
            try await world.value("SELECT string_agg(body, ' ' ORDER BY wamid) FROM gateway.whatsapp_messages")
                == "mine kept")
    }

    @Test("takes more updates than a webhook had before, and never a verdict from one that has its own")
    func roomForVerdicts() async throws {
        let world = try await RecorderWorld()
        try await store(world, (Self.body(Self.text("m1"), Self.text("m2")), 1))
        let known = world.message("m3", from: RecorderWorld.tess, RecorderWorld.toTess)
        try await store(world, (Self.body(Self.text("m3")), 0), messages: [known])
        try await world.owner.execute(
            "DELETE FROM gateway.whatsapp_messages; DELETE FROM gateway.message_ids")
        _ = try await request(world)
        #expect(try await replay(world).recorded == 3)
        #expect(
            try await world.value(
                "SELECT string_agg(updates || ' ' || routed || ' ' || ignored, ', ' ORDER BY journal_pos) FROM gateway.webhook_log"
            )
                == "2 2 0, 1 1 0")
    }

    @Test("leaves parked updates to their redrive")
    func parked() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        let body = String(decoding: Self.body(Self.text("m1"), Self.text("m2")), as: UTF8.self)
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: checkpoint.position, upTo: JournalPosition(1))
        batch.webhooks = [world.webhook(JournalPosition(1), updates: 2, ignored: 1, parked: 1, body: body)]
        batch.parked = [
            ParkedUpdate(
                position: JournalPosition(1), index: 0, source: .meta, receivedAt: RecorderWorld.clock,
                reason: "rejected_by_database", detail: "", endpoint: nil, payload: Array(body.utf8))
        ]
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
        _ = try await request(world)
        #expect(try await replay(world).recorded == 1)
        #expect(try await world.status(of: "m1") == nil)
        #expect(try await world.status(of: "m2") == "delivered")
        let counts = try await world.verdicts()
        #expect(counts.parked == 1 && counts.routed == 1 && counts.ignored == 0)
    }

    @Test("does a slice once: after a lost answer, and beside another gateway")
    func passed() async throws {
        let world = try await RecorderWorld()
        try await store(world, (Self.body(Self.text("m1")), 1))
        _ = try await request(world)
        let slice = try #require(try await world.recorder.replaySlice(limit: 10))
        let batch = try await batch(slice, world)
        guard case .recorded(let first) = try await world.recorder.record(batch),
            case .recorded(let second) = try await world.recorder.record(batch)
        else { throw Failure() }
        #expect(first.replayed?.recorded == 1 && second.replayed == ReplayOutcome())
        let counts = try await world.verdicts()
        #expect(counts.routed == 1 && counts.ignored == 0)
        #expect(try await world.value("SELECT (replayed, recorded)::text FROM gateway.webhook_replays") == "(1,1)")
    }

    @Test("is fenced like everything else, and a route that does not hold moves nothing on")
    func fenced() async throws {
        let world = try await RecorderWorld()
        try await store(world, (Self.body(Self.text("m1")), 1))
        _ = try await request(world)
        let slice = try #require(try await world.recorder.replaySlice(limit: 10))
        var batch = try await batch(slice, world)
        batch.owner = RecorderWorld.ann
        guard case .fenced = try await world.recorder.record(batch) else { throw Failure() }
        try await world.owner.execute("DELETE FROM public.leases WHERE id = '\(RecorderWorld.tessLease)'")
        batch.owner = world.ownerID
        guard case .staleRoutes = try await world.recorder.record(batch) else { throw Failure() }
        #expect(try await world.recorder.replaySlice(limit: 10)?.after == nil)
        #expect(try await world.count("whatsapp_messages") == 0)
    }

    @Test("takes the webhooks of its span and source alone")
    func span() async throws {
        let world = try await RecorderWorld()
        try await store(world, (Self.body(Self.text("m1")), 1))
        let requests = PostgresReplayRequests(try await PostgresConnection.connect(world.configuration))
        let at = RecorderWorld.clock
        let cases: [(WebhookSource?, Timestamp?, Timestamp?, Int)] = [
            (.vps, nil, nil, 0), (nil, at.advanced(bySeconds: 1), at.advanced(bySeconds: 2), 0),
            (nil, nil, at, 0), (.meta, at, at.advanced(bySeconds: 1), 1),
        ]
        for (source, from, to, count) in cases {
            _ = try await requests.request(source: source, from: from, to: to, actor: "cli:root")
            #expect(try await replay(world).webhooks == count)
        }
    }

    @Test("foretells what it will do, and changes nothing by it")
    func preview() async throws {
        let world = try await RecorderWorld()
        var message = world.message("m1", from: RecorderWorld.tess, RecorderWorld.toTess, body: nil)
        message.message.raw = Array("{}".utf8)
        try await store(
            world, (Self.body(Self.image("m1", caption: "the tap")), 0),
            (Self.body(Self.text("m2"), Self.text("m2")), 2),
            (Self.body(Self.image("m3", caption: "x"), statuses: [Self.status("s1")]), 2), messages: [message])
        let before = try await world.everything()
        let requests = PostgresReplayRequests(try await PostgresConnection.connect(world.configuration))
        let foretold = try await requests.preview(
            source: nil, from: nil, to: RecorderWorld.clock.advanced(bySeconds: 60), table: try await world.table(),
            now: RecorderWorld.clock)
        #expect(try await world.everything() == before)
        #expect(try await world.count("webhook_replays") == 0)
        _ = try await request(world)
        let outcome = try await replay(world)
        #expect(
            [foretold.webhooks, foretold.recorded, foretold.refreshed, foretold.statuses]
                == [outcome.webhooks, outcome.recorded, outcome.refreshed, outcome.statuses])
        #expect(foretold.webhooks == 3 && foretold.recorded == 2 && foretold.refreshed == 1 && foretold.statuses == 1)
    }
}
