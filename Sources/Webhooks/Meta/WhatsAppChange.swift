import Messaging

/// The value of one WhatsApp change, its parts found.
struct WhatsAppChange {
    enum ListKind {
        case messages
        case statuses
        case echoes
        case history
    }

    /// The lists that hold updates, in the order of the text.
    private(set) var lists: [(kind: ListKind, value: JSONValue)] = []
    private(set) var contacts: JSONValue?
    private(set) var errors: JSONValue?
    /// `nil` without a readable `metadata.phone_number_id`.
    private(set) var endpoint: EndpointReference?
    /// One of the lists is something else than a list.
    private(set) var isMisshapen = false

    init(_ value: JSONValue) {
        var metadata: JSONValue?
        for member in value.members {
            switch member.key.textLength {
            case 6 where member.key.isText("errors"): errors = member.value
            case 7 where member.key.isText("history"): set(.history, member.value)
            case 8 where member.key.isText("messages"): set(.messages, member.value)
            case 8 where member.key.isText("statuses"): set(.statuses, member.value)
            case 8 where member.key.isText("metadata"): metadata = member.value
            case 8 where member.key.isText("contacts"): contacts = member.value
            case 14 where member.key.isText("message_echoes"): set(.echoes, member.value)
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

    /// What a change of the field `messages` is called in the webhook log.
    func label(field: JSONValue?) -> String {
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
}
