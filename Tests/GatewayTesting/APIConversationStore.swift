package import Conversations
package import Messaging
import Synchronization

/// Conversations in memory, for tests of the HTTP API. It keeps landlords apart by a filter of its own; that the
/// database does so is tested against the database.
package final class APIConversationStore: ConversationStore {
    package struct Thread: Sendable {
        package var landlord: UniqueID
        package var summary: ConversationSummary
        package var messages: [ThreadMessage]

        package init(landlord: UniqueID, summary: ConversationSummary, messages: [ThreadMessage] = []) {
            self.landlord = landlord
            self.summary = summary
            self.messages = messages
        }
    }

    private struct RememberedKey: Hashable {
        let landlord: UniqueID
        let route: String
        let key: String
    }

    private struct State {
        var threads: [Thread]
        var replies: [Reply] = []
        var principals: [Principal] = []
        var remembered: [RememberedKey: (hash: [UInt8], message: ThreadMessage)] = [:]
        var failure: ConversationError?
    }

    private let state: Mutex<State>
    /// Awaited by every reply before it is recorded: a test can hold one up.
    private let beforeReply: @Sendable () async -> Void

    package init(threads: [Thread], beforeReply: @escaping @Sendable () async -> Void = {}) {
        self.state = Mutex(State(threads: threads))
        self.beforeReply = beforeReply
    }

    /// The replies that were queued, replays not among them.
    package var replies: [Reply] { state.withLock { $0.replies } }
    /// Who asked, call by call.
    package var principals: [Principal] { state.withLock { $0.principals } }

    /// Every call from now on ends like this.
    package func fail(with error: ConversationError?) { state.withLock { $0.failure = error } }

    package func conversations(
        for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ConversationSummary> {
        let threads = try enter(principal).threads
        let mine = threads.filter { $0.landlord == principal.userID }.map(\.summary)
        return Self.page(mine, page) { PageCursor(at: $0.lastMessageAt, id: $0.id) }
    }

    package func messages(
        in conversation: UniqueID, for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ThreadMessage> {
        let threads = try enter(principal).threads
        guard let thread = threads.first(where: { $0.summary.id == conversation && $0.landlord == principal.userID })
        else { throw .notFound }
        return Self.page(thread.messages, page) { PageCursor(at: $0.sentAt, id: $0.id) }
    }

    package func reply(_ reply: Reply, for principal: Principal) async throws(ConversationError) -> ReplyReceipt {
        _ = try enter(principal)
        await beforeReply()
        let result = state.withLock { Self.record(reply, principal, &$0) }
        return try result.get()
    }

    private func enter(_ principal: Principal) throws(ConversationError) -> State {
        let now = state.withLock { state in
            state.principals.append(principal)
            return state
        }
        if let failure = now.failure { throw failure }
        return now
    }

    private static func record(
        _ reply: Reply, _ principal: Principal, _ state: inout State
    ) -> Result<ReplyReceipt, ConversationError> {
        let isMine = { (thread: Thread) in
            thread.summary.id == reply.conversationID && thread.landlord == principal.userID
        }
        guard let index = state.threads.firstIndex(where: isMine) else { return .failure(.notFound) }
        let key = reply.idempotency.map { RememberedKey(landlord: principal.userID, route: $0.route, key: $0.key) }
        if let key, let earlier = state.remembered[key] {
            guard earlier.hash == reply.idempotency?.requestHash else { return .failure(.idempotencyMismatch) }
            return .success(ReplyReceipt(message: earlier.message, isReplay: true))
        }
        let message = ThreadMessage(
            id: reply.reference.id, conversationID: reply.conversationID, direction: "outgoing", type: "text",
            body: reply.text, signature: reply.signatureTemplate.text(landlord: "Ada Lovelace"),
            quotedMessageID: reply.quotedMessageID, providerID: nil, status: "queued", routingStatus: "delivered",
            outcome: nil, errorCode: nil, errorDetail: nil, sentAt: reply.reference.sentAt, deliveredAt: nil,
            readAt: nil,
            failedAt: nil)
        state.replies.append(reply)
        state.threads[index].messages.append(message)
        if let key, let hash = reply.idempotency?.requestHash { state.remembered[key] = (hash, message) }
        return .success(ReplyReceipt(message: message, isReplay: false))
    }

    private static func page<Element: Sendable>(
        _ elements: [Element], _ request: PageRequest, place: (Element) -> PageCursor
    ) -> Page<Element> {
        let isBefore = { (a: PageCursor, b: PageCursor) in a.at != b.at ? a.at > b.at : a.id > b.id }
        let sorted = elements.sorted { isBefore(place($0), place($1)) }
        let rest = request.cursor.map { cursor in sorted.filter { isBefore(cursor, place($0)) } } ?? sorted
        let items = Array(rest.prefix(request.limit))
        return Page(items: items, next: rest.count > items.count ? items.last.map(place) : nil)
    }
}
