import Messaging

/// The members that messages of all types and both directions share.
struct WhatsAppMessageFields {
    private(set) var from: JSONValue?
    private(set) var fromUserID: JSONValue?
    private(set) var fromParentUserID: JSONValue?
    private(set) var id: JSONValue?
    private(set) var timestamp: JSONValue?
    private(set) var type: JSONValue?
    private(set) var text: JSONValue?
    private(set) var context: JSONValue?
    private(set) var groupID: JSONValue?
    /// There are members beside these.
    private(set) var hasMore = false

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

    var isOfGroup: Bool {
        guard let groupID, !groupID.isNull else { return false }
        return groupID.content.count > 0
    }

    func requireID() throws(MetaReading.Refusal) -> String {
        guard let id, !id.isNull else { throw .init(.missingField, "a message has no id") }
        guard let text = id.identifier else { throw .init(.badField, "a message's id is not a text that can be kept") }
        return text
    }

    /// `text` holds a body and nothing else.
    fileprivate var holdsPlainText: Bool {
        guard let text, text.isObject else { return false }
        return text.members.allSatisfy { $0.key.isText("body") && $0.value.isString }
    }
}

extension MetaReading {
    /// A message a person sent, of any type. Only one without an id, or from nobody, cannot be recorded.
    func whatsAppMessage(
        _ message: JSONValue, in change: WhatsAppChange, contacts: WhatsAppContacts
    ) throws(Refusal) -> InboundEvent {
        guard message.isObject else { throw Refusal(.badField, "a message is not an object") }
        let fields = WhatsAppMessageFields(message)
        if fields.isOfGroup { return .ignored(what: "group") }
        let endpoint = try change.requireEndpoint()
        let id = try fields.requireID()
        return .message(
            whatsAppContent(
                of: message, fields, id: id, endpoint: endpoint, with: try author(of: message, fields, contacts)))
    }

    /// Who wrote a message, and what it says about their identities.
    /// - Parameter thread: the number or id of the person it was written with, where that is told.
    func author(
        of message: JSONValue, _ fields: WhatsAppMessageFields, thread: JSONValue? = nil, _ contacts: WhatsAppContacts
    ) throws(Refusal) -> WhatsAppAuthor {
        let isNameless = fields.from?.isEmptyValue ?? true && fields.fromUserID?.isEmptyValue ?? true
        var author = WhatsAppAuthor(
            sender: contacts.sender(
                from: isNameless ? thread ?? fields.from : fields.from, userID: fields.fromUserID,
                parentUserID: fields.fromParentUserID))
        if fields.type?.isText("system") == true, let system = message["system"] {
            author.hear(WhatsAppIdentityNews(system, of: fields))
        }
        guard !author.sender.isKnownByNothing else {
            let isAbsent = [fields.from, fields.fromUserID].allSatisfy { $0?.isEmptyValue ?? true }
            throw Refusal(
                isAbsent ? .missingField : .badField, "a message's sender has neither a phone nor an id")
        }
        return author
    }

    /// A message's content; `author` is the person at the other end, whoever wrote it.
    func whatsAppContent(
        of message: JSONValue, _ fields: WhatsAppMessageFields, id: String, endpoint: EndpointReference,
        with author: WhatsAppAuthor
    ) -> InboundMessage {
        var result = InboundMessage(
            endpoint: endpoint, id: id, sender: author.sender, sentAt: time(fields.timestamp), type: "text")
        let context = fields.context.map(MessageContext.init)
        result.quotedMessageID = context?.id
        if fields.type?.isText("text") == true {
            result.body = fields.text?["body"]?.nonemptyText
            if fields.hasMore || context?.hasMore == true || !fields.holdsPlainText { result.raw = message.raw }
            return result
        }
        let type = fields.type.flatMap { $0.isString ? $0 : nil }
        result.type = type == nil ? "unknown" : Label.text("", type, lengthMax: WhatsAppContent.typeLengthMax)
        let content = WhatsAppContent(type: type, of: message)
        result.body = content.body
        result.replyPayload = content.replyPayload
        result.quotedMessageID = content.subjectID ?? result.quotedMessageID
        result.media = content.media
        result.identityChanges = author.identityChanges
        result.raw = message.raw
        return result
    }

    /// Seconds since 1970 as a number or a string; the time of receipt where it is neither.
    func time(_ value: JSONValue?) -> Timestamp {
        value?.integer.map { Timestamp(seconds: $0) } ?? receivedAt
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

    /// The first of an object's members with a text that is not empty.
    func firstText(_ names: StaticString...) -> String? {
        names.lazy.compactMap { self[$0]?.nonemptyText }.first
    }

    /// A short text or number, for a line or a column: cut after so many bytes.
    func shortText(_ lengthMax: Int) -> String? {
        guard let text = scalarText, !text.isEmpty else { return nil }
        return text.cut(lengthMax)
    }

    /// `null` or `""`: as good as absent.
    var isEmptyValue: Bool { isNull || isString && content.count == 0 }
}

extension String {
    /// Its beginning, at most so many bytes of UTF-8: cut between characters of Unicode's, so that it stays a text.
    func cut(_ lengthMax: Int) -> String {
        guard utf8.count > lengthMax else { return self }
        var end = utf8.index(startIndex, offsetBy: lengthMax)
        while end.samePosition(in: unicodeScalars) == nil { end = utf8.index(before: end) }
        return String(self[..<end])
    }
}
