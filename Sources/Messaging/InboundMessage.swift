/// A message a person sent to an endpoint.
public struct InboundMessage: Hashable, Sendable {
    public var endpoint: EndpointReference
    /// The provider's id, unique per endpoint: a `wamid`. Opaque. What speaks of another message and has no id of its
    /// own (a reaction, an edit and a deletion on Messenger and Instagram) has the other's with a `#` and its kind.
    public var id: String
    /// Who wrote it: by the identities that count once `identityChanges` are applied.
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
    /// A file that came with it: to be fetched from the provider by its id.
    public var media: MediaReference?
    /// What the message announces about its sender's identities, in the order it is to be applied; before the message
    /// itself is routed.
    public var identityChanges: [IdentityChange] = []
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

/// A file at the provider's, as a message names it.
public struct MediaReference: Hashable, Sendable {
    /// The provider's id of the file, or its address where files have no ids (session servers).
    public var id: String
    public var mimeType: String?
    /// As text: the provider writes base64 in webhooks and hexadecimal digits elsewhere.
    public var sha256: String?
    /// Chosen by the sender: shown with care, never a path.
    public var fileName: String?

    public init(id: String, mimeType: String? = nil, sha256: String? = nil, fileName: String? = nil) {
        self.id = id
        self.mimeType = mimeType
        self.sha256 = sha256
        self.fileName = fileName
    }
}

/// The provider's word that one and the same person is known by another identity from now on.
public enum IdentityChange: Hashable, Sendable {
    /// The person took another phone number (`user_changed_number`).
    case phone(from: PhoneNumber, to: PhoneNumber)
    /// The account id was made anew (`user_changed_user_id`): of the endpoint's kind and scope. A new parent id stands
    /// in the message's sender: it never decides alone, so no old one has to be known.
    case account(from: String, to: String)
}
