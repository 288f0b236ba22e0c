import Messaging

/// What a message from a session server tells a person. The server names no type: it is found by what the message holds.
struct VPSContent {
    /// As WhatsApp's webhooks call it: `text`, `image`, …
    private(set) var type = "unsupported"
    private(set) var body: String?
    private(set) var media: MediaReference?

    init(_ fields: VPSMessageFields) {
        body = fields.body?.nonemptyText
        if let location = fields.location, location.isObject {
            type = "location"
            body =
                Self.location(location, latitude: location["latitude"], longitude: location["longitude"]) ?? body
        } else if let cards = fields.vCards, !cards.elements.isEmpty {
            type = "contacts"
            body = Self.contacts(Array(cards.elements)) ?? body
        } else if fields.hasMedia?.truth == true || fields.media?.isObject == true {
            media = fields.media.flatMap { MediaReference($0) }
            type = Self.engineType(fields.data) ?? Self.type(ofMedia: media?.mimeType) ?? type
            if type == "document" { body = body ?? media?.fileName }
        } else {
            type = Self.engineType(fields.data) ?? (body == nil ? type : "text")
        }
    }

    private static func type(ofMedia mimeType: String?) -> String? {
        guard let mimeType, !mimeType.isEmpty else { return nil }
        for type in ["image", "video", "audio"] where mimeType.hasPrefix(type + "/") { return type }
        return "document"
    }

    /// Name and address as far as given, then `latitude, longitude`.
    static func location(_ location: JSONValue, latitude: JSONValue?, longitude: JSONValue?) -> String? {
        var coordinates: String?
        if let latitude = latitude?.coordinate, let longitude = longitude?.coordinate {
            coordinates = "\(latitude), \(longitude)"
        }
        let words = ["name", "address", "description"].map { (name: StaticString) in location[name]?.nonemptyText }
        return lines(words + [coordinates])
    }

    /// A line for each vCard.
    static func contacts(_ cards: [JSONValue?]) -> String? { lines(cards.map { $0?.text.flatMap(contact) }) }

    /// A vCard's name and numbers: `Sam Plumber, +44 7911 000111`.
    private static func contact(_ card: String) -> String? {
        let card = VCard(card)
        let parts = [card.name].compactMap { $0 } + card.numbers
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    private static func lines(_ lines: [String?]) -> String? {
        let present = lines.compactMap { $0 }
        return present.isEmpty ? nil : present.joined(separator: "\n")
    }
}

// MARK: - What the engine knows

extension VPSContent {
    /// By the member of `_data.message` (NOWEB) or `_data.Message` (GOWS) that holds the content, or the word in
    /// `_data.type` (WEBJS); `nil` for text and where the engine does not tell.
    private static func engineType(_ data: JSONValue?) -> String? {
        guard let data else { return nil }
        if let word = data["type"], word.isString { return type(ofWord: word) }
        return (data["message"] ?? data["Message"]).flatMap { type(ofMessage: $0, depth: 0) }
    }

    private static func type(ofWord word: JSONValue) -> String? {
        let words: [(StaticString, String)] = [
            ("image", "image"), ("video", "video"), ("ptt", "audio"), ("audio", "audio"), ("document", "document"),
            ("sticker", "sticker"), ("location", "location"), ("vcard", "contacts"), ("multi_vcard", "contacts"),
        ]
        return words.first { word.isText($0.0) }?.1
    }

    /// Messages that vanish, are seen once or have a caption are wrapped into another.
    private static func type(ofMessage message: JSONValue, depth: Int) -> String? {
        guard depth < wrappersMax else { return nil }
        for member in message.members where member.value.isObject {
            if let found = contents.first(where: { member.key.isText($0.name) }) { return found.type }
            if let inner = member.value["message"], inner.isObject, isWrapper(member.key) {
                return type(ofMessage: inner, depth: depth + 1)
            }
        }
        return nil
    }

    /// A message's member that holds the content, and what it is; `nil` for text and for what is not known.
    static func content(of message: JSONValue) -> (type: String, value: JSONValue)? {
        for member in message.members where member.value.isObject {
            if let found = contents.first(where: { member.key.isText($0.name) }) { return (found.type, member.value) }
        }
        return nil
    }

    /// So many wrappers are looked into.
    static let wrappersMax = 4

    static func isWrapper(_ name: JSONValue) -> Bool { wrappers.contains { name.isText($0) } }

    private static let contents: [(name: StaticString, type: String)] = [
        ("imageMessage", "image"), ("videoMessage", "video"), ("ptvMessage", "video"), ("audioMessage", "audio"),
        ("documentMessage", "document"), ("stickerMessage", "sticker"), ("lottieStickerMessage", "sticker"),
        ("locationMessage", "location"), ("liveLocationMessage", "location"), ("contactMessage", "contacts"),
        ("contactsArrayMessage", "contacts"),
    ]

    private static let wrappers: [StaticString] = [
        "ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "viewOnceMessageV2Extension",
        "documentWithCaptionMessage", "editedMessage",
    ]
}

extension MediaReference {
    /// A file the server keeps: `{"url", "mimetype", "filename"}`. Files it could not fetch have no address.
    fileprivate init?(_ media: JSONValue) {
        guard let url = media["url"]?.identifier else { return nil }
        self.init(
            id: url, mimeType: media["mimetype"]?.nonemptyText.map { $0.bounded(to: 256) },
            fileName: media["filename"]?.nonemptyText.map { $0.bounded(to: 512) })
    }
}

extension JSONValue {
    /// A number, also one written as a text, short enough to be put on a line.
    fileprivate var coordinate: String? {
        guard content.count <= 40, let text = scalarText, !text.isEmpty else { return nil }
        return text
    }
}
