package import Messaging

/// A number on the Cloud API as Meta's webhooks name it.
package struct MetaPhone: Hashable, Sendable {
    /// The WABA id: `entry[].id`.
    package var accountID: String
    package var phoneNumberID: String
    /// For display alone: `metadata.display_phone_number`, digits.
    package var displayNumber: String

    package init(accountID: String, phoneNumberID: String, displayNumber: String) {
        self.accountID = accountID
        self.phoneNumberID = phoneNumberID
        self.displayNumber = displayNumber
    }
}

/// A message a tenant writes on their phone.
package struct TenantMessage: Sendable {
    /// Digits, as in `wa_id`; `nil` for people who hide their number.
    package var from: String?
    /// The business-scoped user id.
    package var accountID: String?
    package var name: String?
    package var username: String?
    package var id: String
    package var sentAt: Timestamp
    package var content: Content
    /// The wamid of the message it quotes.
    package var quotedMessageID: String?

    package init(
        from: String?, id: String, sentAt: Timestamp, content: Content, accountID: String? = nil, name: String? = nil,
        username: String? = nil, quotedMessageID: String? = nil
    ) {
        self.from = from
        self.id = id
        self.sentAt = sentAt
        self.content = content
        self.accountID = accountID
        self.name = name
        self.username = username
        self.quotedMessageID = quotedMessageID
    }

    package enum Content: Sendable {
        case text(String)
        case image(caption: String?)
        case video(caption: String?)
        case audio(isVoice: Bool)
        case document(filename: String, caption: String?)
        case sticker
        case location(latitude: Double, longitude: Double, name: String?, address: String?)
        case contact(name: String, phone: String)
        /// No emoji takes the reaction back.
        case reaction(messageID: String, emoji: String?)
        case buttonReply(id: String, title: String)
        case listReply(id: String, title: String, description: String?)
        /// A quick reply on a template.
        case button(payload: String, text: String)
        case order(text: String?)
        /// The sender moved to another number: `from` is the old one.
        case numberChanged(to: String)
        case edit(originalID: String, body: String)
        case revoke(originalID: String)
        case unsupported

        /// Meta's word for it.
        package var type: String {
            switch self {
            case .text: "text"
            case .image: "image"
            case .video: "video"
            case .audio: "audio"
            case .document: "document"
            case .sticker: "sticker"
            case .location: "location"
            case .contact: "contacts"
            case .reaction: "reaction"
            case .buttonReply, .listReply: "interactive"
            case .button: "button"
            case .order: "order"
            case .numberChanged: "system"
            case .edit: "edit"
            case .revoke: "revoke"
            case .unsupported: "unsupported"
            }
        }

        /// A message of a type, by Meta's word, with the given text in the place where that type has one.
        /// - Parameter about: the wamid that reactions, edits and revocations speak of.
        /// - Returns: `nil` for a word that is not among `types`.
        package init?(type: String, text: String?, about: String? = nil) {
            let about = about ?? "wamid.HBgLMTY1MDM4Nzk0MzkVAgARGBIyNDlBOEI5QUQ4NDc0N0FCNjMA"
            switch type {
            case "text": self = .text(text ?? "")
            case "image": self = .image(caption: text)
            case "video": self = .video(caption: text)
            case "audio": self = .audio(isVoice: true)
            case "document": self = .document(filename: "lease.pdf", caption: text)
            case "sticker": self = .sticker
            case "location": self = .location(latitude: 51.5074, longitude: -0.1278, name: text, address: nil)
            case "contacts": self = .contact(name: text ?? "Sam Plumber", phone: "+447911000111")
            case "reaction": self = .reaction(messageID: about, emoji: text ?? "👍")
            case "interactive": self = .buttonReply(id: "choice-1", title: text ?? "Yes")
            case "list": self = .listReply(id: "choice-1", title: text ?? "Yes", description: nil)
            case "button": self = .button(payload: text ?? "yes", text: text ?? "Yes")
            case "order": self = .order(text: text)
            case "system": self = .numberChanged(to: text ?? "447911999999")
            case "edit": self = .edit(originalID: about, body: text ?? "")
            case "revoke": self = .revoke(originalID: about)
            case "unsupported": self = .unsupported
            default: return nil
            }
        }

        /// The words `init(type:text:about:)` knows.
        package static let types = [
            "text", "image", "video", "audio", "document", "sticker", "location", "contacts", "reaction", "interactive",
            "list", "button", "order", "system", "edit", "revoke", "unsupported",
        ]
    }
}

/// What Meta tells about a message of ours.
package struct StatusReport: Sendable {
    package var messageID: String
    /// `sent`, `delivered`, `read`, `failed`, or any other word.
    package var status: String
    package var at: Timestamp
    /// Digits; `nil` when the recipient is known by a business-scoped id alone.
    package var recipient: String?
    package var recipientAccountID: String?
    /// `biz_opaque_callback_data` of the send.
    package var callbackData: String?
    package var error: GraphError?
    /// Versions below 24 add a `conversation` object to `sent`.
    package var hasConversation: Bool

    package init(
        messageID: String, status: String, at: Timestamp, recipient: String?, recipientAccountID: String? = nil,
        callbackData: String? = nil, error: GraphError? = nil, hasConversation: Bool = false
    ) {
        self.messageID = messageID
        self.status = status
        self.at = at
        self.recipient = recipient
        self.recipientAccountID = recipientAccountID
        self.callbackData = callbackData
        self.error = error
        self.hasConversation = hasConversation
    }
}
