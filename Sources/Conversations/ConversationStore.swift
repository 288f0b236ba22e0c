public import Messaging

/// Who asks: a landlord's login, as their token proved it.
public struct Principal: Hashable, Sendable {
    /// `sub`: the landlord's user id.
    public let userID: UniqueID
    /// The token's claims as JSON, for `request.jwt.claims` of the transaction: row security reads them.
    public let claimsJSON: String

    public init(userID: UniqueID, claimsJSON: String) {
        self.userID = userID
        self.claimsJSON = claimsJSON
    }
}

/// Who asks: somebody who runs the place, as their token proved it. Row security is not asked about them, so what is read
/// for an administrator is read by the gateway's own login.
public struct Administrator: Hashable, Sendable {
    /// `sub`: their user id; the `actor` of the audit log.
    public let userID: UniqueID

    /// The `actor_role` of the audit log.
    public static let role = "admin"

    public init(userID: UniqueID) { self.userID = userID }
}

/// Conversations as a landlord sees them. Every call runs in a transaction of its own with the role `authenticated` and
/// the principal's claims, so that row security decides what exists.
public protocol ConversationStore: Sendable {
    func conversations(
        for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ConversationSummary>
    /// `ConversationError.notFound` where the conversation is not the principal's.
    func messages(
        in conversation: UniqueID, for principal: Principal, page: PageRequest
    ) async throws(ConversationError) -> Page<ThreadMessage>
    /// Queues a landlord's answer: the message row and the outbox job in one transaction.
    func reply(_ reply: Reply, for principal: Principal) async throws(ConversationError) -> ReplyReceipt
}

/// A page of a list, newest first.
public struct PageRequest: Hashable, Sendable {
    /// 1 to 200.
    public let limit: Int
    /// Where the last page ended; `nil` for the first.
    public let cursor: PageCursor?

    public static let limitMax = 200

    public init(limit: Int, cursor: PageCursor?) {
        precondition((1...Self.limitMax).contains(limit))
        self.limit = limit
        self.cursor = cursor
    }
}

/// A place in a list ordered by time and id.
public struct PageCursor: Hashable, Sendable {
    public let at: Timestamp
    public let id: UniqueID

    public init(at: Timestamp, id: UniqueID) {
        self.at = at
        self.id = id
    }
}

public struct Page<Element: Sendable>: Sendable {
    public let items: [Element]
    /// `nil` when nothing follows.
    public let next: PageCursor?

    public init(items: [Element], next: PageCursor?) {
        self.items = items
        self.next = next
    }
}

/// A row of a landlord's list of conversations.
public struct ConversationSummary: Hashable, Sendable {
    public var id: UniqueID
    public var tenantID: UniqueID?
    public var tenantName: String?
    public var tenantPhone: PhoneNumber?
    public var propertyID: UniqueID?
    public var propertyAddress: String?
    public var channel: String
    /// `active`, `archived` or `blocked`.
    public var status: String
    public var unreadCount: Int
    public var lastMessageAt: Timestamp
    /// Until when a free-form answer may be sent; `nil` = no window is open.
    public var windowOpenUntil: Timestamp?
    /// Labels that rules gave it, in the order of the alphabet.
    public var tags: [String]
    /// `normal` or `high`: a rule wants it looked at first.
    public var priority: String

    public init(
        id: UniqueID, tenantID: UniqueID?, tenantName: String?, tenantPhone: PhoneNumber?, propertyID: UniqueID?,
        propertyAddress: String?, channel: String, status: String, unreadCount: Int, lastMessageAt: Timestamp,
        windowOpenUntil: Timestamp?, tags: [String] = [], priority: String = "normal"
    ) {
        self.id = id
        self.tenantID = tenantID
        self.tenantName = tenantName
        self.tenantPhone = tenantPhone
        self.propertyID = propertyID
        self.propertyAddress = propertyAddress
        self.channel = channel
        self.status = status
        self.unreadCount = unreadCount
        self.lastMessageAt = lastMessageAt
        self.windowOpenUntil = windowOpenUntil
        self.tags = tags
        self.priority = priority
    }
}

/// A message in a thread, either way.
public struct ThreadMessage: Hashable, Sendable {
    public var id: UniqueID
    public var conversationID: UniqueID
    /// `incoming` from the tenant, `outgoing` from the landlord.
    public var direction: String
    public var type: String
    public var body: String?
    /// The signature put before an outgoing text.
    public var signature: String?
    public var quotedMessageID: String?
    public var providerID: String?
    /// Delivery: `received`, `queued`, `sent`, `delivered`, `read`, `failed`, …
    public var status: String
    /// Routing: `delivered`, `opted_out`, `blocked`, …: why a message did or did not go on.
    public var routingStatus: String
    /// `accepted`, `refused`, `uncertain`: what became of our send call.
    public var outcome: String?
    public var errorCode: Int32?
    public var errorDetail: String?
    public var sentAt: Timestamp
    public var deliveredAt: Timestamp?
    public var readAt: Timestamp?
    public var failedAt: Timestamp?

    public init(
        id: UniqueID, conversationID: UniqueID, direction: String, type: String, body: String?, signature: String?,
        quotedMessageID: String?, providerID: String?, status: String, routingStatus: String, outcome: String?,
        errorCode: Int32?, errorDetail: String?, sentAt: Timestamp, deliveredAt: Timestamp?, readAt: Timestamp?,
        failedAt: Timestamp?
    ) {
        self.id = id
        self.conversationID = conversationID
        self.direction = direction
        self.type = type
        self.body = body
        self.signature = signature
        self.quotedMessageID = quotedMessageID
        self.providerID = providerID
        self.status = status
        self.routingStatus = routingStatus
        self.outcome = outcome
        self.errorCode = errorCode
        self.errorDetail = errorDetail
        self.sentAt = sentAt
        self.deliveredAt = deliveredAt
        self.readAt = readAt
        self.failedAt = failedAt
    }
}

/// A landlord's answer on its way into the queue.
public struct Reply: Hashable, Sendable {
    public var conversationID: UniqueID
    /// The id and queueing time the message will have.
    public var reference: MessageReference
    /// What the landlord wrote, without the signature.
    public var text: String
    /// The platform's signature template, used where the landlord has none of their own.
    public var signatureTemplate: LandlordSignature
    public var quotedMessageID: String?
    /// From `Idempotency-Key`: the same key again gives the first answer again.
    public var idempotency: IdempotencyKey?

    public init(
        conversationID: UniqueID, reference: MessageReference, text: String, signatureTemplate: LandlordSignature,
        quotedMessageID: String? = nil, idempotency: IdempotencyKey? = nil
    ) {
        self.conversationID = conversationID
        self.reference = reference
        self.text = text
        self.signatureTemplate = signatureTemplate
        self.quotedMessageID = quotedMessageID
        self.idempotency = idempotency
    }
}

/// A caller's key, which counts per user and route, and a hash of what was asked under it.
public struct IdempotencyKey: Hashable, Sendable {
    public let key: String
    /// Method and path pattern: the same key on another route is another key.
    public let route: String
    /// SHA-256 of the request: the same key with another request is an error.
    public let requestHash: [UInt8]

    public init(key: String, route: String, requestHash: [UInt8]) {
        self.key = key
        self.route = route
        self.requestHash = requestHash
    }
}

/// What became of a reply: queued now, or queued by an earlier request with the same key.
public struct ReplyReceipt: Hashable, Sendable {
    public var message: ThreadMessage
    public var isReplay: Bool

    public init(message: ThreadMessage, isReplay: Bool) {
        self.message = message
        self.isReplay = isReplay
    }
}

/// Why something about a conversation could not be done. The raw value is the stable `code` of the API's problem document.
public enum ConversationError: Error, Hashable, Sendable {
    /// There is no such conversation for this principal.
    case notFound
    /// WhatsApp's 24-hour window is closed: only a template may be sent. The moment is that of the newest inbound message.
    case windowClosed(lastInboundAt: Timestamp?)
    /// The thread's endpoint cannot send.
    case cannotSend
    /// The landlord or an administrator blocked the thread.
    case conversationBlocked
    /// The tenant asked not to be written to.
    case recipientOptedOut
    /// The same `Idempotency-Key` came with another request.
    case idempotencyMismatch
    /// Signature and text together are too long.
    case textTooLong(units: Int, max: Int)
    /// The database is away; try again.
    case unavailable(String)

    public var code: String {
        switch self {
        case .notFound: "not-found"
        case .windowClosed: "window-closed"
        case .cannotSend: "cannot-send"
        case .conversationBlocked: "conversation-blocked"
        case .recipientOptedOut: "recipient-opted-out"
        case .idempotencyMismatch: "idempotency-mismatch"
        case .textTooLong: "text-too-long"
        case .unavailable: "database-unavailable"
        }
    }
}
