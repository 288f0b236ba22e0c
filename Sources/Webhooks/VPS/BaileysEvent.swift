import Messaging

/// The events of servers that pass on what the library Baileys emits, as Evolution API does: `{"event", "instance",
/// "data"}`, the event's name also spelled in capitals.
extension VPSEvent {
    /// - Returns: `nil` for an event of another name.
    func baileysUpdates() -> [InboundEvent]? {
        if isNamed("messages.upsert", "MESSAGES_UPSERT") {
            let isPast = data?["type"]?.isText("append") == true
            return baileysList { element throws(Refusal) in try baileysMessage(element, isPast: isPast) }
        }
        if isNamed("messages.update", "MESSAGES_UPDATE") {
            return baileysList { element throws(Refusal) in try baileysAcknowledgement(element) }
        }
        if isNamed("connection.update", "CONNECTION_UPDATE") {
            return [update(raw: nil) { () throws(Refusal) in try baileysConnection() }]
        }
        return nil
    }

    private func isNamed(_ name: StaticString, _ other: StaticString) -> Bool {
        guard let event = self.name, event.isString else { return false }
        return event.isText(name) || event.isText(other)
    }

    /// What becomes of each message of `data`: itself one, a list of them, or an object with the list.
    private func baileysList(_ read: (JSONValue) throws(Refusal) -> InboundEvent) -> [InboundEvent] {
        guard let data, !data.isNull else { return [Self.undecodable(Refusal(.missingField, "no data"))] }
        let list = data.isArray ? data : data["messages"]
        guard let list else { return [update(raw: nil) { () throws(Refusal) in try read(data) }] }
        guard list.isArray else { return [Self.undecodable(Refusal(.badField, "messages is not a list"))] }
        var updates: [InboundEvent] = []
        for element in list.elements {
            guard updates.count < MetaWebhookDecoder.updatesMax else {
                return [Self.undecodable(Refusal(.unknownShape, "more than \(updates.count) updates"))]
            }
            updates.append(update(raw: element) { () throws(Refusal) in try read(element) })
        }
        return updates.isEmpty ? [Self.ignored(name)] : updates
    }

    private func update(raw: JSONValue?, _ read: () throws(Refusal) -> InboundEvent) -> InboundEvent {
        do throws(Refusal) {
            return try read()
        } catch {
            return Self.undecodable(error, raw: raw)
        }
    }

    private static func undecodable(_ refusal: Refusal, raw: JSONValue? = nil) -> InboundEvent {
        .undecodable(reason: refusal.reason, detail: refusal.detail, raw: raw?.raw)
    }
}

// MARK: - Messages

/// Which message an element speaks of, in whose chat: its `key`, or the same members beside it.
private struct BaileysKey {
    let id: SerializedMessageID
    /// The other side, whoever wrote.
    private(set) var person = Sender()
    /// What the chat is if it is none with a person.
    let otherChat: String?

    init(_ element: JSONValue) throws(VPSEvent.Refusal) {
        guard element.isObject else { throw .init(.badField, "a message is not an object") }
        let key = element["key"].flatMap { $0.isObject ? $0 : nil }
        let members = key ?? element
        let chat = JID(members["remoteJid"])
        if case .other(let label) = chat { otherChat = label } else { otherChat = nil }
        guard let id = (key == nil ? element["keyId"] : members["id"])?.identifier else {
            throw .init(.missingField, "a message has no key with an id")
        }
        let isOwn = members["fromMe"]?.truth ?? false
        self.id = SerializedMessageID(isOwn: isOwn, chat: chat?.address ?? "", key: id)
        person.take(chat)
        person.take(JID(members["remoteJidAlt"]))
        // In a message of ours the sender is ourselves.
        if !isOwn {
            for value in [members["senderPn"], members["senderLid"]] { person.take(JID(value)) }
        }
        guard otherChat != nil || chat?.address != nil else {
            let isAbsent = members["remoteJid"]?.isEmptyValue ?? true
            throw .init(isAbsent ? .missingField : .badField, "a message's chat is neither a phone's nor a hidden id's")
        }
    }

    /// The id of another message of the same chat, by its key there.
    func sibling(_ key: JSONValue?, isOwn: Bool?) -> String? {
        guard let key = key?.identifier else { return nil }
        return isOwn.map { SerializedMessageID(isOwn: $0, chat: id.chat, key: key).text } ?? key
    }
}

extension VPSEvent {
    /// - Parameter isPast: it comes from the history, or was written while the session was away.
    private func baileysMessage(_ element: JSONValue, isPast: Bool) throws(Refusal) -> InboundEvent {
        let key = try BaileysKey(element)
        if let other = key.otherChat { return Self.ignored(other) }
        // A line of the chat's own, or a message that the session could not decrypt.
        guard let whole = element["message"], whole.isObject else { return Self.ignored("stub") }
        let content = BaileysContent(whole)
        guard let type = content.type else { return Self.ignored("protocol") }
        var person = key.person
        if !key.id.isOwn {
            person.displayName = element["pushName"]?.nonemptyText?.cut(Self.displayNameLengthMax)
        }
        let subject = subject(of: content, key, person)
        var message = InboundMessage(
            endpoint: try endpoint(), id: key.id.text, sender: person,
            sentAt: Self.moment(element["messageTimestamp"]) ?? at, type: type, body: content.body)
        message.quotedMessageID = subject
        if type == "revoke", let subject { message.id = subject + "#revoked" }
        if type == "edit", let subject, subject == message.id {
            message.id = "\(subject)#edited:\(message.sentAt.microseconds)"
        }
        if type != "text" { message.raw = element.raw }
        if isPast {
            return .history(
                HistoryMessage(message: key.id.isOwn ? .outgoing(OwnMessage(message)) : .incoming(message)))
        }
        return key.id.isOwn ? .echo(OwnMessage(message)) : .message(message)
    }

    /// The message that one quotes, reacts to, changes or takes back.
    private func subject(of content: BaileysContent, _ key: BaileysKey, _ person: Sender) -> String? {
        switch content.subject {
        case nil: nil
        case .own(let id): key.sibling(id, isOwn: key.id.isOwn)
        case .either(let id, let isOwn): key.sibling(id, isOwn: isOwn)
        case .quoted(let id, let author): key.sibling(id, isOwn: isOurs(JID(author), besides: person))
        }
    }

    /// How far a message of ours has come: numbers as WhatsApp's protocol has them, or their names.
    private func baileysAcknowledgement(_ element: JSONValue) throws(Refusal) -> InboundEvent {
        let key = try BaileysKey(element)
        if let other = key.otherChat { return Self.ignored(other) }
        guard let word = element["status"] ?? element["update"]?["status"], !word.isEmptyValue else {
            return Self.ignored(name)
        }
        guard key.id.isOwn else { return Self.ignored("ack_of_theirs") }
        let states: [(StaticString, Int64, DeliveryStatus)] = [
            ("ERROR", 0, .failed), ("SERVER_ACK", 2, .sent), ("DELIVERY_ACK", 3, .delivered), ("READ", 4, .read),
            ("PLAYED", 5, .played),
        ]
        let number = word.integer
        guard let state = states.first(where: { word.isString && word.isText($0.0) || number == $0.1 }) else {
            return Self.ignored("ack_pending")
        }
        return .status(StatusUpdate(endpoint: try endpoint(), messageID: key.id.text, status: state.2, at: at))
    }

    private func baileysConnection() throws(Refusal) -> InboundEvent {
        guard let data, !data.isNull else { throw Refusal(.missingField, "no data") }
        guard data.isObject else { throw Refusal(.badField, "data is not an object") }
        guard let state = connectionState(data) else { return Self.ignored(name) }
        var phone: PhoneNumber?
        for case .phone(let own) in ours where state == .connected { phone = phone ?? own }
        return .session(SessionUpdate(endpoint: try endpoint(), state: state, phone: phone, at: at))
    }

    /// `nil` for news of something else, or a word of later versions.
    private func connectionState(_ data: JSONValue) -> SessionState? {
        guard let word = data["state"] ?? data["connection"], !word.isEmptyValue else {
            return data["qr"]?.isEmptyValue == false ? .qr : nil
        }
        guard word.isString else { return nil }
        if word.isText("open") { return .connected }
        if word.isText("connecting") { return data["qr"]?.isEmptyValue == false ? .qr : .connecting }
        guard word.isText("close") else { return nil }
        let reason = data["statusReason"] ?? data["lastDisconnect"]?["error"]?["output"]?["statusCode"]
        return reason?.integer == 401 ? .loggedOut : .disconnected
    }
}
