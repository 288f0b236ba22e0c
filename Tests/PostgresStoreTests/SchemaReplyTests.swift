import Intake
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite(.serialized) struct ReplyFunctionTests {
    /// Tess has just written to Ann.
    private func world(at sentAt: Timestamp = RecorderWorld.clock) async throws -> (
        world: RecorderWorld, thread: UniqueID
    ) {
        let world = try await RecorderWorld()
        try await world.record([
            world.message("in", from: RecorderWorld.tess, account: "GB.1", RecorderWorld.toTess, at: sentAt)
        ])
        return (world, try #require(try await world.thread(of: "in")))
    }

    private struct Answer: Sendable {
        let id: UniqueID
        let signature: String?
        let status: String
        let isReplay: Bool
    }

    private func reply(
        _ world: RecorderWorld, _ thread: UniqueID, as landlord: UniqueID = RecorderWorld.ann,
        text: String = "Coming at five.",
        template: String = LandlordSignature.standard.template, key: String? = nil, route: String = "POST /messages",
        hash: [UInt8] = [1], on connection: PostgresConnection? = nil
    ) async throws -> Answer {
        var generator = SystemRandomNumberGenerator()
        let id = UniqueID.make(at: RecorderWorld.clock, using: &generator)
        let used = if let connection { connection } else { try await PostgresConnection.connect(world.configuration) }
        return try await used.transaction(
            as: TransactionIdentity(role: "authenticated", claimsJSON: "{\"sub\":\"\(landlord)\"}")
        ) { connection throws(PostgresError) in
            let row = try connection.query(
                """
                SELECT id, landlord_signature, status, is_replay FROM gateway.reply($1::uuid, $2::uuid, $3::timestamptz, $4::text,
                  $5::text, NULL, $6::text, $7::text, $8::bytea)
                """,
                [
                    .id(thread), .id(id), .time(RecorderWorld.clock), .text(text), .text(template),
                    PostgresValue(key) { .text($0) }, .text(route), .bytea(hash),
                ]
            ).one()
            return Answer(
                id: try row.id(0), signature: try row.nullableText(1), status: try row.text(2),
                isReplay: try row.bool(3))
        }
    }

    private func refusal(_ body: () async throws -> Answer) async -> (state: String?, detail: String?) {
        let error = await #expect(throws: PostgresError.self) { _ = try await body() }
        return (error?.sqlState, error?.detail)
    }

    @Test func aReplyIsAMessageAndItsJob() async throws {
        let (world, thread) = try await world()
        let answer = try await reply(world, thread)
        #expect(answer.signature == "From Ann via ZenRent: ")
        #expect(answer.status == "queued")
        let job = try await world.owner.query(
            """
            SELECT message_id, sent_at, endpoint_kind, endpoint_provider_id, recipient_phone, recipient_account, text, permission
              FROM gateway.claim_sends('meta_send', 'w', 10)
            """
        ).one()
        #expect(try job.id(0) == answer.id)
        #expect(try job.time(1) == RecorderWorld.clock)
        #expect(try job.text(2) == "cloud" && job.text(3) == "PN1")
        #expect(try job.int64(4) == Int64(RecorderWorld.tess))
        #expect(try job.text(5) == "GB.1")
        #expect(try job.text(6) == "From Ann via ZenRent: Coming at five.")
        #expect(try job.text(7) == "ok")
        #expect(
            try await world.value(
                "SELECT last_outbound_at = $1::timestamptz FROM gateway.whatsapp_conversations",
                .time(RecorderWorld.clock)) == "true")
    }

    @Test func anotherLandlordsConversationIsNotThere() async throws {
        let (world, thread) = try await world()
        #expect(await refusal { try await reply(world, thread, as: RecorderWorld.bob) }.state == "ZR404")
        #expect(
            await refusal { try await reply(world, UniqueID("00000000-0000-0000-0000-000000000000")!) }.state == "ZR404"
        )
        #expect(try await world.count("outbox") == 0)
    }

    @Test func theSameKeyGivesTheFirstMessageAgain() async throws {
        let (world, thread) = try await world()
        let first = try await reply(world, thread, key: "k")
        let second = try await reply(world, thread, key: "k")
        #expect(second.id == first.id)
        #expect(!first.isReplay && second.isReplay)
        #expect(try await world.count("outbox") == 1)
        #expect(await refusal { try await reply(world, thread, key: "k", hash: [2]) }.state == "ZR422")
        let other = try await reply(world, thread, key: "k", route: "POST /other")
        #expect(other.id != first.id)
    }

    @Test func aRefusedReplyLeavesItsKeyUnused() async throws {
        let (world, thread) = try await world()
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET status = 'blocked'")
        #expect(await refusal { try await reply(world, thread, key: "k") }.state == "ZR012")
        try await world.owner.execute("UPDATE gateway.whatsapp_conversations SET status = 'active'")
        #expect(try await !reply(world, thread, key: "k").isReplay)
    }

    @Test func twoRequestsWithOneKeyMakeOneMessage() async throws {
        let (world, thread) = try await world()
        async let one = reply(world, thread, key: "k")
        async let two = reply(world, thread, key: "k")
        async let three = reply(world, thread, key: "k")
        let answers = try await [one, two, three]
        #expect(Set(answers.map(\.id)).count == 1)
        #expect(answers.filter { !$0.isReplay }.count == 1)
        #expect(try await world.count("outbox") == 1)
    }

    @Test func theWindowClosesADayAfterTheLastMessage() async throws {
        let wrote = RecorderWorld.clock.advanced(bySeconds: -25 * 3600)
        let (world, thread) = try await world(at: wrote)
        let refused = await refusal { try await reply(world, thread) }
        #expect(refused.state == "ZR010")
        #expect(refused.detail == "\(wrote.microseconds)")
        // a message to somebody else through the same number opens it: it belongs to the human and the number
        try await world.record([world.message("in2", from: RecorderWorld.tess, .unclaimed)])
        _ = try await reply(world, thread)
    }

    @Test(arguments: [
        ("UPDATE gateway.endpoints SET status = 'disconnected'", "ZR011"),
        ("UPDATE gateway.whatsapp_conversations SET status = 'blocked'", "ZR012"),
        (
            "INSERT INTO gateway.consent_events (person_id, purpose, action, source, wording) SELECT id, 'all', 'revoke', 'inbound_keyword', 'STOP' FROM gateway.people",
            "ZR013"
        ),
        ("UPDATE gateway.identities SET retired_at = now(), retired_reason = 'erased'", "ZR011"),
    ])
    func aReplyThatCannotBeSentIsRefused(_ change: String, _ state: String) async throws {
        let (world, thread) = try await world()
        try await world.owner.execute(change)
        #expect(await refusal { try await reply(world, thread) }.state == state)
        #expect(try await world.count("outbox") == 0)
    }

    @Test func theLimitCountsSignatureAndTextInUTF16() async throws {
        let (world, thread) = try await world()
        let room = OutboundMessage.textLengthMax - "From Ann via ZenRent: ".utf16.count
        _ = try await reply(world, thread, text: String(repeating: "😀", count: room / 2))
        let refused = await refusal {
            try await reply(world, thread, text: String(repeating: "😀", count: room / 2) + "x")
        }
        #expect(refused.state == (room % 2 == 0 ? "ZR014" : nil))
        let long = await refusal { try await reply(world, thread, text: String(repeating: "x", count: room + 1)) }
        #expect(long.state == "ZR014")
        #expect(long.detail == "\(OutboundMessage.textLengthMax + 1)")
    }

    @Test(arguments: [
        ("Ann", "{landlord} says: "), (nil, "From {landlord}: "),
        ("A\nB\u{202E}C\u{0}"[...].split(separator: "\u{0}").first.map(String.init), "{landlord} "),
        ("Zoë 😀\u{200D}", "x {landlord} y"), ("a\u{AD}b\u{2028}c\u{E0041}", "{landlord}"),
        ("\\1 & {landlord}", "{landlord}!"),
    ])
    func theSignatureIsTheVocabularys(_ name: String?, _ template: String) async throws {
        let world = try await RecorderWorld()
        let rendered = try await world.value(
            "SELECT gateway.render_signature($1, $2)", .text(template), PostgresValue(name) { .text($0) })
        #expect(rendered == LandlordSignature(template: template)?.text(landlord: name))
    }

    @Test func aLandlordsOwnSignatureCountsIfItNamesThem() async throws {
        let (world, thread) = try await world()
        try await world.owner.execute(
            """
            INSERT INTO gateway.landlord_whatsapp_settings (user_id, message_signature) VALUES ('\(RecorderWorld.ann)', '{landlord} here: ')
            """)
        #expect(try await reply(world, thread).signature == "Ann here: ")
        try await world.owner.execute("UPDATE gateway.landlord_whatsapp_settings SET message_signature = 'nobody'")
        #expect(try await reply(world, thread).signature == "From Ann via ZenRent: ")
    }
}
