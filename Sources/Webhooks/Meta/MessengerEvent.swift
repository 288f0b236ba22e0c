import Messaging

/// The two products that speak Messenger's language.
enum MessengerKind {
    case messenger
    case instagram

    var label: String {
        switch self {
        case .messenger: "messenger"
        case .instagram: "instagram"
        }
    }

    var endpointKind: EndpointKind {
        switch self {
        case .messenger: .messenger
        case .instagram: .instagram
        }
    }

    /// What becomes of an event nothing acts on.
    fileprivate func ignored(_ key: JSONValue?) -> InboundEvent {
        switch self {
        case .messenger: .ignored(what: Label.text("messenger:", key))
        case .instagram: .ignored(what: Label.text("instagram:", key))
        }
    }
}

/// The members of an element of `messaging`.
private struct MessengerFields {
    /// What happened: the names of the members that tell.
    enum Event {
        case message
        case edit
        case postback
        case read
        case delivery
        case reaction

        init?(_ key: JSONValue) {
            switch key.textLength {
            case 4 where key.isText("read"): self = .read
            case 7 where key.isText("message"): self = .message
            case 8 where key.isText("delivery"): self = .delivery
            case 8 where key.isText("postback"): self = .postback
            case 8 where key.isText("reaction"): self = .reaction
            case 12 where key.isText("message_edit"): self = .edit
            default: return nil
            }
        }
    }

    private(set) var sender: JSONValue?
    private(set) var recipient: JSONValue?
    private(set) var timestamp: JSONValue?
    private(set) var event: (kind: Event, content: JSONValue)?
    /// The name of the first member that is none of these.
    private(set) var other: JSONValue?

    init(_ element: JSONValue) {
        for member in element.members {
            let key = member.key
            if let kind = Event(key) {
                event = event ?? (kind, member.value)
            } else if key.isText("sender") {
                sender = member.value["id"]
            } else if key.isText("recipient") {
                recipient = member.value["id"]
            } else if key.isText("timestamp") {
                timestamp = member.value
            } else {
                other = other ?? key
            }
        }
    }

    /// Stands in the ids of what has none of its own: the same each time the same event comes.
    var moment: String { timestamp?.shortText(40) ?? "0" }
}

/// An event, and who is who in it.
private struct MessengerParties {
    let endpoint: EndpointReference
    /// The other side, whoever wrote.
    let person: Sender
    /// Sent from our page or account.
    let isOwn: Bool

    init(_ fields: MessengerFields, _ kind: MessengerKind, entry: MetaEntry) throws(MetaReading.Refusal) {
        let flags = fields.event?.content
        let isSentByEntry = fields.sender != nil && fields.sender?.identifier == entry.id?.identifier
        let isToSelf = fields.recipient?.identifier == entry.id?.identifier
        isOwn = flags?["is_echo"]?.isTrue == true || isSentByEntry && !isToSelf
        let (ours, theirs) = isOwn ? (fields.sender, fields.recipient) : (fields.recipient, fields.sender)
        guard let account = [ours, entry.id].lazy.compactMap({ $0?.accountID }).first else {
            throw .init(.missingField, "no id of the page or account: neither among the parties nor the entry's")
        }
        guard let person = theirs?.accountID else {
            throw .init(of: theirs, "the other side has no id", "the other side's id is not a text that can be kept")
        }
        endpoint = EndpointReference(kind: kind.endpointKind, providerID: account)
        self.person = Sender(accountID: person)
    }
}

extension MetaReading {
    /// An element of `messaging`: what Messenger and Instagram tell.
    func messengerEvent(
        _ value: JSONValue, of kind: MessengerKind, in entry: MetaEntry
    ) throws(Refusal) -> InboundEvent {
        guard value.isObject else { throw Refusal(.badField, "an event is not an object") }
        let fields = MessengerFields(value)
        guard let (event, content) = fields.event else { return kind.ignored(fields.other) }
        guard content.isObject else { throw Refusal(.badField, "what happened is not an object") }
        let parties = try MessengerParties(fields, kind, entry: entry)
        let message: MessengerContent
        switch event {
        case .read:
            return parties.isOwn ? .ignored(what: kind.label + ":read") : try receipt(content, .read, fields, parties)
        case .delivery:
            guard !parties.isOwn else { return .ignored(what: kind.label + ":delivery") }
            return try receipt(content, .delivered, fields, parties)
        case .message: message = try MessengerContent(message: content)
        case .edit: message = try MessengerContent(edit: content, moment: fields.moment)
        case .reaction: message = try MessengerContent(reaction: content, moment: fields.moment)
        case .postback: message = MessengerContent(postback: content, by: parties.person, moment: fields.moment)
        }
        var result = InboundMessage(
            endpoint: parties.endpoint, id: message.id, sender: parties.person, sentAt: moment(fields.timestamp),
            type: message.type, body: message.body, quotedMessageID: message.subjectID,
            replyPayload: message.replyPayload)
        result.media = message.media
        if message.hasMore || fields.other != nil { result.raw = value.raw }
        return parties.isOwn ? .echo(OwnMessage(result)) : .message(result)
    }

    /// `watermark` says up to when, `mid` and `mids` which.
    private func receipt(
        _ content: JSONValue, _ status: DeliveryStatus, _ fields: MessengerFields, _ parties: MessengerParties
    ) throws(Refusal) -> InboundEvent {
        let upTo = content["watermark"]?.integer.map(Self.moment)
        var messageIDs = content["mid"]?.identifier.map { [$0] } ?? []
        if let mids = content["mids"] { messageIDs += mids.elements.compactMap(\.identifier) }
        guard upTo != nil || !messageIDs.isEmpty else {
            throw Refusal(.missingField, "a receipt has neither a watermark nor ids of messages")
        }
        return .receipt(
            ConversationReceipt(
                endpoint: parties.endpoint, sender: parties.person, status: status, upTo: upTo, messageIDs: messageIDs,
                at: moment(fields.timestamp)))
    }

    private func moment(_ value: JSONValue?) -> Timestamp { value?.integer.map(Self.moment) ?? receivedAt }

    /// Milliseconds as a rule, seconds now and then: told apart by their size, of which only one can be a date of ours.
    private static func moment(_ number: Int64) -> Timestamp {
        guard number >= 100_000_000_000 else { return Timestamp(seconds: number) }
        let (microseconds, overflow) = number.multipliedReportingOverflow(by: 1000)
        return Timestamp(microseconds: overflow ? .max : microseconds)
    }
}
