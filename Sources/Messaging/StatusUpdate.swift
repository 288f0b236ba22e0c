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
    /// Whom the message went to, as far as the status says: where it names a number and an account id, they are one
    /// person's. In a group the one member it speaks of.
    public var recipient: Sender?
    /// The group the message went to, if it went to one.
    public var groupID: String?
    /// When the free window the provider tells of ends; hardly ever told since 2025.
    public var windowEndsAt: Timestamp?

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
        var text = String(text)
        guard let reference = text.withUTF8({ Self(callbackData: $0) }) else { return nil }
        self = reference
    }

    /// The same from bytes: concrete, for what is read millions of times.
    public init?(callbackData characters: UnsafeBufferPointer<UInt8>) {
        // 36 characters of the id, a comma, at most 18 digits: they never overflow.
        guard (38...56).contains(characters.count), characters[36] == UInt8(ascii: ","),
            let id = UniqueID(characters: UnsafeBufferPointer(rebasing: characters[..<36]))
        else { return nil }
        let isNegative = characters[37] == UInt8(ascii: "-")
        let digits = characters[(isNegative ? 38 : 37)...]
        guard (1...18).contains(digits.count) else { return nil }
        var microseconds: Int64 = 0
        for digit in digits {
            guard digit &- UInt8(ascii: "0") < 10 else { return nil }
            microseconds = microseconds * 10 + Int64(digit &- UInt8(ascii: "0"))
        }
        self.init(id: id, sentAt: Timestamp(microseconds: isNegative ? -microseconds : microseconds))
    }
}

/// A receipt for everything up to a moment, or for some messages: how Messenger and Instagram tell `read` and
/// `delivered`.
public struct ConversationReceipt: Hashable, Sendable {
    public var endpoint: EndpointReference
    /// Who received or read.
    public var sender: Sender
    public var status: DeliveryStatus
    /// Everything we sent them up to this moment; `nil` where only messages are named.
    public var upTo: Timestamp?
    /// Messages that are named; they may be some of those before `upTo`.
    public var messageIDs: [String]
    public var at: Timestamp

    public init(
        endpoint: EndpointReference, sender: Sender, status: DeliveryStatus, upTo: Timestamp?,
        messageIDs: [String] = [], at: Timestamp
    ) {
        self.endpoint = endpoint
        self.sender = sender
        self.status = status
        self.upTo = upTo
        self.messageIDs = messageIDs
        self.at = at
    }
}
