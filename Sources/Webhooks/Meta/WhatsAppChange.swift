import Messaging

/// The value of one WhatsApp change, its parts found.
struct WhatsAppChange {
    enum ListKind {
        case messages
        case statuses
        case echoes
        case history
    }

    let value: JSONValue
    let field: JSONValue?
    /// It is of the field `messages`, or looks like it.
    let isMessages: Bool
    let entry: MetaEntry

    /// The lists that hold updates, in the order of the text; also what stands in the place of one and is none.
    private(set) var lists: [(kind: ListKind, value: JSONValue)] = []
    private(set) var contacts: JSONValue?
    private(set) var errors: JSONValue?
    private(set) var preferences: JSONValue?
    /// `nil` without a readable `metadata.phone_number_id`.
    private(set) var endpoint: EndpointReference?
    private var metadata: JSONValue?

    init(_ value: JSONValue, field: JSONValue?, isMessages: Bool, entry: MetaEntry) {
        self.value = value
        self.field = field
        self.isMessages = isMessages
        self.entry = entry
        for member in value.members {
            switch member.key.textLength {
            case 6 where member.key.isText("errors"): errors = member.value
            case 7 where member.key.isText("history"): set(.history, member.value)
            case 8 where member.key.isText("messages"): set(.messages, member.value)
            case 8 where member.key.isText("statuses"): set(.statuses, member.value)
            case 8 where member.key.isText("metadata"): metadata = member.value
            case 8 where member.key.isText("contacts"): contacts = member.value
            case 14 where member.key.isText("message_echoes"): set(.echoes, member.value)
            case 16 where member.key.isText("user_preferences"): preferences = member.value
            default: continue
            }
        }
        if let id = metadata?["phone_number_id"]?.identifier {
            endpoint = EndpointReference(kind: .cloud, providerID: id)
        }
    }

    /// The last of two lists of one name counts, at its own place.
    private mutating func set(_ kind: ListKind, _ value: JSONValue) {
        lists.removeAll { $0.kind == kind }
        if !value.isNull { lists.append((kind, value)) }
    }

    /// One of the lists is something else than a list.
    var isMisshapen: Bool { lists.contains { !$0.value.isArray } }

    /// Trouble with the account or the app, which belongs to no message. Other fields call other things by this name.
    var hasErrors: Bool {
        if isMessages || isHistory, errors?.isTrouble == true { return true }
        return lists.contains { list in
            list.kind == .history && list.value.elements.contains { $0["errors"]?.isTrouble == true }
        }
    }

    /// There is one message, status or preference, whatever the list.
    var holdsOne: Bool {
        var count = preferences?.elements.prefix(2).reduce(0) { count, _ in count + 1 } ?? 0
        for list in lists { count += list.value.elements.prefix(2).reduce(0) { count, _ in count + 1 } }
        return count == 1
    }

    /// The number the endpoint itself is called by. Its form is for display: often bare digits, sometimes not.
    var displayNumber: PhoneNumber? { metadata?["display_phone_number"]?.displayedPhone }

    var isHistory: Bool { field?.isText("history") == true }

    /// What the change is called in the webhook log.
    var label: String {
        guard isMessages else { return Label.text("", field) }
        var label: String?
        for list in lists where !list.value.elements.isEmpty {
            let name =
                switch list.kind {
                case .messages: "messages"
                case .statuses: "statuses"
                case .echoes: "message_echoes"
                case .history: "history"
                }
            label = label == nil ? name : "mixed"
        }
        return label ?? Label.text("", field)
    }

    func requireEndpoint() throws(MetaReading.Refusal) -> EndpointReference {
        guard let endpoint else { throw .init(.missingField, "no metadata.phone_number_id") }
        return endpoint
    }
}

extension MetaReading {
    /// First the lists, in the order of the text; after them what else a change holds.
    mutating func readWhatsApp(_ change: WhatsAppChange, whole: JSONValue) {
        let before = updates.count
        for list in change.lists where !isFull { readList(list.value, of: list.kind, in: change) }
        if updates.count > before { note(change.label) }
        if change.isMisshapen { refuse(whole, .badField, "a list of a change is not a list") }
        if change.preferences != nil {
            readField(of: change, whole: whole) { reading throws(Refusal) in try reading.whatsAppPreferences(change) }
        }
        if change.hasErrors { ignore("errors") }
        guard updates.count == before else { return }
        readField(of: change, whole: whole) { reading throws(Refusal) in try reading.whatsAppAccountUpdate(change) }
        if updates.count == before { ignore(Label.text("field:", change.field), event: Label.text("", change.field)) }
    }

    /// What a change tells beside its lists, if anything.
    private mutating func readField(
        of change: WhatsAppChange, whole: JSONValue, _ read: (MetaReading) throws(Refusal) -> InboundEvent?
    ) {
        do throws(Refusal) {
            guard let event = try read(self) else { return }
            note(Label.text("", change.field))
            append(event)
        } catch {
            refuse(whole, error.reason, error.detail)
        }
    }

    private mutating func readList(_ list: JSONValue, of kind: WhatsAppChange.ListKind, in change: WhatsAppChange) {
        switch kind {
        case .messages where change.isMessages:
            let contacts = WhatsAppContacts(change.contacts, isOfOne: change.holdsOne)
            for element in list.elements where !isFull {
                append(
                    update(element) { value throws(Refusal) in
                        try whatsAppMessage(value, in: change, contacts: contacts)
                    })
            }
        case .statuses where change.isMessages:
            let contacts = WhatsAppContacts(change.contacts, isOfOne: change.holdsOne)
            for element in list.elements where !isFull {
                append(
                    update(element) { value throws(Refusal) in try whatsAppStatus(value, in: change, contacts: contacts)
                    })
            }
        case .messages where change.isHistory:
            // Files of messages that were told before, as they become ready.
            readThread(
                nil, messages: list, us: change.displayNumber, in: change, contacts: WhatsAppContacts(change.contacts))
        case .messages, .statuses:
            let what = change.isHistory ? "history" : Label.text("field:", change.field)
            for _ in list.elements where !isFull { append(.ignored(what: what)) }
        case .echoes:
            let contacts = WhatsAppContacts(change.contacts, isOfOne: change.holdsOne)
            for element in list.elements where !isFull {
                append(
                    update(element) { value throws(Refusal) in try whatsAppEcho(value, in: change, contacts: contacts) }
                )
            }
        case .history: readHistory(list, in: change)
        }
    }
}

extension JSONValue {
    /// What stands under `errors` tells of one: it is there, and not an empty list.
    fileprivate var isTrouble: Bool { !isNull && !(isArray && elements.isEmpty) }
}
