/// A message a person sent to an endpoint.
public struct InboundMessage: Hashable, Sendable {
    public var endpoint: EndpointReference
    /// The provider's id, unique per endpoint: a `wamid`. Opaque.
    public var id: String
    public var sender: Sender
    /// The provider's clock; whole seconds on WhatsApp. Not yet clamped to what the database stores.
    public var sentAt: Timestamp
    /// The provider's word for its type: `text`, `image`, … Open: new ones appear.
    public var type: String
    /// The text a landlord reads: the body of a text, the caption of a picture, the title of a tapped button.
    public var body: String?
    /// The provider's id of the message this one quotes.
    public var quotedMessageID: String?
    /// What a tapped button or list row carries back: the id we gave it.
    public var replyPayload: String?
    /// The bytes of the message's own JSON object, for every type whose fields are not all understood yet.
    public var raw: [UInt8]?

    public init(
        endpoint: EndpointReference, id: String, sender: Sender, sentAt: Timestamp, type: String, body: String? = nil,
        quotedMessageID: String? = nil, replyPayload: String? = nil, raw: [UInt8]? = nil
    ) {
        self.endpoint = endpoint
        self.id = id
        self.sender = sender
        self.sentAt = sentAt
        self.type = type
        self.body = body
        self.quotedMessageID = quotedMessageID
        self.replyPayload = replyPayload
        self.raw = raw
    }
}

/// News about a message we sent.
public struct StatusUpdate: Hashable, Sendable {
    public var endpoint: EndpointReference
    /// The provider's id of the message it speaks of.
    public var messageID: String
    public var status: DeliveryStatus
    public var at: Timestamp
    public var errorCode: Int32?
    public var errorDetail: String?
    /// The JSON text of the `pricing` object, if there was one and it is well-formed UTF-8 without `\u0000`.
    public var pricing: String?
    /// Our message's id and the time it was queued, read back from `biz_opaque_callback_data`.
    public var correlation: MessageReference?

    public init(
        endpoint: EndpointReference, messageID: String, status: DeliveryStatus, at: Timestamp, errorCode: Int32? = nil,
        errorDetail: String? = nil, pricing: String? = nil, correlation: MessageReference? = nil
    ) {
        self.endpoint = endpoint
        self.messageID = messageID
        self.status = status
        self.at = at
        self.errorCode = errorCode
        self.errorDetail = errorDetail
        self.pricing = pricing
        self.correlation = correlation
    }
}

/// A message of ours: the key of its row, and what travels in `biz_opaque_callback_data` as `<id>,<microseconds>`.
public struct MessageReference: Hashable, Sendable {
    public let id: UniqueID
    /// The time it was queued; with the id it finds the row in its partition.
    public let sentAt: Timestamp

    public init(id: UniqueID, sentAt: Timestamp) {
        self.id = id
        self.sentAt = sentAt
    }

    public var callbackData: String { "\(id),\(sentAt.microseconds)" }

    /// Reads what we wrote; `nil` for anything else, for the field is open to every app on the account.
    public init?(callbackData text: some StringProtocol) {
        guard let comma = text.firstIndex(of: ","), let id = UniqueID(text[..<comma]),
            let microseconds = Int64(text[text.index(after: comma)...])
        else { return nil }
        self.init(id: id, sentAt: Timestamp(microseconds: microseconds))
    }
}

/// One update of a webhook: each element of `messages[]`, `statuses[]`, echoes and history messages; one for each change
/// or entry that has none of these; one for a body that cannot be decoded.
public enum InboundEvent: Hashable, Sendable {
    case message(InboundMessage)
    case status(StatusUpdate)
    /// Stored raw; nothing acts on it yet. `what` is a short label for metrics: `field:account_update`, `echo`, `group`.
    case ignored(what: String)
    /// Could not be understood. `raw` is the update's own bytes where they could be told apart from the rest.
    case undecodable(reason: UndecodableReason, detail: String, raw: [UInt8]?)
}

/// Why an update could not be understood: a bounded label for metrics and for the table of parked updates.
public enum UndecodableReason: String, Sendable, CaseIterable {
    case notJSON = "not_json"
    case tooDeep = "too_deep"
    case unknownShape = "unknown_shape"
    case missingField = "missing_field"
    case badField = "bad_field"
}

/// What a decoder makes of a body: a label, and its updates in the order they stand in it. Never empty.
public struct DecodedWebhook: Hashable, Sendable {
    /// For `webhook_log.event`: `messages`, `statuses`, `account_update`, `mixed`, `undecodable`; at most 64 characters.
    public var event: String
    public var updates: [InboundEvent]

    public init(event: String, updates: [InboundEvent]) {
        self.event = event
        self.updates = updates
    }
}
