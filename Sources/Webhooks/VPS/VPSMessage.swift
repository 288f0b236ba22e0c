import Messaging

/// The members of a payload that are read.
struct VPSMessageFields {
    /// The payload itself.
    let whole: JSONValue
    private(set) var id: JSONValue?
    private(set) var from: JSONValue?
    private(set) var to: JSONValue?
    private(set) var fromMe: JSONValue?
    private(set) var timestamp: JSONValue?
    private(set) var body: JSONValue?
    private(set) var hasMedia: JSONValue?
    private(set) var media: JSONValue?
    private(set) var location: JSONValue?
    private(set) var vCards: JSONValue?
    private(set) var replyTo: JSONValue?
    /// What the engine itself knows; its shape differs with each.
    private(set) var data: JSONValue?

    init(_ payload: JSONValue) {
        whole = payload
        for member in payload.members {
            let key = member.key
            switch key.textLength {
            case 2 where key.isText("id"): id = member.value
            case 2 where key.isText("to"): to = member.value
            case 4 where key.isText("from"): from = member.value
            case 4 where key.isText("body"): body = member.value
            case 5 where key.isText("media"): media = member.value
            case 5 where key.isText("_data"): data = member.value
            case 6 where key.isText("fromMe"): fromMe = member.value
            case 6 where key.isText("vCards"): vCards = member.value
            case 7 where key.isText("replyTo"): replyTo = member.value
            case 8 where key.isText("hasMedia"): hasMedia = member.value
            case 8 where key.isText("location"): location = member.value
            case 9 where key.isText("timestamp"): timestamp = member.value
            default: continue
            }
        }
    }
}

/// Which message a payload speaks of, and in whose chat.
struct VPSMessageHead {
    /// Of its parts, where they are known: engines write the whole id or its key alone, which two chats may share.
    let id: String
    /// `nil` for the key of a message whose chat nobody tells.
    let parts: SerializedMessageID?
    /// Sent from the session's own account.
    let isOwn: Bool
    /// What the chat is if it is none with a person: `group`, `newsletter`, …
    let otherChat: String?

    init(_ fields: VPSMessageFields) throws(VPSEvent.Refusal) {
        let id = fields.id?.identifier
        var parts = id.flatMap { SerializedMessageID($0) }
        let ofID = parts.map { JID($0.chat) } ?? id.flatMap { JID($0) }
        let chats = [ofID, JID(fields.from), JID(fields.to)]
        otherChat = chats.lazy.compactMap { if case .other(let label) = $0 { label } else { nil } }.first
        // Without the flag the id tells.
        isOwn = fields.fromMe.flatMap(\.truth) ?? parts?.isOwn ?? false
        guard let id else {
            let isAbsent = fields.id?.isEmptyValue ?? true
            throw isAbsent && otherChat == nil
                ? VPSEvent.Refusal(.missingField, "a message has no id")
                : VPSEvent.Refusal(.badField, "a message's id is not a text that can be kept")
        }
        if parts == nil, let chat = Self.chat(fields, isOwn: isOwn) {
            parts = SerializedMessageID(isOwn: isOwn, chat: chat, key: id)
        }
        self.parts = parts
        self.id = parts?.text ?? id
    }

    /// Which chat a message stands in that does not tell it by its id: the other side's.
    private static func chat(_ fields: VPSMessageFields, isOwn: Bool) -> String? {
        let (key, info) = (fields.data?["key"], fields.data?["Info"])
        let chats = [isOwn ? fields.to : nil, fields.from, key?["remoteJid"], info?["Chat"]]
        return chats.lazy.compactMap { JID($0)?.address }.first
    }

    /// The whole id of another message of the same chat, of which engines may show the bare key.
    /// - Parameter isOwn: whether it was sent from the session; `nil` if nobody knows, and then the key stays as it is.
    func sibling(_ id: String, isOwn: Bool?) -> String {
        if let whole = SerializedMessageID(id) { return whole.text }
        guard let isOwn, let chat = parts?.chat else { return id }
        return SerializedMessageID(isOwn: isOwn, chat: chat, key: id).text
    }
}

extension VPSEvent {
    /// A message somebody wrote: a person to us, or we from another device.
    func message() throws(Refusal) -> InboundEvent {
        let fields = try content()
        let head = try VPSMessageHead(fields)
        if let other = head.otherChat { return Self.ignored(other) }
        let endpoint = try endpoint()
        let content = VPSContent(fields)
        let sentAt = Self.moment(fields.timestamp) ?? at
        if head.isOwn {
            return .echo(
                OwnMessage(
                    endpoint: endpoint, id: head.id, recipient: try Self.recipient(fields, head), sentAt: sentAt,
                    type: content.type, body: content.body, media: content.media))
        }
        let sender = try Self.sender(fields, head)
        var message = InboundMessage(
            endpoint: endpoint, id: head.id, sender: sender, sentAt: sentAt, type: content.type, body: content.body)
        message.media = content.media
        message.quotedMessageID = quoted(fields.replyTo, head, sender)
        if content.type != "text" { message.raw = fields.whole.raw }
        return .message(message)
    }

    /// The emoji under a message; none takes it back.
    func reaction() throws(Refusal) -> InboundEvent {
        try about("reaction", content()) { fields, head in
            let reaction = fields.whole["reaction"]
            // Of a bare key one engine tells whose message it is.
            let key = fields.data?["message"]?["reactionMessage"]?["key"]
            let subject = reaction?["messageId"]?.identifier.map { head.sibling($0, isOwn: key?["fromMe"]?.truth) }
            return (subject, reaction?["text"]?.nonemptyText, nil)
        }
    }

    /// Somebody changed what they wrote. An engine that repeats the changed message's id gets one of its own here:
    /// under the same id the change would count as the same message come again.
    func edit() throws(Refusal) -> InboundEvent {
        try about("edit", content()) { fields, head in
            let edited = fields.whole["editedMessageId"]?.identifier.map { head.sibling($0, isOwn: head.isOwn) }
            let subject = edited ?? head.id
            let isSame = subject == head.id || SerializedMessageID(subject)?.key == head.parts?.key
            let ownID = isSame ? "\(subject)#edited:\(id?.identifier ?? String(at.microseconds))" : nil
            return (subject, VPSContent(fields).body, ownID)
        }
    }

    /// Somebody took back what they wrote. `after` is what is left of it.
    func revocation() throws(Refusal) -> InboundEvent {
        guard let payload, payload.isObject else { throw Refusal(.missingField, "no payload that is an object") }
        let (before, after) = (payload["before"], payload["after"])
        guard let rest = [after, before].lazy.compactMap({ $0 }).first(where: \.isObject) else {
            throw Refusal(.missingField, "a revocation has neither after nor before")
        }
        return try about("revoke", VPSMessageFields(rest)) { _, head in
            let named = payload["revokedMessageId"]?.identifier ?? before?["id"]?.identifier
            let subject = named.map { head.sibling($0, isOwn: head.isOwn) } ?? head.id
            return (subject, nil, "\(subject)#revoked")
        }
    }

    /// A message that speaks of another one.
    /// - Parameter read: the other one's id, what is to be read, and an id if the payload's own will not do.
    private func about(
        _ type: String, _ fields: VPSMessageFields,
        _ read: (VPSMessageFields, VPSMessageHead) -> (subject: String?, body: String?, id: String?)
    ) throws(Refusal) -> InboundEvent {
        let head = try VPSMessageHead(fields)
        if let other = head.otherChat { return Self.ignored(other) }
        let endpoint = try endpoint()
        let (subject, body, id) = read(fields, head)
        let sentAt = Self.moment(fields.timestamp) ?? at
        if head.isOwn {
            return .echo(
                OwnMessage(
                    endpoint: endpoint, id: id ?? head.id, recipient: try Self.recipient(fields, head), sentAt: sentAt,
                    type: type, body: body, quotedMessageID: subject))
        }
        var message = InboundMessage(
            endpoint: endpoint, id: id ?? head.id, sender: try Self.sender(fields, head), sentAt: sentAt, type: type,
            body: body)
        message.quotedMessageID = subject
        message.raw = payload?.raw
        return .message(message)
    }
}

// MARK: - People

extension VPSEvent {
    /// Whose chat a message of ours stands in.
    private static func recipient(_ fields: VPSMessageFields, _ head: VPSMessageHead) throws(Refusal) -> Sender {
        var recipient = Sender()
        recipient.take(head.parts.flatMap { JID($0.chat) } ?? JID(fields.to) ?? JID(fields.from))
        guard !recipient.isKnownByNothing else {
            throw Refusal(.badField, "the recipient of a message of ours has neither a phone nor a hidden id")
        }
        return recipient
    }

    /// Everything a payload says about who wrote it: the chat's address, and what the engine shows beside it. WAHA's own
    /// fields have one address; the other, of a person with a hidden id, stands in `_data`, under names that changed.
    private static func sender(_ fields: VPSMessageFields, _ head: VPSMessageHead) throws(Refusal) -> Sender {
        var sender = Sender()
        sender.take(JID(fields.from))
        sender.take(head.parts.flatMap { JID($0.chat) })
        if let data = fields.data {
            let (key, info) = (data["key"], data["Info"])
            for value in [
                key?["remoteJid"], key?["remoteJidAlt"], key?["senderPn"], key?["senderLid"], key?["participantPn"],
                key?["participantLid"], data["senderPn"], data["senderLid"], info?["Sender"], info?["SenderAlt"],
            ] {
                sender.take(JID(value))
            }
            let name = data.firstText("pushName", "notifyName") ?? info?.firstText("PushName")
            sender.displayName = name.map { $0.bounded(to: displayNameLengthMax) }
        }
        guard !sender.isKnownByNothing else {
            let isAbsent = fields.from?.isEmptyValue ?? true
            throw Refusal(
                isAbsent ? .missingField : .badField, "a message's sender has neither a phone nor a hidden id")
        }
        return sender
    }

    /// The longest name kept, in bytes. People choose it themselves.
    static let displayNameLengthMax = 512

    /// The id of the message that `replyTo` tells of. Engines show its bare key; who wrote it says the rest.
    private func quoted(_ replyTo: JSONValue?, _ head: VPSMessageHead, _ sender: Sender) -> String? {
        guard let replyTo, let id = replyTo["id"]?.identifier else { return nil }
        return head.sibling(id, isOwn: isOurs(JID(replyTo["participant"]), besides: sender))
    }

    /// Whether an address in a chat with somebody is the session's own; `nil` where neither side shows one of its kind.
    func isOurs(_ address: JID?, besides other: Sender) -> Bool? {
        switch address {
        case .phone(let phone):
            if let theirs = other.phone { return theirs.key != phone.key }
            for case .phone(let own) in ours { return own.key == phone.key }
        case .lid(let lid):
            if let theirs = other.accountID { return theirs != lid }
            for case .lid(let own) in ours { return own == lid }
        case .other, nil: break
        }
        return nil
    }
}

extension Sender {
    /// Takes what an address says, unless it is known already.
    mutating func take(_ jid: JID?) {
        switch jid {
        case .phone(let phone): self.phone = self.phone ?? phone
        case .lid(let lid): accountID = accountID ?? lid
        case .other, nil: break
        }
    }
}

extension JSONValue {
    /// `true` or `false`; `nil` for any other value.
    var truth: Bool? {
        switch slice.first {
        case UInt8(ascii: "t"): true
        case UInt8(ascii: "f"): false
        default: nil
        }
    }
}

extension String {
    /// Cut between characters of Unicode's, so that it stays a text.
    /// - Parameter length: of UTF-8, in bytes.
    func bounded(to length: Int) -> String {
        guard utf8.count > length else { return self }
        var end = utf8.index(startIndex, offsetBy: length)
        while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
