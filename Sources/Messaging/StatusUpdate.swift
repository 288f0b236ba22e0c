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

/// A receipt for everything up to a moment, or for one message: how Messenger and Instagram tell `read` and `delivered`.
public struct ConversationReceipt: Hashable, Sendable {
    public var endpoint: EndpointReference
    public var sender: Sender
    public var status: DeliveryStatus
    /// Everything sent up to this moment; `nil` where messages are named.
    public var upTo: Timestamp?
    public var messageIDs: [String]

    public init(
        endpoint: EndpointReference, sender: Sender, status: DeliveryStatus, upTo: Timestamp?, messageIDs: [String] = []
    ) {
        self.endpoint = endpoint
        self.sender = sender
        self.status = status
        self.upTo = upTo
        self.messageIDs = messageIDs
    }
}
