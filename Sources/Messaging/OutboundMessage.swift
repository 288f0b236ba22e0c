/// A message on its way to a person, from a landlord or from the gateway itself, ready to be sent.
public struct OutboundMessage: Hashable, Sendable {
    /// Our message; travels with it so that a status can find it back.
    public var reference: MessageReference
    /// Where it leaves from.
    public var endpoint: EndpointReference
    public var recipient: Recipient
    /// The whole text as the person reads it, signature included; of a template, its name.
    public var text: String
    public var form: Form
    /// The provider's id of the message it answers, to be shown as a quote.
    public var quotedMessageID: String?

    public init(
        reference: MessageReference, endpoint: EndpointReference, recipient: Recipient, text: String,
        form: Form = .text, quotedMessageID: String? = nil
    ) {
        self.reference = reference
        self.endpoint = endpoint
        self.recipient = recipient
        self.text = text
        self.form = form
        self.quotedMessageID = quotedMessageID
    }

    /// How it is shown.
    public enum Form: Hashable, Sendable {
        case text
        /// With options to tap, or a numbered list.
        case question(QuestionForm)
        /// A text the provider has approved; it may be sent when the window is closed, too.
        case template(name: String, language: String)
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
