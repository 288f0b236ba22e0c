import Conversations
import Crypto
import HTTPTypes
import Hummingbird
import Messaging
import NIOCore

/// What a landlord does: list conversations, read one, answer in it.
struct ConversationEndpoints: EndpointGroup {
    let store: any ConversationStore
    let signatureTemplate: @Sendable () -> LandlordSignature
    let clock: @Sendable () -> Timestamp
    let bodyBytesMax: Int

    static let listPath = "/api/conversations"
    static let messagesPath = "/api/conversations/{id}/messages"

    var endpoints: [Endpoint] {
        [
            Endpoint(method: .get, path: Self.listPath, handler: .landlord(conversations)),
            Endpoint(method: .get, path: Self.messagesPath, handler: .landlord(messages)),
            Endpoint(method: .post, path: Self.messagesPath, handler: .landlord(reply)),
        ]
    }

    private func conversations(
        _ request: Request, _ context: APIContext, _ principal: Principal
    ) async throws -> Response {
        let page = try await store.conversations(for: principal, page: PageParameters.read(request))
        return Response(json: JSON(page) { JSON($0) })
    }

    private func messages(_ request: Request, _ context: APIContext, _ principal: Principal) async throws -> Response {
        let page = try await store.messages(
            in: conversationID(context), for: principal, page: PageParameters.read(request))
        return Response(json: JSON(page) { JSON($0) })
    }

    private func reply(_ request: Request, _ context: APIContext, _ principal: Principal) async throws -> Response {
        let conversation = try conversationID(context)
        let key = try Self.idempotencyHeader(request.headers)
        let draft = try await ReplyBody.read(request, bytesMax: bodyBytesMax)
        let now = clock()
        var generator = SystemRandomNumberGenerator()
        let reply = draft.reply(
            in: conversation, reference: MessageReference(id: .make(at: now, using: &generator), sentAt: now),
            signatureTemplate: signatureTemplate(),
            idempotency: try key.map { try Self.idempotencyKey($0, draft, conversation) })
        let receipt = try await store.reply(reply, for: principal)
        // The message has no address of its own; in its thread the fragment names it.
        var response = Response(
            status: .accepted, json: JSON(receipt.message),
            headers: [.location: "/api/conversations/\(conversation)/messages#\(receipt.message.id)"])
        if receipt.isReplay { response.headers[.idempotencyReplayed] = "true" }
        return response
    }

    private func conversationID(_ context: APIContext) throws -> UniqueID {
        guard let id = context.parameters.get("id").flatMap({ UniqueID($0) }) else {
            throw Problem(
                .invalidID, "The conversation's id in the path is not a UUID.",
                next: "Take the id of a conversation from GET /api/conversations.")
        }
        return id
    }

    private static func idempotencyHeader(_ headers: HTTPFields) throws -> String? {
        let values = headers[values: .idempotencyKey]
        guard values.count <= 1 else { throw badKey("The request has more than one Idempotency-Key.") }
        return values.first
    }

    private static func idempotencyKey(
        _ key: String, _ draft: ReplyDraft, _ conversation: UniqueID
    ) throws -> IdempotencyKey {
        let hash = Array(SHA256.hash(data: draft.canonicalBytes(in: conversation)))
        guard let key = IdempotencyKey(checking: key, route: "POST \(messagesPath)", requestHash: hash) else {
            throw badKey("The Idempotency-Key is not 1 to \(IdempotencyKey.lengthMax) visible ASCII characters.")
        }
        return key
    }

    private static func badKey(_ detail: String) -> Problem {
        Problem(.invalidIdempotencyKey, detail, next: "Send a random UUID, one for each message you mean to send.")
    }
}

extension Response {
    init(status: HTTPResponse.Status = .ok, json: JSON, headers: HTTPFields = [:]) {
        var headers = headers
        headers[.contentType] = "application/json"
        self.init(status: status, headers: headers, body: .init(byteBuffer: ByteBuffer(bytes: json.bytes)))
    }
}
