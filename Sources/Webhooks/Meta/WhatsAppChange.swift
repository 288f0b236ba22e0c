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

    /// The lists that hold updates, in the order of the text.
    private(set) var lists: [(kind: ListKind, value: JSONValue)] = []
    private(set) var contacts: JSONValue?
    private(set) var errors: JSONValue?
    private(set) var preferences: JSONValue?
    /// `nil` without a readable `metadata.phone_number_id`.
    private(set) var endpoint: EndpointReference?
    private var metadata: JSONValue?
    /// One of the lists is something else than a list.
    private(set) var isMisshapen = false

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
        if value.isArray { lists.append((kind, value)) } else if !value.isNull { isMisshapen = true }
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
    mutating func readWhatsApp(_ change: WhatsAppChange, whole: JSONValue) {
        let before = updates.count
        for list in change.lists where !isFull { readList(list.value, of: list.kind, in: change) }
        if updates.count > before {
            note(change.label)
        } else if change.isMisshapen {
            refuse(whole, .badField, "a list of a change is not a list")
        } else if change.isMessages, change.errors != nil {
            ignore("errors")
        } else {
            readAccountField(change, whole: whole)
        }
    }

    private mutating func readList(_ list: JSONValue, of kind: WhatsAppChange.ListKind, in change: WhatsAppChange) {
        switch kind {
        case .messages where change.isMessages:
            let contacts = WhatsAppContacts(change.contacts, of: list)
            for element in list.elements where !isFull {
                append(
                    update(element) { value throws(Refusal) in
                        try whatsAppMessage(value, in: change, contacts: contacts)
                    })
            }
        case .statuses where change.isMessages:
            let contacts = WhatsAppContacts(change.contacts, of: list)
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
            let contacts = WhatsAppContacts(change.contacts, of: list)
            for element in list.elements where !isFull {
                append(
                    update(element) { value throws(Refusal) in try whatsAppEcho(value, in: change, contacts: contacts) }
                )
            }
        case .history: readHistory(list, in: change)
        }
    }

    /// What a change without messages has to tell.
    private mutating func readAccountField(_ change: WhatsAppChange, whole: JSONValue) {
        do throws(Refusal) {
            var event = try whatsAppPreferences(change)
            if event == nil { event = try whatsAppAccountUpdate(change) }
            guard let event else {
                return ignore(Label.text("field:", change.field), event: Label.text("", change.field))
            }
            note(Label.text("", change.field))
            append(event)
        } catch {
            refuse(whole, error.reason, error.detail)
        }
    }
}
