import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct RecorderParkedTests {
    private func parked(
        _ world: RecorderWorld, at position: Int64, index: Int = 0, reason: String = "not_json", body: String = "{",
        endpoint: EndpointReference? = nil
    ) -> ParkedUpdate {
        ParkedUpdate(
            position: JournalPosition(position), index: index, source: .meta, receivedAt: RecorderWorld.clock,
            reason: reason,
            detail: "expected }", endpoint: endpoint, payload: Array(body.utf8))
    }

    /// Parks updates of one webhook at the next position.
    private func park(_ world: RecorderWorld, _ updates: [ParkedUpdate]) async throws -> JournalPosition {
        let checkpoint = try await world.claim()
        let position = JournalPosition(checkpoint.position.value + 1)
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: checkpoint.position, upTo: position)
        batch.parked = updates.map { update in
            var update = update
            update.position = position
            return update
        }
        batch.webhooks = [world.webhook(position, updates: updates.count, parked: updates.count)]
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
        return position
    }

    private struct Failure: Error {}

    private func redrive(
        _ world: RecorderWorld, _ requests: [RedriveRequest], _ fill: (inout RecordBatch) -> Void
    ) async throws -> RecordResult {
        let checkpoint = try await world.claim()
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: checkpoint.position, upTo: checkpoint.position)
        batch.redriven = requests.map(\.id)
        fill(&batch)
        return try await world.recorder.record(batch)
    }

    @Test func parkedUpdatesKeepTheirBodyOnceAndAreNotRedrivenUnasked() async throws {
        let world = try await RecorderWorld()
        _ = try await park(world, [parked(world, at: 1, index: 0), parked(world, at: 1, index: 3)])
        #expect(try await world.count("parked_updates") == 2)
        #expect(try await world.count("parked_payloads") == 1)
        #expect(try await world.recorder.redriveRequests(limit: 10).isEmpty)
        #expect(try await world.verdicts().parked == 2)
        #expect(try await world.value("SELECT processed FROM gateway.webhook_log") == "false")
    }

    @Test func theSameBodyAgainIsCountedNotDoubled() async throws {
        let world = try await RecorderWorld()
        _ = try await park(world, [parked(world, at: 1)])
        _ = try await park(world, [parked(world, at: 2)])
        #expect(try await world.value("SELECT (count(*), max(times))::text FROM gateway.parked_updates") == "(1,2)")
    }

    @Test func anAskedForRedriveCarriesPlaceAndBody() async throws {
        let world = try await RecorderWorld()
        let position = try await park(world, [parked(world, at: 1, index: 2, body: "{\"a\":")])
        try await world.owner.execute(
            "SELECT gateway.inbox_redrive(ARRAY(SELECT id FROM gateway.parked_updates), 'root')")
        let request = try #require(try await world.recorder.redriveRequests(limit: 10).first)
        #expect(request.position == position)
        #expect(request.index == 2)
        #expect(request.source == .meta)
        #expect(request.receivedAt == RecorderWorld.clock)
        #expect(request.payload == Array("{\"a\":".utf8))
        #expect(try await world.value("SELECT action FROM gateway.audit_log") == "inbox.redrive")
    }

    @Test func aRedrivenMessageMovesItsCountFromParkedToItsVerdict() async throws {
        let world = try await RecorderWorld()
        let position = try await park(
            world, [parked(world, at: 1), parked(world, at: 1, index: 1), parked(world, at: 1, index: 2)])
        try await world.owner.execute(
            "SELECT gateway.inbox_redrive(ARRAY(SELECT id FROM gateway.parked_updates), 'root')")
        let requests = try await world.recorder.redriveRequests(limit: 10)
        #expect(requests.count == 3)
        let result = try await redrive(world, [requests[0]]) { batch in
            var message = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
            message.position = position
            batch.messages = [message]
        }
        guard case .recorded(let outcome) = result else {
            Issue.record("\(result)")
            return
        }
        #expect(outcome.counts.routed == 1)
        _ = try await redrive(world, [requests[1]]) { batch in
            batch.statuses = [
                RecordedStatus(
                    endpointID: world.endpoint.id,
                    status: StatusUpdate(
                        endpoint: world.endpoint.reference, messageID: "s", status: .sent, at: RecorderWorld.clock))
            ]
        }
        _ = try await redrive(world, [requests[2]]) { _ in }
        let counts = try await world.verdicts()
        #expect(counts.routed == 1 && counts.status == 1 && counts.ignored == 1 && counts.parked == 0)
        #expect(try await world.value("SELECT processed FROM gateway.webhook_log") == "true")
        #expect(try await world.count("parked_updates") == 0)
        #expect(try await world.claim().position == position)
    }

    @Test func whoBroughtAParkedBodyAgainIsSettledWithIt() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        var batch = RecordBatch(journal: checkpoint.journal, owner: world.ownerID, after: .start, upTo: 2)
        batch.parked = [parked(world, at: 1), parked(world, at: 2), parked(world, at: 2, index: 1)]
        batch.webhooks = [
            world.webhook(1, updates: 1, parked: 1), world.webhook(2, updates: 2, parked: 2),
        ]
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
        let third = try await park(world, [parked(world, at: 3), parked(world, at: 3, index: 1)])
        #expect(third == 3)
        try await world.owner.execute("UPDATE gateway.parked_updates SET redrive_requested_at = now()")
        let requests = try await world.recorder.redriveRequests(limit: 10)
        #expect(requests.map(\.position) == [1, 2])
        // Parked again, they go on waiting together.
        _ = try await redrive(world, [requests[0]]) { $0.parked = [parked(world, at: 1)] }
        #expect(try await world.count("parked_copies") == 3)
        _ = try await redrive(world, [requests[0]]) { batch in
            var message = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)
            message.position = 1
            batch.messages = [message]
        }
        _ = try await redrive(world, [requests[1]]) { _ in }
        #expect(
            try await world.value(
                """
                SELECT string_agg((routed, duplicate, ignored, parked, processed)::text, ' ' ORDER BY journal_pos)
                  FROM gateway.webhook_log
                """) == "(1,0,0,0,t) (0,1,1,0,t) (0,1,1,0,t)")
        #expect(try await world.count("parked_updates") == 0)
        #expect(try await world.count("parked_copies") == 0)
    }

    @Test func aBacklogIsAskedForInStepsAndInTheOrderItCame() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute(
            """
            INSERT INTO gateway.parked_payloads VALUES ('\\x00', 'x');
            INSERT INTO gateway.parked_updates (hash, idx, journal_id, journal_pos, received_at, source, reason,
                endpoint_kind, endpoint_provider_id)
              SELECT '\\x00', 3000 - n, 1, n, now(), 'meta', 'unknown_endpoint', 'cloud',
                     CASE n % 3 WHEN 0 THEN 'PN0' ELSE 'PN2' END
                FROM generate_series(1, 3000) n;
            SELECT gateway.ensure_endpoint('cloud', 'PN2')
            """)
        #expect(try await world.recorder.redriveRequests(limit: 4).map(\.position) == [1, 2, 4, 5])
        let asked = "SELECT count(*) FROM gateway.parked_updates WHERE redrive_requested_at IS NOT NULL"
        #expect(try await world.value(asked) == "1000")
        _ = try await world.recorder.redriveRequests(limit: 4)
        #expect(try await world.value(asked) == "1000")
    }

    @Test func aRedriveThatFailsAgainStaysParkedAndIsNotAskedForAnyMore() async throws {
        let world = try await RecorderWorld()
        _ = try await park(world, [parked(world, at: 1)])
        try await world.owner.execute("UPDATE gateway.parked_updates SET redrive_requested_at = now()")
        let request = try #require(try await world.recorder.redriveRequests(limit: 10).first)
        _ = try await redrive(world, [request]) {
            $0.parked = [parked(world, at: request.position.value, reason: "unknown_shape")]
        }
        #expect(
            try await world.value("SELECT (times, attempts, reason)::text FROM gateway.parked_updates")
                == "(1,1,unknown_shape)")
        #expect(try await world.recorder.redriveRequests(limit: 10).isEmpty)
        #expect(try await world.verdicts().parked == 1)
    }

    @Test func whatAnUnknownEndpointParkedIsRedrivenOnceItIsKnown() async throws {
        let world = try await RecorderWorld()
        let stranger = EndpointReference(kind: .cloud, providerID: "PN2")
        _ = try await park(
            world,
            [parked(world, at: 1, reason: "unknown_endpoint", endpoint: stranger), parked(world, at: 1, index: 1)])
        #expect(try await world.recorder.redriveRequests(limit: 10).isEmpty)
        try await world.owner.execute("SELECT gateway.ensure_endpoint('cloud', 'PN2')")
        #expect(try await world.recorder.redriveRequests(limit: 10).map(\.index) == [0])
    }

    /// No function of ours: a row in the table is enough.
    @Test func anEndpointWrittenByHandIsEnoughAndItsUpdatesComeInTheJournalsOrder() async throws {
        let world = try await RecorderWorld()
        let stranger = EndpointReference(kind: .cloud, providerID: "PN2")
        // in one batch, in an order that is not that of their hashes
        let checkpoint = try await world.claim()
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: .start, upTo: JournalPosition(6))
        for position in 1...6 as ClosedRange<Int64> {
            let indexes = position == 3 ? [2, 0, 1] : [0]
            batch.webhooks.append(
                world.webhook(JournalPosition(position), updates: indexes.count, parked: indexes.count))
            batch.parked += indexes.map {
                parked(
                    world, at: position, index: $0, reason: "unknown_endpoint", body: "{\(position * 7919)",
                    endpoint: stranger)
            }
        }
        guard case .recorded = try await world.recorder.record(batch) else { throw Failure() }
        #expect(try await world.recorder.redriveRequests(limit: 10).isEmpty)
        try await world.owner.execute(
            "INSERT INTO gateway.endpoints (kind, provider_id, scope) VALUES ('cloud', 'PN2', 'platform')")
        let requests = try await world.recorder.redriveRequests(limit: 10)
        #expect(requests.map(\.position.value) == [1, 2, 3, 3, 3, 4, 5, 6])
        #expect(requests.map(\.index) == [0, 0, 0, 1, 2, 0, 0, 0])
        #expect(try await world.recorder.redriveRequests(limit: 10).map(\.id) == requests.map(\.id))
        // settled once each, also when the same request is settled again
        for _ in 1...2 {
            for request in requests {
                _ = try await redrive(world, [request]) { batch in
                    var message = world.message(
                        "w\(request.position.value).\(request.index)", from: RecorderWorld.tess, RecorderWorld.toTess)
                    message.position = request.position
                    batch.messages = [message]
                }
            }
        }
        #expect(try await world.count("parked_updates") == 0)
        #expect(try await world.count("whatsapp_messages") == 8)
        let counts = try await world.verdicts()
        #expect(counts.routed == 8 && counts.parked == 0 && counts.total == 8)
    }

    @Test func aRedriveIsFencedLikeEverythingElse() async throws {
        let world = try await RecorderWorld()
        _ = try await park(world, [parked(world, at: 1)])
        try await world.owner.execute("UPDATE gateway.parked_updates SET redrive_requested_at = now()")
        let request = try #require(try await world.recorder.redriveRequests(limit: 10).first)
        let result = try await redrive(world, [request]) {
            $0.owner = UniqueID("90000000-0000-0000-0000-0000000000bb")!
        }
        guard case .fenced = result else {
            Issue.record("\(result)")
            return
        }
        #expect(try await world.count("parked_updates") == 1)
    }

    @Test func largeBodiesAreHandedOverAFewAtATime() async throws {
        let world = try await RecorderWorld()
        for letter in "abc" {
            _ = try await park(world, [parked(world, at: 1, body: String(repeating: letter, count: 9 << 20))])
        }
        try await world.owner.execute("UPDATE gateway.parked_updates SET redrive_requested_at = now()")
        #expect(try await world.recorder.redriveRequests(limit: 10).count == 2)
        #expect(try await world.recorder.redriveRequests(limit: 1).count == 1)
    }
}
