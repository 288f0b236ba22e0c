/// News about an account rather than a conversation: templates, quality, limits, bans. Named by the account's id.
public struct AccountUpdate: Hashable, Sendable {
    /// The WhatsApp business account it is about: `entry.id`, or what the value itself names.
    public var accountID: String
    /// The subscription field: `account_update`, `message_template_status_update`, …
    public var field: String
    /// The provider's word for what happened (`APPROVED`, `PARTNER_REMOVED`, …), where it gives one.
    public var event: String?
    /// A template's id, the display number, a username: what exactly it happened to, where that is one thing.
    public var subject: String?
    public var at: Timestamp

    public init(accountID: String, field: String, event: String? = nil, subject: String? = nil, at: Timestamp) {
        self.accountID = accountID
        self.field = field
        self.event = event
        self.subject = subject
        self.at = at
    }
}

/// A person's wish about marketing messages, told through WhatsApp's own switch.
public struct MarketingPreference: Hashable, Sendable {
    public var endpoint: EndpointReference
    public var sender: Sender
    /// `stop`, `resume` or `signup`; open.
    public var value: String
    public var at: Timestamp

    public init(endpoint: EndpointReference, sender: Sender, value: String, at: Timestamp) {
        self.endpoint = endpoint
        self.sender = sender
        self.value = value
        self.at = at
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
