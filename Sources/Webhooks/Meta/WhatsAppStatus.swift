import Messaging

/// The members of a status that are read.
private struct StatusFields {
    var id: JSONValue?
    var status: JSONValue?
    var timestamp: JSONValue?
    var errors: JSONValue?
    var pricing: JSONValue?
    var callbackData: JSONValue?

    init(_ status: JSONValue) {
        for member in status.members {
            let key = member.key
            switch key.textLength {
            case 2 where key.isText("id"): id = member.value
            case 6 where key.isText("status"): self.status = member.value
            case 6 where key.isText("errors"): errors = member.value
            case 7 where key.isText("pricing"): pricing = member.value
            case 9 where key.isText("timestamp"): timestamp = member.value
            case 24 where key.isText("biz_opaque_callback_data"): callbackData = member.value
            default: continue
            }
        }
    }
}

extension MetaReading {
    /// News of a message of ours. A word for a state that we do not know is no error.
    func whatsAppStatus(_ value: JSONValue, endpoint: EndpointReference?) -> InboundEvent {
        func refused(_ reason: UndecodableReason, _ detail: String) -> InboundEvent {
            .undecodable(reason: reason, detail: detail, raw: value.raw)
        }
        guard value.isObject else { return refused(.badField, "a status is not an object") }
        let fields = StatusFields(value)
        guard let word = fields.status, !word.isEmptyValue else {
            return refused(.missingField, "a status has no status")
        }
        guard word.isString else { return refused(.badField, "a status is not a text") }
        guard let status = Self.status(word) else { return .ignored(what: Label.text("status:", word)) }
        guard let endpoint else { return refused(.missingField, "no metadata.phone_number_id") }
        guard let idValue = fields.id, !idValue.isNull else { return refused(.missingField, "a status has no id") }
        guard let id = idValue.identifier else {
            return refused(.badField, "a status' id is not a text that can be kept")
        }
        let error = fields.errors?.elements.first { $0.isObject }
        return .status(
            StatusUpdate(
                endpoint: endpoint, messageID: id, status: status, at: time(fields.timestamp),
                errorCode: error?["code"]?.integer.flatMap { Int32(exactly: $0) },
                errorDetail: error.flatMap(Self.detail), pricing: fields.pricing?.storableObject,
                correlation: fields.callbackData?.text.flatMap { MessageReference(callbackData: $0) }))
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
