/// A message that was sent from one of our endpoints by other means than ours: typed on the phone that shares the
/// number (an echo), or sent by the owner of a session or page.
public struct OwnMessage: Hashable, Sendable {
    public var endpoint: EndpointReference
    public var id: String
    public var recipient: Sender
    public var sentAt: Timestamp
    public var type: String
    public var body: String?
    public var media: MediaReference?
    /// The provider's id of the message this one quotes, changes, takes back or reacts to.
    public var quotedMessageID: String?
    /// The bytes of the message's own JSON object, for every type whose fields are not all understood yet.
    public var raw: [UInt8]?

    public init(
        endpoint: EndpointReference, id: String, recipient: Sender, sentAt: Timestamp, type: String,
        body: String? = nil, media: MediaReference? = nil, quotedMessageID: String? = nil, raw: [UInt8]? = nil
    ) {
        self.endpoint = endpoint
        self.id = id
        self.recipient = recipient
        self.sentAt = sentAt
        self.type = type
        self.body = body
        self.media = media
        self.quotedMessageID = quotedMessageID
        self.raw = raw
    }
}

/// A message from before a number was connected: sent by either side, with the state it was in.
public struct HistoryMessage: Hashable, Sendable {
    public enum Direction: Hashable, Sendable {
        case incoming(InboundMessage)
        case outgoing(OwnMessage)
    }
    public var message: Direction
    /// `SENT`, `DELIVERED`, `READ`, … as the provider writes it; open.
    public var state: String?

    public init(message: Direction, state: String? = nil) {
        self.message = message
        self.state = state
    }
}
