/// One update of a webhook: each element of `messages[]`, `statuses[]`, echoes and history messages; one for each change
/// or entry that has none of these; one for a body that cannot be decoded.
public enum InboundEvent: Hashable, Sendable {
    case message(InboundMessage)
    case status(StatusUpdate)
    case session(SessionUpdate)
    // Understood, and stored raw until a room of the house acts on them.
    case echo(OwnMessage)
    case history(HistoryMessage)
    case account(AccountUpdate)
    case preference(MarketingPreference)
    case receipt(ConversationReceipt)
    /// Stored raw; nothing acts on it yet. `what` is a short label for metrics: `field:calls`, `entry`, `group`.
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
