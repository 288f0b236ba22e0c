/// A message on its way from a landlord to a person, ready to be sent.
public struct OutboundMessage: Hashable, Sendable {
    /// Our message; travels with it so that a status can find it back.
    public var reference: MessageReference
    /// Where it leaves from.
    public var endpoint: EndpointReference
    public var recipient: Recipient
    /// The whole text as the person reads it, signature included.
    public var text: String
    /// The provider's id of the message it answers, to be shown as a quote.
    public var quotedMessageID: String?

    public init(
        reference: MessageReference, endpoint: EndpointReference, recipient: Recipient, text: String,
        quotedMessageID: String? = nil
    ) {
        self.reference = reference
        self.endpoint = endpoint
        self.recipient = recipient
        self.text = text
        self.quotedMessageID = quotedMessageID
    }

    /// The longest text WhatsApp takes, in UTF-16 code units (Meta does not say which unit; this is the safe one).
    public static let textLengthMax = 4096
}

/// Whom a message goes to.
public enum Recipient: Hashable, Sendable {
    case phone(PhoneNumber)
    /// A business-scoped id, page- or Instagram-scoped id: for people whose number we do not know.
    case accountID(String)
}
