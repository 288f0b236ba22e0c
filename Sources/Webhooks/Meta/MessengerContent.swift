import Messaging

/// What a message on Messenger or Instagram tells a person, and what it carries back.
struct MessengerContent {
    /// Its own, or made of the id of the message it speaks of: under that very id it would be taken for it.
    let id: String
    private(set) var type: String
    private(set) var body: String?
    /// The message it answers, reacts to, changes or takes back.
    private(set) var subjectID: String?
    private(set) var replyPayload: String?
    private(set) var media: MediaReference?
    /// It holds more than was read.
    private(set) var hasMore = true

    /// A message; also one that was taken back, which comes as the message without its content.
    init(message: JSONValue) throws(MetaReading.Refusal) {
        let mid = try Self.requireID(message)
        if message["is_deleted"]?.isTrue == true {
            id = mid + "#revoke"
            type = "revoke"
            subjectID = mid
            return
        }
        id = mid
        subjectID = message["reply_to"]?["mid"]?.identifier
        replyPayload = message["quick_reply"]?["payload"]?.nonemptyText
        body = message["text"]?.nonemptyText
        guard let first = message["attachments"]?.elements.first(where: \.isObject) else {
            type = body != nil ? "text" : message["is_unsupported"]?.isTrue == true ? "unsupported" : "unknown"
            hasMore = !message.members.allSatisfy { $0.key.isText("mid") || $0.key.isText("text") && $0.value.isString }
            return
        }
        type = Self.word(first["type"]) ?? "unknown"
        let payload = first["payload"]
        body = body ?? Self.body(of: first, payload)
        // What is shown in a story must not be kept.
        if type != "story_mention", type != "ephemeral", type != "fallback", type != "template",
            let url = payload?["url"]?.identifier
        {
            media = MediaReference(id: url)
        }
    }

    init(edit: JSONValue, moment: String) throws(MetaReading.Refusal) {
        let mid = try Self.requireID(edit)
        id = "\(mid)#edit:\(edit["num_edit"]?.shortText(40) ?? moment)"
        type = "edit"
        body = edit["text"]?.nonemptyText
        subjectID = mid
    }

    /// - Parameter reaction: without a body where it is taken back.
    init(reaction: JSONValue, moment: String) throws(MetaReading.Refusal) {
        let mid = try Self.requireID(reaction)
        let action = Self.word(reaction["action"]) ?? "react"
        id = "\(mid)#\(action):\(moment)"
        type = "reaction"
        if action != "unreact" { body = reaction.firstText("emoji", "reaction") }
        subjectID = mid
    }

    /// A tap of a button. The id beside it may be that of the message with the button, which can be tapped again.
    init(postback: JSONValue, by person: Sender, moment: String) {
        id = "\(postback["mid"]?.identifier ?? person.accountID ?? "")#postback:\(moment)"
        type = "postback"
        body = postback.firstText("title", "payload")
        replyPayload = postback["payload"]?.nonemptyText
    }

    private static func requireID(_ content: JSONValue) throws(MetaReading.Refusal) -> String {
        guard let id = content["mid"]?.identifier else {
            throw .init(of: content["mid"], "a message has no mid", "a message's mid is not a text that can be kept")
        }
        return id
    }

    private static func word(_ value: JSONValue?) -> String? {
        guard let value, value.isString, value.content.count > 0 else { return nil }
        return Label.text("", value, lengthMax: WhatsAppContent.typeLengthMax)
    }

    /// Title and address of what is shared, or where somebody is.
    private static func body(of attachment: JSONValue, _ payload: JSONValue?) -> String? {
        var lines = [payload?.firstText("title") ?? attachment.firstText("title")]
        if attachment["type"]?.isText("fallback") == true {
            lines.append(payload?.firstText("url") ?? attachment.firstText("url"))
        }
        if let place = payload?["coordinates"], let latitude = place["lat"]?.shortText(40),
            let longitude = place["long"]?.shortText(40)
        {
            lines.append("\(latitude), \(longitude)")
        }
        let present = lines.compactMap { $0 }
        return present.isEmpty ? nil : present.joined(separator: "\n")
    }
}
