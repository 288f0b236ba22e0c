import Conversations
import Messaging
import PostgresClient
import PostgresStore
import Testing

@Suite struct PostgresConversationStoreTests {
    static let page = PageRequest(limit: 50, cursor: nil)

    @Test("shows a landlord their threads, with the tenant, the address and the open window")
    func list() async throws {
        let world = try await ConversationWorld()
        let items = try await world.store.conversations(for: ConversationWorld.ann, page: Self.page).items
        #expect(Set(items.map(\.tenantName)) == ["Tess", "Tom"])
        let tess = try #require(items.first { $0.tenantName == "Tess" })
        #expect(tess.tenantPhone == PhoneNumber(digits: RecorderWorld.tess) && tess.propertyAddress == "1 A Street")
        #expect(tess.unreadCount == 1 && tess.channel == "WHATSAPP" && tess.status == "active")
        #expect(tess.windowOpenUntil == RecorderWorld.clock.advanced(bySeconds: 86_400))
    }

    @Test("walks a long thread page by page: every message once, newest first, also where times are equal")
    func pages() async throws {
        let world = try await ConversationWorld()
        let thread = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tess"))
        try await world.world.record(
            (0..<20).map { index in
                world.world.message(
                    "more-\(index)", from: RecorderWorld.tess, RecorderWorld.toTess, body: "\(index)",
                    at: RecorderWorld.clock.advanced(bySeconds: -Int64(index / 4) * 864_000))
            })
        var seen: [ThreadMessage] = []
        var cursor: PageCursor?
        repeat {
            let page = try await world.store.messages(
                in: thread.id, for: ConversationWorld.ann, page: PageRequest(limit: 3, cursor: cursor))
            #expect((1...3).contains(page.items.count))
            seen += page.items
            cursor = page.next
        } while cursor != nil
        #expect(seen.count == 21 && Set(seen.map(\.id)).count == 21)
        #expect(
            seen.map { PageCursor(at: $0.sentAt, id: $0.id) }
                == seen.map { PageCursor(at: $0.sentAt, id: $0.id) }.sorted {
                    ($0.at, $0.id) > ($1.at, $1.id)
                })
        #expect(seen.allSatisfy { $0.direction == "incoming" && $0.status == "received" })
    }

    @Test("a page of conversations ends where the next begins")
    func conversationPages() async throws {
        let world = try await ConversationWorld()
        let first = try await world.store.conversations(
            for: ConversationWorld.ann, page: PageRequest(limit: 1, cursor: nil))
        let second = try await world.store.conversations(
            for: ConversationWorld.ann, page: PageRequest(limit: 1, cursor: first.next))
        #expect(first.items.count == 1 && second.items.count == 1 && first.items != second.items)
        #expect(second.next == nil)
    }

    @Test("queues an answer signed with the landlord's name, and shows it in the thread")
    func reply() async throws {
        let world = try await ConversationWorld()
        let thread = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tess"))
        let receipt = try await world.store.reply(
            world.reply("On my way.", in: thread.id, quoting: "tess-1"), for: ConversationWorld.ann)
        #expect(!receipt.isReplay)
        #expect(receipt.message.signature == "From Ann via ZenRent: " && receipt.message.body == "On my way.")
        #expect(
            receipt.message.direction == "outgoing" && receipt.message.status == "queued"
                && receipt.message.quotedMessageID == "tess-1")
        let shown = try await world.store.messages(in: thread.id, for: ConversationWorld.ann, page: Self.page).items
        #expect(shown.contains(receipt.message))
        #expect(try await world.world.owner.query("SELECT 1 FROM gateway.outbox WHERE kind = 'meta_send'").count == 1)
    }

    @Test("the same key gives the first answer again, and refuses another request")
    func idempotency() async throws {
        let world = try await ConversationWorld()
        let thread = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tess"))
        let first = try await world.store.reply(world.reply("Yes", in: thread.id, key: "k"), for: ConversationWorld.ann)
        let again = try await world.store.reply(world.reply("Yes", in: thread.id, key: "k"), for: ConversationWorld.ann)
        #expect(again.isReplay && again.message == first.message)
        await #expect(throws: ConversationError.idempotencyMismatch) {
            try await world.store.reply(
                world.reply("No", in: thread.id, key: "k", hash: [2]), for: ConversationWorld.ann)
        }
        #expect(try await world.world.owner.query("SELECT 1 FROM gateway.outbox WHERE kind = 'meta_send'").count == 1)
        let bobs = try #require(await world.conversation(of: ConversationWorld.bob, tenant: "Tim"))
        let bob = try await world.store.reply(world.reply("Hello", in: bobs.id, key: "k"), for: ConversationWorld.bob)
        #expect(!bob.isReplay)
    }

    @Test("says why an answer cannot go: window, block, opt-out, endpoint, length")
    func refusals() async throws {
        let world = try await ConversationWorld()
        let thread = try #require(await world.conversation(of: ConversationWorld.ann, tenant: "Tess"))
        let owner = world.world.owner
        func refusal(_ text: String = "Hello") async -> ConversationError? {
            do throws(ConversationError) {
                _ = try await world.store.reply(world.reply(text, in: thread.id), for: ConversationWorld.ann)
                return nil
            } catch { return error }
        }
        #expect(await refusal(String(repeating: "🏠", count: 2045)) == .textTooLong(units: 4112, max: 4096))
        try await owner.execute(
            "UPDATE gateway.whatsapp_conversations SET status = 'blocked' WHERE id = '\(thread.id)'")
        #expect(await refusal() == .conversationBlocked)
        try await owner.execute("UPDATE gateway.whatsapp_conversations SET status = 'active' WHERE id = '\(thread.id)'")
        try await owner.execute("UPDATE gateway.endpoints SET status = 'disconnected'")
        #expect(await refusal() == .cannotSend)
        try await owner.execute("UPDATE gateway.endpoints SET status = 'connected'")
        try await owner.execute(
            """
            UPDATE gateway.whatsapp_conversations SET last_inbound_at = '2025-01-02 00:00:00Z'
             WHERE id = '\(thread.id)'
            """
        )
        #expect(await refusal() == .windowClosed(lastInboundAt: Timestamp(seconds: 1_735_776_000)))
        #expect(try await owner.query("SELECT 1 FROM gateway.outbox WHERE kind = 'meta_send'").isEmpty)
    }

    @Test("a database that is away is unavailable, with the reason")
    func away() async throws {
        let pool = PostgresPool(
            PostgresConfiguration("host=127.0.0.1 port=1", connectTimeoutSeconds: 2), limits: .init(connectionsMax: 1))
        let error = await #expect(throws: ConversationError.self) {
            _ = try await PostgresConversationStore(pool).conversations(for: ConversationWorld.ann, page: Self.page)
        }
        #expect(error?.code == "database-unavailable")
    }
}
