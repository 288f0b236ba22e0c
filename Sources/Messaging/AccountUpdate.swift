/// News about an account rather than a conversation: templates, quality, limits, bans. Named by the account's id.
public struct AccountUpdate: Hashable, Sendable {
    /// The WhatsApp business account it is about: `entry.id`, or what the value itself names.
    public var accountID: String
    /// The subscription field: `account_update`, `message_template_status_update`, …
    public var field: String
    /// The provider's word for what happened (`APPROVED`, `PARTNER_REMOVED`, …), where it gives one.
    public var event: String?
    /// A template's id, the display number, a flow's id: what exactly it happened to, where that is one thing.
    public var subject: String?
    /// What makes the event whole: the state of a ban, the kind of a violation, the reason of a refusal, a new limit.
    public var detail: String?
    public var at: Timestamp

    public init(
        accountID: String, field: String, event: String? = nil, subject: String? = nil, detail: String? = nil,
        at: Timestamp
    ) {
        self.accountID = accountID
        self.field = field
        self.event = event
        self.subject = subject
        self.detail = detail
        self.at = at
    }
}

/// People's wishes about marketing messages, told through WhatsApp's own switch: all that one change brings, for a
/// change without messages is one update.
public struct MarketingPreference: Hashable, Sendable {
    public struct Wish: Hashable, Sendable {
        public var sender: Sender
        /// What it is about: `marketing_messages`; open.
        public var category: String
        /// `stop`, `resume` or `signup`; open.
        public var value: String
        public var at: Timestamp

        public init(sender: Sender, category: String, value: String, at: Timestamp) {
            self.sender = sender
            self.category = category
            self.value = value
            self.at = at
        }
    }

    public var endpoint: EndpointReference
    /// In the order of the text; never empty.
    public var wishes: [Wish]

    public init(endpoint: EndpointReference, wishes: [Wish]) {
        self.endpoint = endpoint
        self.wishes = wishes
    }
}

/// The state of a session of a session server.
public struct SessionUpdate: Hashable, Sendable {
    public var endpoint: EndpointReference
    public var state: SessionState
    /// The number the session is logged in with, where it is told.
    public var phone: PhoneNumber?
    public var at: Timestamp

    public init(endpoint: EndpointReference, state: SessionState, phone: PhoneNumber? = nil, at: Timestamp) {
        self.endpoint = endpoint
        self.state = state
        self.phone = phone
        self.at = at
    }
}

/// As it stands in `gateway.endpoints.status`.
public enum SessionState: String, Sendable, CaseIterable {
    case connecting
    /// Waits for somebody to scan the code.
    case qr
    case connected
    case disconnected
    case loggedOut = "logged_out"
    case banned
    case expired
}
