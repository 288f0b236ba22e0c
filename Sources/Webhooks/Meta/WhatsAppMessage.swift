import Messaging

/// The members that messages of all types share.
private struct MessageFields {
    var from: JSONValue?
    var fromUserID: JSONValue?
    var fromParentUserID: JSONValue?
    var id: JSONValue?
    var timestamp: JSONValue?
    var type: JSONValue?
    var text: JSONValue?
    var context: JSONValue?
    var groupID: JSONValue?
    /// There are members beside these.
    var hasMore = false

    init(_ message: JSONValue) {
        for member in message.members {
            let key = member.key
            switch key.textLength {
            case 2 where key.isText("id"): id = member.value
            case 4 where key.isText("from"): from = member.value
            case 4 where key.isText("type"): type = member.value
            case 4 where key.isText("text"): text = member.value
            case 7 where key.isText("context"): context = member.value
            case 8 where key.isText("group_id"): groupID = member.value
            case 9 where key.isText("timestamp"): timestamp = member.value
            case 12 where key.isText("from_user_id"): fromUserID = member.value
            case 19 where key.isText("from_parent_user_id"): fromParentUserID = member.value
            default: hasMore = true
            }
        }
    }
}

extension MetaReading {
    /// A message of any type. Only one without an id, or from nobody, cannot be recorded.
    func whatsAppMessage(
        _ message: JSONValue, endpoint: EndpointReference?, contacts: WhatsAppContacts
    ) -> InboundEvent {
        func refused(_ reason: UndecodableReason, _ detail: String) -> InboundEvent {
            .undecodable(reason: reason, detail: detail, raw: message.raw)
        }
        guard message.isObject else { return refused(.badField, "a message is not an object") }
        let fields = MessageFields(message)
        if let group = fields.groupID, !group.isNull, group.content.count > 0 { return .ignored(what: "group") }
        guard let endpoint else { return refused(.missingField, "no metadata.phone_number_id") }
        guard let idValue = fields.id, !idValue.isNull else { return refused(.missingField, "a message has no id") }
        guard let id = idValue.identifier else {
            return refused(.badField, "a message's id is not a text that can be kept")
        }
        let sender = contacts.sender(
            from: fields.from, userID: fields.fromUserID, parentUserID: fields.fromParentUserID)
        guard !sender.isKnownByNothing else {
            let isAbsent = [fields.from, fields.fromUserID].allSatisfy { $0?.isEmptyValue ?? true }
            return refused(isAbsent ? .missingField : .badField, "a message's sender has neither a phone nor an id")
        }
        var result = InboundMessage(
            endpoint: endpoint, id: id, sender: sender, sentAt: time(fields.timestamp), type: "text")
        let context = fields.context.map(MessageContext.init)
        result.quotedMessageID = context?.id
        if fields.type?.isText("text") == true {
            result.body = fields.text?["body"]?.nonemptyText
            if fields.hasMore || context?.hasMore == true || !fields.holdsPlainText { result.raw = message.raw }
            return .message(result)
        }
        let type = fields.type.flatMap { $0.isString ? $0 : nil }
        result.type = type == nil ? "unknown" : Label.text("", type, lengthMax: WhatsAppContent.typeLengthMax)
        let content = WhatsAppContent(type: type, of: message)
        result.body = content.body
        result.replyPayload = content.replyPayload
        result.quotedMessageID = content.subjectID ?? result.quotedMessageID
        result.raw = message.raw
        return .message(result)
    }

    /// Seconds since 1970 as a number or a string; the time of receipt where it is neither.
    func time(_ value: JSONValue?) -> Timestamp {
        value?.integer.map { Timestamp(seconds: $0) } ?? receivedAt
    }
}

extension MessageFields {
    /// `text` holds a body and nothing else.
    fileprivate var holdsPlainText: Bool {
        guard let text, text.isObject else { return false }
        return text.members.allSatisfy { $0.key.isText("body") && $0.value.isString }
    }
}

/// What a message says about the message it answers.
private struct MessageContext {
    var id: String?
    /// Forwarded, or about a product.
    var hasMore = false

    init(_ context: JSONValue) {
        for member in context.members {
            if member.key.isText("id") {
                id = member.value.identifier
            } else if !member.key.isText("from") {
                hasMore = true
            }
        }
    }
}

extension JSONValue {
    /// The longest id kept, in bytes; Meta's stay under 200.
    static let identifierLengthMax = 4096

    /// An id: a text that can be kept as it is, or the digits of a whole number.
    var identifier: String? {
        guard content.count <= Self.identifierLengthMax else { return nil }
        if isString { return exactText }
        guard isNumber, content.allSatisfy({ $0 &- UInt8(ascii: "0") < 10 }) else { return nil }
        return String(decoding: content, as: UTF8.self)
    }

    var nonemptyText: String? {
        guard let text, !text.isEmpty else { return nil }
        return text
    }

    /// `null` or `""`: as good as absent.
    var isEmptyValue: Bool { isNull || isString && content.count == 0 }
}
