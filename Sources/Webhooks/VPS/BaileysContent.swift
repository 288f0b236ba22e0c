import Messaging

/// What a message in WhatsApp's own protocol tells a person: a map with one member for its content, maybe wrapped.
struct BaileysContent {
    /// Another message of the same chat.
    enum Subject {
        /// By whom this message is.
        case own(JSONValue?)
        case either(JSONValue?, isOwn: Bool?)
        /// By an author of this address.
        case quoted(JSONValue?, author: JSONValue?)
    }

    /// As WhatsApp's webhooks call it; `nil` for what servers tell each other.
    private(set) var type: String? = "unsupported"
    private(set) var body: String?
    private(set) var subject: Subject?

    init(_ message: JSONValue) {
        let message = Self.unwrapped(message)
        if let text = message["conversation"]?.nonemptyText {
            type = "text"
            body = text
        } else if let reaction = message["reactionMessage"], reaction.isObject {
            type = "reaction"
            body = reaction["text"]?.nonemptyText
            subject = .either(reaction["key"]?["id"], isOwn: reaction["key"]?["fromMe"]?.truth)
        } else if let news = message["protocolMessage"], news.isObject {
            read(news)
        } else if let text = message["extendedTextMessage"], text.isObject {
            type = "text"
            body = text["text"]?.nonemptyText
            quote(of: text)
        } else if let found = VPSContent.content(of: message) {
            type = found.type
            body = Self.body(of: found.value, type: found.type)
            quote(of: found.value)
        }
    }

    /// A message taken back or changed by whoever wrote it; all else is the protocol's own.
    private mutating func read(_ news: JSONValue) {
        let (word, subject) = (news["type"], Subject.own(news["key"]?["id"]))
        if word?.isText("REVOKE") == true || word?.isNumber == true && word?.integer == 0 {
            type = "revoke"
            self.subject = subject
        } else if let edited = news["editedMessage"], edited.isObject {
            type = "edit"
            // A change of a change is none of the protocol's.
            let inner = Self.unwrapped(edited)
            body = inner["protocolMessage"] == nil ? BaileysContent(inner).body : nil
            self.subject = subject
        } else {
            type = nil
        }
    }

    private mutating func quote(of content: JSONValue) {
        guard let context = content["contextInfo"], let id = context["stanzaId"], !id.isEmptyValue else { return }
        subject = .quoted(id, author: context["participant"])
    }

    private static func body(of content: JSONValue, type: String) -> String? {
        switch type {
        case "document": content.firstText("caption", "fileName")
        case "location":
            VPSContent.location(content, latitude: content["degreesLatitude"], longitude: content["degreesLongitude"])
        case "contacts":
            VPSContent.contacts(content["contacts"]?.elements.map { $0["vcard"] } ?? [content["vcard"]])
                ?? content["displayName"]?.nonemptyText
        default: content["caption"]?.nonemptyText
        }
    }

    /// Messages that vanish, are seen once, have a caption or change another are wrapped.
    private static func unwrapped(_ message: JSONValue) -> JSONValue {
        var message = message
        for _ in 0..<VPSContent.wrappersMax {
            let inner = message.members.lazy.compactMap { member in
                VPSContent.isWrapper(member.key) ? member.value["message"].flatMap { $0.isObject ? $0 : nil } : nil
            }.first { _ in true }
            guard let inner else { break }
            message = inner
        }
        return message
    }
}
