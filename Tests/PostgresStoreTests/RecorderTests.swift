import GatewayTesting
import Intake
import Journal
import Messaging
import PostgresClient
import PostgresStore
import Routing
import Testing

@Suite(.serialized) struct PostgresRecorderTests {
    @Test func aMessageByALeaseStandsInItsLandlordsThread() async throws {
        let world = try await RecorderWorld()
        let outcome = try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(outcome.counts.routed == 1)
        #expect(outcome.counts.total == 1)
        let row = try await world.owner.query(
            """
            SELECT m.landlord_id, m.body, m.routing_status::text, m.routing_metadata ->> 'rung', m.routing_metadata ->> 'table',
                   c.unread_count, c.tenant_phone::bigint, c.lease_id, c.last_message_at, m.journal_pos
              FROM gateway.whatsapp_messages m JOIN gateway.whatsapp_conversations c ON c.id = m.conversation_id
            """
        ).one()
        #expect(try row.id(0) == RecorderWorld.ann)
        #expect(try row.text(1) == "hello")
        #expect(try row.text(2) == "delivered")
        #expect(try row.text(3) == "only_candidate")
        #expect(try row.text(4) == "17")
        #expect(try row.int32(5) == 1)
        #expect(try row.int64(6) == Int64(RecorderWorld.tess))
        #expect(try row.id(7) == RecorderWorld.tessLease)
        #expect(try row.time(8) == RecorderWorld.clock)
        #expect(try row.int64(9) == 1)
    }

    @Test func aReplayChangesNothing() async throws {
        let world = try await RecorderWorld()
        let start = try await world.claim()
        #expect(!start.wasKnown)
        let messages = [
            world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, .held([])),
            world.message("w3", from: 4_479_119_999, .unclaimed),
        ]
        let status = StatusUpdate(
            endpoint: world.endpoint.reference, messageID: "s1", status: .sent, at: RecorderWorld.clock)
        let batch = world.batch(messages, statuses: [status], after: start)
        _ = try await world.recorder.record(batch)
        let before = try await world.everything()
        // The database went back to where it was: the same webhooks come again, with new ids.
        try await world.owner.execute("UPDATE gateway.journal_checkpoints SET position = 0")
        let again = world.batch(
            messages.map { world.message($0.message.id, from: $0.message.sender.phone?.digits, $0.destination) },
            statuses: [status], after: start)
        guard case .recorded(let outcome) = try await world.recorder.record(again) else {
            Issue.record("not recorded")
            return
        }
        #expect(outcome.counts.duplicate == 3)
        #expect(try await world.everything() == before)
    }

    @Test func theSameMessageTwiceInABatchIsRecordedOnce() async throws {
        let world = try await RecorderWorld()
        let outcome = try await world.record([
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess),
        ])
        #expect(outcome.counts.routed == 1)
        #expect(outcome.counts.duplicate == 1)
        #expect(try await world.count("whatsapp_messages") == 1)
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "1")
    }

    @Test func anOlderMessageLeavesTheThreadsTimeAlone() async throws {
        let world = try await RecorderWorld()
        let earlier = RecorderWorld.clock.advanced(bySeconds: -3600)
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.record([world.message("w0", from: RecorderWorld.tess, RecorderWorld.toTess, at: earlier)])
        let last = try await world.owner.query("SELECT last_message_at FROM gateway.whatsapp_conversations").one().time(
            0)
        #expect(last == RecorderWorld.clock)
    }

    @Test func aLandlordWhoIsOffHasTheMessageWithheldInTheThread() async throws {
        let world = try await RecorderWorld()
        let outcome = try await world.record([world.message("w1", from: RecorderWorld.tom, RecorderWorld.toTim)])
        #expect(outcome.counts.withheld == 1)
        #expect(try await world.status(of: "w1") == "opted_out")
        #expect(try await world.thread(of: "w1") != nil)
        #expect(
            try await world.value("SELECT routing_metadata ->> 'withheld' FROM gateway.whatsapp_messages")
                == "opted_out")
    }

    @Test func aBlockedThreadKeepsWhatComesAndCountsNothingUnread() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET status = 'blocked'")
        let outcome = try await world.record([world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(outcome.counts.withheld == 1)
        #expect(try await world.status(of: "w2") == "blocked")
        #expect(try await world.thread(of: "w2") == world.thread(of: "w1"))
        #expect(try await world.value("SELECT unread_count FROM gateway.whatsapp_conversations") == "1")
    }

    @Test func heldAndUnclaimedMessagesHaveAPersonAndNoLandlord() async throws {
        let world = try await RecorderWorld()
        let candidates = [RecorderWorld.candidate(RecorderWorld.ann, RecorderWorld.tom)]
        let outcome = try await world.record([
            world.message("w1", from: RecorderWorld.tom, .held(candidates)),
            world.message("w2", from: nil, account: "US.123", .unclaimed),
        ])
        #expect(outcome.counts.held == 1)
        #expect(outcome.counts.unclaimed == 1)
        #expect(outcome.peopleResolved == 2)
        #expect(try await world.status(of: "w1") == "ambiguous")
        #expect(try await world.status(of: "w2") == "unknown_sender")
        #expect(try await world.thread(of: "w1") == nil)
        #expect(try await world.person(of: "w2") != nil)
        #expect(
            try await world.value(
                "SELECT routing_metadata #>> '{candidates,0,landlord}' FROM gateway.whatsapp_messages WHERE wamid = 'w1'"
            )
                == "\(RecorderWorld.ann)")
    }

    @Test func aMessageIntoAThreadIsFiledThereWhateverTheLeaseSays() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        let found = try await world.lookup.facts(for: [
            ThreadQuestion(
                endpoint: world.endpoint, phone: PhoneKey(folding: RecorderWorld.tess), accountID: nil,
                quotedMessageID: "w1")
        ])
        let thread = try #require(found.first?.threads.first)
        #expect(thread.isQuoted)
        try await world.owner.execute("UPDATE public.leases SET status = 'cancelled'")
        let outcome = try await world.record([
            world.message(
                "w2", from: RecorderWorld.tess, account: "GB.9", .thread(thread, rung: .onlyThread), quoting: "w1")
        ])
        #expect(outcome.counts.routed == 1)
        #expect(try await world.thread(of: "w2") == thread.conversationID)
        #expect(try await world.value("SELECT value FROM gateway.identities WHERE kind = 'bsuid'") == "GB.9")
    }

    @Test func verdictsOfABatchAddUpInEveryWebhook() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        var batch = RecordBatch(
            journal: checkpoint.journal, owner: world.ownerID, after: .start, upTo: JournalPosition(2))
        let one = JournalPosition(1)
        for (id, destination) in [("a", RecorderWorld.toTess), ("b", .unclaimed), ("a", RecorderWorld.toTess)] {
            var message = world.message(id, from: RecorderWorld.tess, destination)
            message.position = one
            batch.messages.append(message)
        }
        batch.statuses = [
            RecordedStatus(
                endpointID: world.endpoint.id,
                status: StatusUpdate(
                    endpoint: world.endpoint.reference, messageID: "s", status: .read, at: RecorderWorld.clock))
        ]
        batch.webhooks = [
            world.webhook(one, updates: 6, statuses: 1, ignored: 2),
            world.webhook(JournalPosition(2), updates: 1, ignored: 1),
        ]
        _ = try await world.recorder.record(batch)
        let counts = try await world.verdicts()
        #expect(
            counts.routed == 1 && counts.unclaimed == 1 && counts.duplicate == 1 && counts.status == 1
                && counts.ignored == 3)
        #expect(try await world.value("SELECT count(*) FROM gateway.pending_statuses") == "1")
    }

    @Test func aWebhookWhoseCountsDoNotAddUpIsRefusedAsData() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        var batch = world.batch(
            [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)], after: checkpoint)
        batch.webhooks[0].updates = 2
        let error = await #expect(throws: RecorderError.self) { _ = try await world.recorder.record(batch) }
        guard case .dataRejected(let sqlState, let detail) = error else {
            Issue.record("\(error as Any)")
            return
        }
        #expect(sqlState == "23514")
        #expect(!detail.contains("hello"))
        #expect(try await world.count("whatsapp_messages") == 0)
    }

    @Test func aRehearsalLeavesNothing() async throws {
        let world = try await RecorderWorld()
        let checkpoint = try await world.claim()
        var batch = world.batch(
            [world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)], after: checkpoint)
        batch.isRehearsal = true
        let before = try await world.everything()
        guard case .recorded(let outcome) = try await world.recorder.record(batch) else {
            Issue.record("not recorded")
            return
        }
        #expect(outcome.counts.routed == 1)
        #expect(try await world.everything() == before)
        batch.isRehearsal = false
        guard case .recorded = try await world.recorder.record(batch) else {
            Issue.record("not recorded")
            return
        }
    }

    @Test func forwardsAreQueuedOnlyWhereSomethingConsumesThem() async throws {
        let world = try await RecorderWorld()
        try await world.record([world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess)])
        #expect(try await world.count("outbox") == 0)
        try await world.owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
        try await world.record([
            world.message("w2", from: RecorderWorld.tess, RecorderWorld.toTess),
            world.message("w3", from: RecorderWorld.tom, RecorderWorld.toTim),
            world.message("w4", from: RecorderWorld.tom, .unclaimed),
        ])
        #expect(
            try await world.value(
                "SELECT string_agg(m.wamid, ',') FROM gateway.outbox o JOIN gateway.whatsapp_messages m ON m.id = o.message_id"
            ) == "w2")
    }

    @Test func forwardsOfABatchAreQueuedInItsOrder() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE gateway.settings SET value = 'true' WHERE key = 'forward_to_landlord'")
        var generator = IdentifierGenerator()
        let messages = (1...60).map { number in
            var message = world.message("w\(number)", from: RecorderWorld.tess, RecorderWorld.toTess)
            message.id = generator.nextID(at: RecorderWorld.clock)
            return message
        }
        try await world.record(messages)
        #expect(
            try await world.value(
                """
                SELECT string_agg(m.wamid, ' ' ORDER BY o.id)
                  FROM gateway.outbox o JOIN gateway.whatsapp_messages m ON m.id = o.message_id
                """
            ) == messages.map(\.message.id).joined(separator: " "))
    }

    @Test func theMessageOfATypeNotUnderstoodKeepsItsBytes() async throws {
        let world = try await RecorderWorld()
        var message = world.message("w1", from: RecorderWorld.tess, RecorderWorld.toTess, body: nil)
        message.message.type = "location"
        message.message.raw = Array(#"{"type":"location","x":"\u0000"}"#.utf8)
        try await world.record([message])
        let row = try await world.owner.query("SELECT message_type, raw, body FROM gateway.whatsapp_messages").one()
        #expect(try row.text(0) == "location")
        #expect(try row.bytes(1) == message.message.raw)
        #expect(try row.isNull(2))
    }
}
