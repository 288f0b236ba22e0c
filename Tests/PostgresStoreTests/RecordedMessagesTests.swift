import Intake
import Messaging
import PostgresClient
import Routing
import Testing

@testable import PostgresStore

/// Recorded messages as a replay through rules reads them.
@Suite(.serialized) struct RecordedMessagesTests {
    private func all(_ world: RecorderWorld, limit: Int) async throws -> [RecordedInbound] {
        let source = PostgresRecordedMessages(world.session)
        var messages: [RecordedInbound] = []
        var place: RecordedPlace?
        repeat {
            let page = try await source.inbound(before: place, limit: limit)
            #expect(page.messages.count <= limit)
            messages += page.messages
            place = page.next
        } while place != nil
        return messages
    }

    @Test("come newest first, each once, over months and where several were sent in one second")
    func order() async throws {
        let world = try await RecorderWorld()
        let times: [Int64] = [0, 0, 0, -3600, -40 * 86_400, -40 * 86_400, -50 * 86_400]
        for (number, time) in times.enumerated() {
            try await world.record([
                world.message(
                    "w\(number)", from: RecorderWorld.tess, RecorderWorld.toTess,
                    at: RecorderWorld.clock.advanced(bySeconds: time))
            ])
        }
        for limit in [1, 2, 3, 100] {
            let messages = try await all(world, limit: limit)
            #expect(messages.count == times.count && Set(messages.map(\.id)).count == times.count)
            #expect(messages.map(\.message.sentAt) == messages.map(\.message.sentAt).sorted(by: >))
        }
    }

    @Test("bear what rules ask for: endpoint, type, text, quote, and the sender as they are known now")
    func content() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess, body: "The tap drips.")
        ])
        try await world.record([
            world.message("w2", from: RecorderWorld.tess, .unclaimed, body: nil, quoting: "w1")
        ])
        let messages = try await all(world, limit: 10)
        let first = try #require(messages.first { $0.message.id == "w1" }?.message)
        #expect(first.endpoint == world.endpoint.reference && first.type == "text" && first.body == "The tap drips.")
        #expect(first.sender.phone?.digits == RecorderWorld.tess && first.sender.accountID == "GB.1")
        #expect(first.replyPayload == nil && first.quotedMessageID == nil)
        let second = try #require(messages.first { $0.message.id == "w2" }?.message)
        #expect(second.body == nil && second.quotedMessageID == "w1" && second.sender.accountID == "GB.1")
    }

    @Test("who answered a question does so again, and what the answer released does not")
    func answers() async throws {
        let world = try await RecorderWorld()
        try await world.owner.execute("UPDATE public.user_profiles SET whatsapp_enabled = true")
        try await world.record([world.held("w1")])
        let question = try #require(try await world.facts(of: RecorderWorld.tom).questions.first?.id)
        try await world.record([world.answer("tap", to: question, choice: 2)])
        #expect(try await world.status(of: "w1") == "delivered")
        let messages = try await all(world, limit: 10)
        #expect(messages.first { $0.message.id == "w1" }?.message.replyPayload == nil)
        let tap = try #require(messages.first { $0.message.id == "tap" }?.message.replyPayload)
        #expect(ChoiceToken(tap) == ChoiceToken(question: question, choice: 2))
        // What was asked and answered by ourselves is nobody's message.
        #expect(messages.count == 2)
    }

    @Test("are read by the index of their time, from the place on")
    func plan() async throws {
        let world = try await RecorderWorld()
        let connection = try await PostgresConnection.connect(world.configuration)
        try await connection.execute(
            """
            SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off;
            PREPARE x AS \(PostgresRecordedMessages.statement.sql)
            """)
        let rows = try await connection.query(
            "EXPLAIN (COSTS OFF) EXECUTE x('2026-01-01', '00000000-0000-0000-0000-000000000000', 10, 100)")
        let plan = try rows.map { try $0.text(0) }.joined(separator: "\n")
        #expect(plan.contains("Index Cond: ((sent_at <= $1) AND (ROW(sent_at, id) < ROW($1, $2)))"), "\(plan)")
        #expect(!plan.contains("Seq Scan") && !plan.contains("Sort Key: x.sent_at DESC\n"), "\(plan)")
        await connection.close()
    }

    @Test("cannot be written by the session that reads them for a comparison")
    func readOnly() async throws {
        let world = try await RecorderWorld()
        var configuration = world.configuration
        configuration.settings.append(("default_transaction_read_only", "on"))
        let connection = try await PostgresConnection.connect(configuration)
        let error = await #expect(throws: PostgresError.self) {
            try await connection.execute("DELETE FROM gateway.rule_actions")
        }
        #expect(error?.sqlState == "25006")
        await connection.close()
    }
}

/// Small tables in place of the whole one.
@Suite(.serialized) struct SenderTableTests {
    private func message(_ world: RecorderWorld, _ phone: UInt64?, account: String? = nil) -> InboundMessage {
        world.message("w", from: phone, account: account, .unclaimed).message
    }

    @Test("decide about their senders as the whole table does, also about who has another number by now")
    func same() async throws {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("w1", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess),
            world.message("w2", from: RecorderWorld.tom, account: "GB.2", .held(RecorderWorld.tomOrTim)),
        ])
        try await world.owner.execute(
            "SELECT gateway.change_identity('phone', '', '\(RecorderWorld.tess)', '447911999999', now())")
        let source = PostgresRouteSource(world.configuration)
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        let whole = builder.finish(cursor: cursor)
        let messages = [
            message(world, RecorderWorld.tess), message(world, 447_911_999_999), message(world, nil, account: "GB.1"),
            message(world, RecorderWorld.tom, account: "GB.2"), message(world, 447_911_777_777),
        ]
        let base = try await source.tableWithoutLeases()
        #expect(base.statistics.routes == 0 && base.statistics.landlords == 2)
        let small = try await source.table(base, with: messages)
        let today = RecorderWorld.clock.day
        for message in messages {
            let expected = Resolver(table: whole, today: today).firstPass(message, at: world.endpoint)
            #expect(Resolver(table: small, today: today).firstPass(message, at: world.endpoint) == expected)
            let smallest = try await source.table(base, with: [message])
            #expect(Resolver(table: smallest, today: today).firstPass(message, at: world.endpoint) == expected)
        }
        #expect(small.landlord(RecorderWorld.bob)?.isEnabled == false)
    }
}
