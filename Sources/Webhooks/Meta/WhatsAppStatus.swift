import Messaging

/// The members of a status that are read.
private struct StatusFields {
    private(set) var id: JSONValue?
    private(set) var status: JSONValue?
    private(set) var timestamp: JSONValue?
    private(set) var errors: JSONValue?
    private(set) var pricing: JSONValue?
    private(set) var callbackData: JSONValue?
    private(set) var conversation: JSONValue?
    private(set) var recipientType: JSONValue?
    /// A person's number, or the group.
    private(set) var recipientID: JSONValue?
    private(set) var recipientUserID: JSONValue?
    private(set) var recipientParentUserID: JSONValue?
    private(set) var participantID: JSONValue?
    private(set) var participantUserID: JSONValue?
    private(set) var participantParentUserID: JSONValue?

    init(_ status: JSONValue) {
        for member in status.members {
            let key = member.key
            switch key.textLength {
            case 2 where key.isText("id"): id = member.value
            case 6 where key.isText("status"): self.status = member.value
            case 6 where key.isText("errors"): errors = member.value
            case 7 where key.isText("pricing"): pricing = member.value
            case 9 where key.isText("timestamp"): timestamp = member.value
            case 12 where key.isText("conversation"): conversation = member.value
            case 12 where key.isText("recipient_id"): recipientID = member.value
            case 14 where key.isText("recipient_type"): recipientType = member.value
            case 24 where key.isText("biz_opaque_callback_data"): callbackData = member.value
            default: if key.textLength > 16 { takePerson(key, member.value) }
            }
        }
    }

    /// The other names of the one the message went to; Meta swapped two words of one of them in 2026.
    private mutating func takePerson(_ key: JSONValue, _ value: JSONValue) {
        if key.isText("recipient_user_id") {
            recipientUserID = value
        } else if key.isText("recipient_parent_user_id") || key.isText("parent_recipient_user_id") {
            recipientParentUserID = value
        } else if key.isText("recipient_participant_id") {
            participantID = value
        } else if key.isText("recipient_participant_user_id") {
            participantUserID = value
        } else if key.isText("recipient_participant_parent_user_id") {
            participantParentUserID = value
        }
    }

    var isOfGroup: Bool { recipientType?.isText("group") == true }

    func recipient(_ contacts: WhatsAppContacts) -> Sender? {
        let person =
            isOfGroup
            ? contacts.sender(
                from: participantID, userID: participantUserID, parentUserID: participantParentUserID)
            : contacts.sender(from: recipientID, userID: recipientUserID, parentUserID: recipientParentUserID)
        return person.isKnownByNothing ? nil : person
    }
}

extension MetaReading {
    /// News of a message of ours. A word for a state that we do not know is no error.
    func whatsAppStatus(
        _ value: JSONValue, in change: WhatsAppChange, contacts: WhatsAppContacts
    ) throws(Refusal) -> InboundEvent {
        guard value.isObject else { throw Refusal(.badField, "a status is not an object") }
        let fields = StatusFields(value)
        guard let word = fields.status, word.isString, word.content.count > 0 else {
            throw Refusal(of: fields.status, "a status has no status", "a status is not a text")
        }
        guard let status = Self.status(word) else { return .ignored(what: Label.text("status:", word)) }
        let endpoint = try change.requireEndpoint()
        guard let idValue = fields.id, !idValue.isNull else { throw Refusal(.missingField, "a status has no id") }
        guard let id = idValue.identifier else {
            throw Refusal(.badField, "a status' id is not a text that can be kept")
        }
        var update = StatusUpdate(endpoint: endpoint, messageID: id, status: status, at: time(fields.timestamp))
        if let error = fields.errors?.elements.first(where: \.isObject) {
            update.errorCode = error["code"]?.integer.flatMap { Int32(exactly: $0) }
            update.errorDetail = Self.detail(error)
        }
        update.pricing = fields.pricing?.storablePricing
        if let data = fields.callbackData, data.isString {
            update.correlation = data.withCharacters { MessageReference(callbackData: $0) }
        }
        update.recipient = fields.recipient(contacts)
        if fields.isOfGroup { update.groupID = fields.recipientID?.identifier }
        update.windowEndsAt = fields.conversation?["expiration_timestamp"]?.integer.map { Timestamp(seconds: $0) }
        return .status(update)
    }

    private static func status(_ word: JSONValue) -> DeliveryStatus? {
        if word.isText("delivered") { return .delivered }
        if word.isText("sent") { return .sent }
        if word.isText("read") { return .read }
        if word.isText("failed") { return .failed }
        if word.isText("played") { return .played }
        if word.isText("deleted") { return .deleted }
        return nil
    }

    /// The most telling of an error's texts, cut after 500 characters.
    private static func detail(_ error: JSONValue) -> String? {
        let texts = [error["error_data"]?["details"], error["details"], error["message"], error["title"]]
        return texts.lazy.compactMap { $0?.nonemptyText }.first.map {
            String(String.UnicodeScalarView($0.unicodeScalars.prefix(500)))
        }
    }
}

extension JSONValue {
    /// The JSON text of what a message costs, where the database can read it: one that it refuses would be refused again
    /// when the answer to our send arrives after its status.
    fileprivate var storablePricing: String? {
        if let billable = self["billable"], billable.truth == nil, !billable.isNull { return nil }
        return storableObject
    }

    /// The JSON text of an object that the database's `jsonb` takes: short, without numbers and without text that it
    /// could not hold.
    fileprivate var storableObject: String? {
        guard isObject, slice.count <= 4096 else { return nil }
        for index in index + 1..<Int(token.next) {
            let value = JSONValue(bytes: bytes, tokens: tokens, index: index)
            if value.isString, value.content.count > 0, value.exactText == nil { return nil }
            if value.isNumber,
                value.content.count > 40 || value.content.contains(where: { $0 | 0x20 == UInt8(ascii: "e") })
            {
                return nil
            }
        }
        return String(validating: slice, as: UTF8.self)
    }
}
