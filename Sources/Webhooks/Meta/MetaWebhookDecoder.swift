public import Messaging

/// Makes events of the body of a webhook from Meta: every update of it becomes exactly one, in the order of the text.
///
/// Updates are the elements of `messages`, `statuses`, `message_echoes` and of the threads of `history`, and on
/// Messenger and Instagram those of `messaging` and `standby`; after them one for each change with preferences, one for
/// each with errors that belong to no message, and one for each change or entry whose list is none; one for each that
/// has nothing of all this; one for a body that is no JSON, has no entries or is about something else. A part that is
/// not what it should be becomes `undecodable` and leaves the rest unharmed. Unknown fields and types are never an
/// error.
public struct MetaWebhookDecoder: Sendable {
    /// More updates than this in one body are one undecodable update: Meta sends a thousand at most, a history some
    /// thousands, and an update costs some 400 bytes of memory while its batch is recorded.
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

    /// Why an update cannot be made an event.
    struct Refusal: Error {
        let reason: UndecodableReason
        let detail: String

        init(_ reason: UndecodableReason, _ detail: String) {
            self.reason = reason
            self.detail = detail
        }

        /// Says whether a value is not there or is not what it should be.
        init(of value: JSONValue?, _ absent: String, _ bad: String) {
            let isAbsent = value?.isEmptyValue ?? true
            self.init(isAbsent ? .missingField : .badField, isAbsent ? absent : bad)
        }
    }

    /// One element of a list of updates: what `read` makes of it, or why it could not.
    @inline(__always)
    func update(_ value: JSONValue, _ read: (JSONValue) throws(Refusal) -> InboundEvent) -> InboundEvent {
        do throws(Refusal) {
            return try read(value)
        } catch {
            return .undecodable(reason: error.reason, detail: error.detail, raw: value.raw)
        }
    }

    /// A part that holds no list of updates and is let be.
    mutating func ignore(_ what: String, event: String? = nil) {
        note(event ?? what)
        append(.ignored(what: what))
    }

    /// A part that is not what it should be.
    mutating func refuse(_ value: JSONValue?, _ reason: UndecodableReason, _ detail: String) {
        note("undecodable")
        append(.undecodable(reason: reason, detail: detail, raw: value?.raw))
    }
}

// MARK: - The envelope

extension MetaReading {
    mutating func readBody(_ root: JSONValue) {
        guard root.isObject else { return refuse(nil, .unknownShape, "the body is not an object") }
        guard let entries = root["entry"] else { return refuse(nil, .unknownShape, "no entry") }
        guard entries.isArray else { return refuse(nil, .unknownShape, "entry is not a list") }
        guard let product = MetaProduct(root["object"]) else {
            return refuse(nil, .unknownShape, "object is not a text")
        }
        if case .other(let object) = product { return ignore(Label.text("object:", object)) }
        if entries.elements.isEmpty { return ignore("empty") }
        for entry in entries.elements where !isFull { readEntry(entry, of: product) }
    }

    private mutating func readEntry(_ value: JSONValue, of product: MetaProduct) {
        guard value.isObject else { return refuse(value, .unknownShape, "an entry is not an object") }
        let before = updates.count
        let entry = MetaEntry(value)
        if let changes = entry.changes {
            for change in changes.elements where !isFull { readChange(change, in: entry, of: product) }
        }
        // In `standby` what is written while another app has the conversation: it answers, we keep it.
        if let list = entry.messaging { readMessaging(list, in: entry, of: product) }
        if let list = entry.standby { readMessaging(list, in: entry, of: product) }
        if entry.isMisshapen {
            refuse(value, .badField, "what an entry holds is not a list")
        } else if updates.count == before {
            ignore("entry")
        }
    }

    private mutating func readMessaging(_ list: JSONValue, in entry: MetaEntry, of product: MetaProduct) {
        for element in list.elements where !isFull {
            guard let kind = product.messaging else {
                ignore("messaging")
                continue
            }
            note(kind.label)
            append(update(element) { value throws(Refusal) in try messengerEvent(value, of: kind, in: entry) })
        }
    }

    private mutating func readChange(_ change: JSONValue, in entry: MetaEntry, of product: MetaProduct) {
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
        if let kind = product.messaging {
            // Instagram's dashboard sends its samples as changes of the same content.
            if let value, value["sender"] != nil, value["recipient"] != nil {
                note(kind.label)
                return append(update(value) { value throws(Refusal) in try messengerEvent(value, of: kind, in: entry) })
            }
            return ignore(Label.text("field:", field), event: Label.text("", field))
        }
        // Where the field is left out or unreadable, the value tells: only messages and their like name the product.
        let named = field.flatMap { $0.isString ? $0.isText("messages") : nil }
        let isMessages = named ?? (value?["messaging_product"] != nil)
        guard let value, value.isObject else {
            if !Self.isUnderstood(field) {
                return ignore(Label.text("field:", field), event: Label.text("", field))
            }
            return refuse(change, value == nil ? .missingField : .badField, "a change has no value that is an object")
        }
        readWhatsApp(WhatsAppChange(value, field: field, isMessages: isMessages, entry: entry), whole: change)
    }
}

/// What a webhook is about, by its `object`.
enum MetaProduct {
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

    /// `nil` for what has no `messaging`.
    var messaging: MessengerKind? {
        switch self {
        case .messenger: .messenger
        case .instagram: .instagram
        case .whatsApp, .other: nil
        }
    }
}

/// An entry of a webhook, its parts found.
struct MetaEntry {
    /// The WhatsApp business account, page or Instagram account it is about.
    private(set) var id: JSONValue?
    private(set) var time: JSONValue?
    private(set) var changes: JSONValue?
    private(set) var messaging: JSONValue?
    private(set) var standby: JSONValue?

    init(_ entry: JSONValue) {
        for member in entry.members {
            switch member.key.textLength {
            case 2 where member.key.isText("id"): id = member.value
            case 4 where member.key.isText("time"): time = member.value
            case 7 where member.key.isText("changes"): changes = member.value
            case 7 where member.key.isText("standby"): standby = member.value
            case 9 where member.key.isText("messaging"): messaging = member.value
            default: continue
            }
        }
    }

    /// One of the lists is something else than a list.
    var isMisshapen: Bool {
        [changes, messaging, standby].contains { $0.map { !$0.isArray && !$0.isNull } ?? false }
    }
}
