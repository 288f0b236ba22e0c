import Messaging

extension OwnMessage {
    /// A message read like one of a person's, whose `sender` is the person at the other end.
    init(_ message: InboundMessage) {
        self.init(
            endpoint: message.endpoint, id: message.id, recipient: message.sender, sentAt: message.sentAt,
            type: message.type, body: message.body, media: message.media, quotedMessageID: message.quotedMessageID,
            raw: message.raw)
    }
}

extension MetaReading {
    /// What the owner of the number wrote on the phone that shares it.
    func whatsAppEcho(
        _ message: JSONValue, in change: WhatsAppChange, contacts: WhatsAppContacts
    ) throws(Refusal) -> InboundEvent {
        guard message.isObject else { throw Refusal(.badField, "an echo is not an object") }
        let fields = WhatsAppMessageFields(message)
        if fields.isOfGroup { return .ignored(what: "group") }
        let endpoint = try change.requireEndpoint()
        let id = try fields.requireID()
        let author = try addressee(of: message, fields, thread: nil, contacts)
        return .echo(OwnMessage(whatsAppContent(of: message, fields, id: id, endpoint: endpoint, with: author)))
    }

    /// `history[].threads[].messages[]`.
    mutating func readHistory(_ chunks: JSONValue, in change: WhatsAppChange) {
        let contacts = WhatsAppContacts(change.contacts)
        let us = change.displayNumber
        for chunk in chunks.elements where !isFull {
            guard let threads = pastList("threads", of: chunk) else { continue }
            for thread in threads.elements where !isFull {
                guard let messages = pastList("messages", of: thread) else { continue }
                readThread(thread["id"], messages: messages, us: us, in: change, contacts: contacts)
            }
        }
    }

    /// A list that a part of the history holds, if any; what should be one and is none counts as one message.
    private mutating func pastList(_ name: StaticString, of part: JSONValue) -> JSONValue? {
        let list = part[name]
        if let list, list.isArray { return list }
        if !part.isObject || list?.isNull == false { append(.ignored(what: "history:unreadable")) }
        return nil
    }

    /// What cannot be read is let be: it comes in thousands, nobody waits for it, and parked each would keep the body.
    /// - Parameter us: the endpoint's own number.
    mutating func readThread(
        _ thread: JSONValue?, messages: JSONValue, us: PhoneNumber?, in change: WhatsAppChange,
        contacts: WhatsAppContacts
    ) {
        for element in messages.elements where !isFull {
            let event = update(element) { value throws(Refusal) in
                try pastMessage(value, thread: thread, us: us, in: change, contacts: contacts)
            }
            if case .undecodable = event { append(.ignored(what: "history:unreadable")) } else { append(event) }
        }
    }

    /// A message of either side.
    /// - Parameters:
    ///   - thread: the number or id of the person it was written with.
    ///   - us: the endpoint's own number.
    private func pastMessage(
        _ message: JSONValue, thread: JSONValue?, us: PhoneNumber?, in change: WhatsAppChange,
        contacts: WhatsAppContacts
    ) throws(Refusal) -> InboundEvent {
        guard message.isObject else { throw Refusal(.badField, "a message is not an object") }
        let fields = WhatsAppMessageFields(message)
        if fields.isOfGroup { return .ignored(what: "group") }
        let endpoint = try change.requireEndpoint()
        let id = try fields.requireID()
        let state = message["history_context"]?["status"]?.nonemptyText?.cut(WhatsAppContent.typeLengthMax)
        let isOurs = Self.isOurs(message, fields, thread: thread, us: us)
        let person =
            try isOurs
            ? addressee(of: message, fields, thread: thread, contacts)
            : author(of: message, fields, thread: thread, contacts)
        let content = whatsAppContent(of: message, fields, id: id, endpoint: endpoint, with: person)
        return .history(
            HistoryMessage(message: isOurs ? .outgoing(OwnMessage(content)) : .incoming(content), state: state))
    }

    /// Whether a message of the past was written by us. People may show no number; we always do.
    private static func isOurs(
        _ message: JSONValue, _ fields: WhatsAppMessageFields, thread: JSONValue?, us: PhoneNumber?
    ) -> Bool {
        let isAddressed = [message["to"], message["to_user_id"]].contains { !($0?.isEmptyValue ?? true) }
        guard let from = fields.from?.phone else {
            return isAddressed && fields.fromUserID == nil && fields.from?.scopedAccountID == nil
        }
        if let us { return from.key == us.key }
        if let person = thread?.phone { return from.key != person.key }
        return isAddressed
    }

    /// Whom a message of ours went to.
    private func addressee(
        of message: JSONValue, _ fields: WhatsAppMessageFields, thread: JSONValue?, _ contacts: WhatsAppContacts
    ) throws(Refusal) -> WhatsAppAuthor {
        let to = message["to"].flatMap { $0.isEmptyValue ? nil : $0 }
        let userID = message["to_user_id"]
        let person = contacts.sender(
            from: to ?? thread, userID: userID, parentUserID: message["to_parent_user_id"])
        guard !person.isKnownByNothing else {
            throw Refusal(
                of: to ?? userID ?? thread, "a message of ours has no recipient",
                "the recipient of a message of ours has neither a phone nor an id")
        }
        return WhatsAppAuthor(sender: person)
    }
}
