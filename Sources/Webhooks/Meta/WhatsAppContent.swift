import Messaging

/// What a message of any type but `text` tells a person, and what it carries back.
struct WhatsAppContent {
    /// Of the type's own word; new ones appear, and a word must not become a page.
    static let typeLengthMax = 32

    /// What a landlord reads; `nil` if there is nothing to read.
    private(set) var body: String?
    /// The id of the tapped button or list row.
    private(set) var replyPayload: String?
    /// The message it reacts to, changes or takes back: as good as a quote.
    private(set) var subjectID: String?
    /// The file that came with it.
    private(set) var media: MediaReference?

    /// - Parameters:
    ///   - type: the message's `type`, a text.
    ///   - message: where the member of that name is looked for.
    init(type: JSONValue?, of message: JSONValue) {
        guard let type, let content = message[type] else { return }
        if type.isText("edit") {
            subjectID = content["original_message_id"]?.identifier
            guard let edited = content["message"], let innerType = edited["type"], innerType.isString,
                !innerType.isText("edit")
            else { return }
            body = Self.text(innerType, edited[innerType])
            media = MediaReference(whatsApp: edited[innerType])
        } else if type.isText("revoke") {
            subjectID = content["original_message_id"]?.identifier
        } else if type.isText("reaction") {
            subjectID = content["message_id"]?.identifier
            body = content["emoji"]?.nonemptyText
        } else if type.isText("interactive") {
            let reply = content["type"].flatMap { $0.isString ? content[$0] : nil }
            body = reply?.firstText("title", "body")
            replyPayload = reply?["id"]?.nonemptyText
        } else if type.isText("button") {
            body = content.firstText("text", "payload")
            replyPayload = content["payload"]?.nonemptyText
        } else {
            body = Self.text(type, content)
            media = MediaReference(whatsApp: content)
        }
    }

    /// The text of the types that refer to nothing.
    private static func text(_ type: JSONValue, _ content: JSONValue?) -> String? {
        guard let content else { return nil }
        if type.isText("text") || type.isText("system") { return content["body"]?.nonemptyText }
        if type.isText("image") || type.isText("video") { return content["caption"]?.nonemptyText }
        if type.isText("document") { return content["caption"]?.nonemptyText ?? content["filename"]?.nonemptyText }
        if type.isText("location") { return location(content) }
        if type.isText("contacts") { return lines(content.elements.map(contact)) }
        if type.isText("order") { return order(content) }
        return nil
    }

    /// Name and address as far as given, then `latitude, longitude`.
    private static func location(_ location: JSONValue) -> String? {
        var coordinates: String?
        if let latitude = location["latitude"]?.shortScalar, let longitude = location["longitude"]?.shortScalar {
            coordinates = "\(latitude), \(longitude)"
        }
        return lines([location["name"]?.nonemptyText, location["address"]?.nonemptyText, coordinates])
    }

    /// `Barbara J. Johnson, +1 (415) 555-0829`. What it says is the sender's word, and no identity of anybody's.
    private static func contact(_ contact: JSONValue) -> String? {
        var name = contact["name"]?.firstText("formatted_name", "first_name")
        var numbers = contact["phones"]?.elements.compactMap { $0.firstText("phone", "wa_id") } ?? []
        if name == nil || numbers.isEmpty, let card = contact["vcard"]?.text.map(VCard.init) {
            name = name ?? card.name
            if numbers.isEmpty { numbers = card.numbers }
        }
        let parts = [name].compactMap { $0 } + numbers
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// The customer's words, then a line an item: `2 × di9ozbzfi4, 30 USD`.
    private static func order(_ order: JSONValue) -> String? {
        let items = order["product_items"]?.elements.map { item in
            let quantity = item["quantity"]?.shortScalar.map { "\($0) × " } ?? ""
            let price = [item["item_price"]?.shortScalar, item["currency"]?.shortScalar].compactMap { $0 }
            let name = item["product_retailer_id"]?.scalarText ?? "?"
            return quantity + name + (price.isEmpty ? "" : ", " + price.joined(separator: " "))
        }
        return lines([order["text"]?.nonemptyText] + (items ?? []))
    }

    private static func lines(_ lines: [String?]) -> String? {
        let present = lines.compactMap { $0 }
        return present.isEmpty ? nil : present.joined(separator: "\n")
    }
}

extension MediaReference {
    private static let textLengthMax = 512

    /// The content of a message of WhatsApp's: whatever has an id and says what kind of file it is, of known types and
    /// of those to come.
    fileprivate init?(whatsApp content: JSONValue?) {
        guard let content, let id = content["id"]?.identifier else { return nil }
        self.init(id: id)
        mimeType = content["mime_type"]?.shortText(Self.textLengthMax)
        sha256 = content["sha256"]?.shortText(Self.textLengthMax)
        fileName = content["filename"]?.shortText(Self.textLengthMax)
        if mimeType == nil, sha256 == nil { return nil }
    }
}

extension JSONValue {
    /// A number or a word short enough to be put on a line.
    fileprivate var shortScalar: String? {
        guard content.count <= 40, let text = scalarText, !text.isEmpty else { return nil }
        return text
    }
}
