import Delivery
import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct PostgresForwardQueueTests {
    /// A world whose recorder passes webhooks on.
    struct Lanes {
        let world: RecorderWorld
        let queue: PostgresForwardQueue

        init(passesOn: Bool = true) async throws {
            world = try await RecorderWorld()
            queue = PostgresForwardQueue(world.configuration)
            recorder = PostgresRecorder(world.session, passesWebhooksOn: passesOn)
        }

        private let recorder: PostgresRecorder

        /// Records webhooks at the next positions, in one batch.
        @discardableResult
        func record(_ bodies: [String], from source: WebhookSource = .meta) async throws -> RecordBatch {
            let checkpoint = try await world.claim()
            let after = checkpoint.position.value
            var batch = RecordBatch(
                journal: checkpoint.journal, owner: world.ownerID, after: checkpoint.position,
                upTo: JournalPosition(after + Int64(bodies.count)))
            batch.webhooks = bodies.enumerated().map { offset, body in
                let envelope = Envelope(
                    source: source, receivedAt: RecorderWorld.clock, signature: Array("sha256=\(body)".utf8),
                    body: Array(body.utf8))
                return RecordedWebhook(
                    position: JournalPosition(after + Int64(offset) + 1), envelope: envelope, event: "x", updates: 1,
                    statuses: 0, ignored: 1, parked: 0)
            }
            guard case .recorded = try await recorder.record(batch) else {
                throw RecorderWorld.Unexpected(result: .fenced(nil))
            }
            return batch
        }

        func claim(
            _ source: WebhookSource = .meta, as name: String, jobs: Int = 10, bytes: Int64 = 1 << 20
        ) async throws -> [ForwardJob<ForwardedWebhook>] {
            try await queue.claim(source, as: name, limit: ForwardLimit(jobs: jobs, bytes: bytes), leaseSeconds: 60)
        }

        func settle(
            _ jobs: [ForwardJob<ForwardedWebhook>], as name: String, done: Int, failing decision: ForwardDecision? = nil
        ) async throws {
            var settlement = ForwardSettlement(claim: name, head: jobs[0].id)
            settlement.done = jobs.prefix(done).map(\.id)
            settlement.failed = decision.map { .init(job: jobs[done].id, decision: $0) }
            try await queue.settle(settlement)
        }

        /// As if pauses and leases were over.
        func letTimePass() async throws {
            try await world.owner.execute(
                "UPDATE gateway.outbox SET next_attempt_at = now() - interval '1 second' WHERE next_attempt_at > now()")
        }
    }

    private static func texts(_ jobs: [ForwardJob<ForwardedWebhook>]) -> [String] {
        jobs.map { String(decoding: $0.content?.body ?? [], as: UTF8.self) }
    }

    @Test("a recorded webhook is queued with the bytes it came with, its signature, and an id that never changes")
    func queued() async throws {
        let lanes = try await Lanes()
        let body = "{\"text\":\"h\u{e9}llo \\u0000\", \"b\":  1}\n"
        try await lanes.record([body])
        let job = try #require(await lanes.claim(as: "a").first)
        let webhook = try #require(job.content)
        #expect(webhook.body == Array(body.utf8) && webhook.signature == Array("sha256=\(body)".utf8))
        #expect(webhook.id == "\(RecorderWorld.journal)/1" && webhook.source == .meta)
        #expect(job.attempt == 1 && (0...600).contains(job.ageSeconds))
    }

    @Test("nothing is queued where webhooks are not passed on, and the signature is kept all the same")
    func off() async throws {
        let lanes = try await Lanes(passesOn: false)
        try await lanes.record(["a"])
        #expect(try await lanes.world.count("outbox") == 0)
        #expect(
            try await lanes.world.value("SELECT convert_from(signature, 'UTF8') FROM gateway.webhook_log") == "sha256=a"
        )
    }

    @Test("a batch that is recorded again, or only rehearsed, queues nothing more")
    func replay() async throws {
        let lanes = try await Lanes()
        var batch = try await lanes.record(["a", "b"])
        try await lanes.world.owner.execute("UPDATE gateway.journal_checkpoints SET position = 0")
        try await lanes.record(["a", "b"])
        #expect(try await lanes.world.count("outbox") == 2)
        batch.isRehearsal = true
        batch.after = JournalPosition(2)
        batch.upTo = JournalPosition(4)
        _ = try await PostgresRecorder(lanes.world.session, passesWebhooksOn: true).record(batch)
        #expect(try await lanes.world.count("outbox") == 2)
    }

    @Test("a run is in the journal's order, as long as its limits say, and one worker's alone")
    func runs() async throws {
        let lanes = try await Lanes()
        try await lanes.record((1...5).map { "m\($0)" })
        try await lanes.record(["v1"], from: .vps)
        let run = try await lanes.claim(as: "a", jobs: 3)
        #expect(Self.texts(run) == ["m1", "m2", "m3"])
        #expect(try await lanes.claim(as: "b").isEmpty)
        #expect(Self.texts(try await lanes.claim(.vps, as: "c")) == ["v1"])
        try await lanes.settle(run, as: "a", done: 3)
        #expect(Self.texts(try await lanes.claim(as: "d")) == ["m4", "m5"])
    }

    @Test("bodies are handed over up to a limit, and one always comes", arguments: [(1, 1), (4, 2), (7, 3), (100, 4)])
    func bytes(limit: Int64, count: Int) async throws {
        let lanes = try await Lanes()
        try await lanes.record(["aaa", "bbb", "ccc", "ddd"])
        #expect(try await lanes.claim(as: "a", bytes: limit).count == count)
    }

    @Test("one that failed rests and then goes alone, before those behind it, which lost nothing")
    func failure() async throws {
        let lanes = try await Lanes()
        try await lanes.record(["m1", "m2", "m3"])
        try await lanes.record(["v1"], from: .vps)
        let run = try await lanes.claim(as: "a")
        try await lanes.settle(run, as: "a", done: 1, failing: .again(afterMilliseconds: 60_000, error: "no\0body"))
        #expect(try await lanes.claim(as: "b").isEmpty, "the lane rests")
        #expect(try await lanes.claim(.vps, as: "c").count == 1, "the other one does not")
        try await lanes.letTimePass()
        let again = try await lanes.claim(as: "d")
        #expect(Self.texts(again) == ["m2"] && again[0].attempt == 2 && again[0].id == run[1].id)
        try await lanes.settle(again, as: "d", done: 1)
        let rest = try await lanes.claim(as: "e")
        #expect(Self.texts(rest) == ["m3"] && rest[0].attempt == 1)
    }

    @Test("one that is given up is set aside with the reason, and can be revived")
    func setAside() async throws {
        let lanes = try await Lanes()
        try await lanes.record(["m1", "m2"])
        try await lanes.settle(
            try await lanes.claim(as: "a"), as: "a", done: 0, failing: .setAside(error: "the receiver answered 422"))
        #expect(
            try await lanes.world.value("SELECT last_error FROM gateway.outbox_dead") == "the receiver answered 422")
        let run = try await lanes.claim(as: "b")
        #expect(Self.texts(run) == ["m2"])
        try await lanes.settle(run, as: "b", done: 1)
        _ = try await lanes.world.value("SELECT gateway.outbox_revive(ARRAY(SELECT id FROM gateway.outbox_dead))")
        #expect(Self.texts(try await lanes.claim(as: "c")) == ["m1"])
    }

    @Test("a vanished worker's run is taken again under the same ids, and what it says later changes nothing")
    func vanished() async throws {
        let lanes = try await Lanes()
        try await lanes.record(["m1", "m2"])
        let lost = try await lanes.claim(as: "a")
        try await lanes.letTimePass()
        let taken = try await lanes.claim(as: "b")
        #expect(taken.map(\.content?.id) == lost.map(\.content?.id) && taken.map(\.attempt) == [1, 1])
        try await lanes.settle(lost, as: "a", done: 2)
        #expect(try await lanes.world.count("outbox") == 2)
        try await lanes.settle(taken, as: "b", done: 2)
        #expect(try await lanes.world.count("outbox") == 0)
    }

    @Test("a webhook that has aged out of the log is told as such")
    func agedOut() async throws {
        let lanes = try await Lanes()
        try await lanes.record(["m1"])
        try await lanes.world.owner.execute("DELETE FROM gateway.webhook_log")
        let job = try #require(await lanes.claim(as: "a").first)
        #expect(job.content == nil)
    }

    @Test("workers at once take every webhook once, and never two runs of a source")
    func concurrent() async throws {
        let lanes = try await Lanes()
        try await lanes.record((1...120).map { "m\($0)" })
        let order = try await withThrowingTaskGroup(of: [Int64].self) { group in
            for worker in 0..<4 {
                let queue = PostgresForwardQueue(lanes.world.configuration)
                group.addTask {
                    var mine: [Int64] = []
                    for round in 0..<400 {
                        let name = "\(worker)/\(round)"
                        let jobs = try await queue.claim(
                            .meta, as: name, limit: ForwardLimit(jobs: 7, bytes: 1 << 20), leaseSeconds: 60)
                        guard let head = jobs.first else {
                            if try await lanes.world.count("outbox") == 0 { break }
                            continue
                        }
                        mine += jobs.map(\.id)
                        #expect(jobs.map(\.id) == Array(head.id..<(head.id + Int64(jobs.count))))
                        var settlement = ForwardSettlement(claim: name, head: head.id)
                        settlement.done = jobs.map(\.id)
                        try await queue.settle(settlement)
                    }
                    return mine
                }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        #expect(order.sorted() == Array(1...120))
    }

    @Test("a lane of many does not keep a landlord's answer from being claimed")
    func besideReplies() async throws {
        let lanes = try await Lanes()
        try await lanes.record((1...500).map { "m\($0)" })
        try await lanes.world.owner.execute(
            "INSERT INTO gateway.outbox (kind, idempotency_key, payload) VALUES ('meta_send', 'k', '{}')")
        let store = PostgresOutboxStore(lanes.world.configuration)
        #expect(try await store.claim(kind: .metaSend, worker: "w", limit: 10, leaseSeconds: 60).count == 1)
    }
}
