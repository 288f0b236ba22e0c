public import Messaging

/// Makes events of the body of a webhook from Meta: every update of it becomes exactly one, in the order of the text.
///
/// Updates are the elements of `messages`, `statuses`, `message_echoes` and of the threads of `history`; one for each
/// change or entry that has none of these; one for a body that is no JSON, has no entries or is about something else. A
/// part that is not what it should be becomes `undecodable` and leaves the rest unharmed. Unknown fields and types are
/// never an error.
public struct MetaWebhookDecoder: Sendable {
    /// More updates than this in one body are one undecodable update: Meta sends a thousand at most, a history some
    /// thousands, and an update costs some 200 bytes of memory while its batch is recorded.
    public static let updatesMax = 32_767

    public init() {}

    /// - Parameters:
    ///   - body: the request body as received.
    ///   - receivedAt: stands in for a time the body does not tell, or tells unreadably.
    public func decode(_ body: [UInt8], receivedAt: Timestamp) -> DecodedWebhook {
        body.withUnsafeBytes { decode($0, receivedAt: receivedAt) }
    }

    /// The same for bytes that lie elsewhere.
    public func decode(_ body: UnsafeRawBufferPointer, receivedAt: Timestamp) -> DecodedWebhook {
        do {
            return try withJSONDocument(body) { root in
                var reading = MetaReading(receivedAt: receivedAt)
                reading.readBody(root)
                return reading.result()
            }
        } catch {
            switch error {
            case .malformed(let offset):
                return .undecodable(.notJSON, "not JSON: stops making sense at byte \(offset) of \(body.count)")
            case .tooDeep(let offset):
                return .undecodable(
                    .tooDeep, "nested deeper than \(JSONScanner.depthMax) at byte \(offset) of \(body.count)")
            }
        }
    }
}

extension DecodedWebhook {
    /// A body of which nothing can be told apart.
    static func undecodable(_ reason: UndecodableReason, _ detail: String) -> DecodedWebhook {
        DecodedWebhook(event: "undecodable", updates: [.undecodable(reason: reason, detail: detail, raw: nil)])
    }
}

/// One body on its way from values to events.
struct MetaReading {
    let receivedAt: Timestamp
    private(set) var updates: [InboundEvent] = []
    /// The label all parts so far agree on.
    private var event: String?

    init(receivedAt: Timestamp) { self.receivedAt = receivedAt }

    mutating func append(_ update: InboundEvent) {
        if !isFull { updates.append(update) }
    }

    /// One over the limit: enough to know that there are too many.
    var isFull: Bool { updates.count > MetaWebhookDecoder.updatesMax }

    mutating func note(_ label: String) {
        if event == nil { event = label } else if event != label { event = "mixed" }
    }

    func result() -> DecodedWebhook {
        if isFull { return .undecodable(.unknownShape, "more than \(MetaWebhookDecoder.updatesMax) updates") }
        return DecodedWebhook(event: event ?? "undecodable", updates: updates)
    }
}

/// What a webhook is about, by its `object`.
private enum MetaProduct {
    case whatsApp
    case messenger
    case instagram
    case other(JSONValue)

    /// - Returns: `nil` where `object` is no text. Without any, entries are read as WhatsApp's: samples of Meta's leave
    ///   it out.
    init?(_ object: JSONValue?) {
        guard let object, !object.isNull else {
            self = .whatsApp
            return
        }
        guard object.isString else { return nil }
        if object.isText("whatsapp_business_account") {
            self = .whatsApp
        } else if object.isText("page") {
            self = .messenger
        } else if object.isText("instagram") {
            self = .instagram
        } else {
            self = .other(object)
        }
    }

    /// For elements of `messaging` and `standby`.
    var label: String {
        switch self {
        case .whatsApp: "messaging"
        case .messenger: "messenger"
        case .instagram: "instagram"
        case .other(let object): Label.text("object:", object)
        }
    }
}

extension MetaReading {
    mutating func readBody(_ root: JSONValue) {
        guard root.isObject else { return refuse(nil, .unknownShape, "the body is not an object") }
        guard let entries = root["entry"] else { return refuse(nil, .unknownShape, "no entry") }
        guard entries.isArray else { return refuse(nil, .unknownShape, "entry is not a list") }
        guard let product = MetaProduct(root["object"]) else {
            return refuse(nil, .unknownShape, "object is not a text")
        }
        if case .other = product { return ignore(product.label) }
        if entries.elements.isEmpty { return ignore("empty") }
        for entry in entries.elements where !isFull { readEntry(entry, of: product) }
    }

    private mutating func readEntry(_ entry: JSONValue, of product: MetaProduct) {
        guard entry.isObject else { return refuse(entry, .unknownShape, "an entry is not an object") }
        let before = updates.count
        let changes = entry["changes"]
        let messaging = entry["messaging"]
        let standby = entry["standby"]
        if let changes { for change in changes.elements where !isFull { readChange(change, of: product) } }
        if let messaging { for _ in messaging.elements where !isFull { ignore(product.label) } }
        if let standby { for _ in standby.elements where !isFull { ignore(product.label) } }
        guard updates.count == before else { return }
        let isMisshapen = [changes, messaging, standby].contains { $0.map { !$0.isArray && !$0.isNull } ?? false }
        if isMisshapen { refuse(entry, .badField, "what an entry holds is not a list") } else { ignore("entry") }
    }

    private mutating func readChange(_ change: JSONValue, of product: MetaProduct) {
        guard change.isObject else { return refuse(change, .unknownShape, "a change is not an object") }
        var field: JSONValue?
        var value: JSONValue?
        for member in change.members {
            if member.key.isText("field") {
                field = member.value
            } else if member.key.isText("value") {
                value = member.value
            }
        }
        guard case .whatsApp = product else { return ignore(Label.text("field:", field), event: Label.text("", field)) }
        // Where the field is left out or unreadable, the value tells: only messages and their like name the product.
        let named = field.flatMap { $0.isString ? $0.isText("messages") : nil }
        let isMessages = named ?? (value?["messaging_product"] != nil)
        guard let value, value.isObject else {
            if !isMessages { return ignore(Label.text("field:", field), event: Label.text("", field)) }
            return refuse(change, value == nil ? .missingField : .badField, "a change has no value that is an object")
        }
        readWhatsApp(WhatsAppChange(value), field: field, isMessages: isMessages, change: change)
    }

    private mutating func readWhatsApp(
        _ change: WhatsAppChange, field: JSONValue?, isMessages: Bool, change whole: JSONValue
    ) {
        let before = updates.count
        for list in change.lists where !isFull {
            switch list.kind {
            case .messages where isMessages: readMessages(list.value, of: change)
            case .statuses where isMessages: readStatuses(list.value, of: change)
            case .messages, .statuses:
                let what = field?.isText("history") == true ? "history" : Label.text("field:", field)
                for _ in list.value.elements where !isFull { append(.ignored(what: what)) }
            case .echoes: for _ in list.value.elements where !isFull { append(.ignored(what: "echo")) }
            case .history: readHistory(list.value)
            }
        }
        if updates.count > before {
            note(isMessages ? change.label(field: field) : Label.text("", field))
        } else if change.isMisshapen {
            refuse(whole, .badField, "a list of a change is not a list")
        } else if isMessages, change.errors != nil {
            ignore("errors")
        } else {
            ignore(Label.text("field:", field), event: Label.text("", field))
        }
    }

    /// `history[].threads[].messages[]`.
    private mutating func readHistory(_ chunks: JSONValue) {
        for chunk in chunks.elements {
            guard let threads = chunk["threads"] else { continue }
            for thread in threads.elements {
                guard let messages = thread["messages"] else { continue }
                for _ in messages.elements where !isFull { append(.ignored(what: "history")) }
            }
        }
    }

    private mutating func readMessages(_ messages: JSONValue, of change: WhatsAppChange) {
        let senders = WhatsAppContacts(change.contacts, messages: messages)
        for message in messages.elements where !isFull {
            append(whatsAppMessage(message, endpoint: change.endpoint, contacts: senders))
        }
    }

    private mutating func readStatuses(_ statuses: JSONValue, of change: WhatsAppChange) {
        for status in statuses.elements where !isFull { append(whatsAppStatus(status, endpoint: change.endpoint)) }
    }

    private mutating func ignore(_ what: String, event: String? = nil) {
        note(event ?? what)
        append(.ignored(what: what))
    }

    private mutating func refuse(_ value: JSONValue?, _ reason: UndecodableReason, _ detail: String) {
        note("undecodable")
        append(.undecodable(reason: reason, detail: detail, raw: value?.raw))
    }
}
