import Conversations
import Messaging
import PostgresClient
import PostgresStore

/// A `RecorderWorld` in which tenants have written: Tess and Tom to Ann, Tom's number also to Bob as Tim. Landlords'
/// requests share one pooled connection, so that anything one leaves behind meets the next.
struct ConversationWorld {
    let world: RecorderWorld
    let pool: PostgresPool
    let store: PostgresConversationStore

    static let ann = principal(RecorderWorld.ann)
    static let bob = principal(RecorderWorld.bob)
    static let nobody = principal(UniqueID("cccccccc-0000-0000-0000-000000000001")!)

    init() async throws {
        world = try await RecorderWorld()
        pool = PostgresPool(world.configuration, limits: .init(connectionsMax: 1, waitTimeout: .seconds(120)))
        store = PostgresConversationStore(pool)
        try await world.record([
            world.message("tess-1", from: RecorderWorld.tess, RecorderWorld.toTess, body: "the tap drips"),
            world.message("tom-1", from: RecorderWorld.tom, RecorderWorld.toTom, body: "for-ann-only"),
            world.message("tim-1", from: RecorderWorld.tom, RecorderWorld.toTim, body: "for-bob-only"),
        ])
    }

    static func principal(_ id: UniqueID) -> Principal {
        Principal(userID: id, claimsJSON: #"{"sub":"\#(id)","role":"authenticated"}"#)
    }

    func conversation(of principal: Principal, tenant: String) async throws -> ConversationSummary? {
        try await store.conversations(for: principal, page: PageRequest(limit: 50, cursor: nil)).items.first {
            $0.tenantName == tenant
        }
    }

    func reply(
        _ text: String, in conversation: UniqueID, key: String? = nil, hash: [UInt8] = [1],
        quoting quoted: String? = nil
    ) -> Reply {
        var generator = SystemRandomNumberGenerator()
        return Reply(
            conversationID: conversation,
            reference: MessageReference(
                id: .make(at: RecorderWorld.clock, using: &generator), sentAt: RecorderWorld.clock),
            text: text, signatureTemplate: .standard, quotedMessageID: quoted,
            idempotency: key.map { IdempotencyKey(key: $0, route: "POST /reply", requestHash: hash) })
    }
}
