/// `POST /twin/send`: one message of a tenant.
struct SendOrder: Decodable {
    var from: String?
    var text: String?
    var type: String?
    /// The wamid of the message it quotes.
    var quote: String?
    /// The wamid that a reaction, edit or revocation speaks of.
    var about: String?
    var bsuid: String?
    var name: String?
    var username: String?
    /// The `phone_number_id` written to.
    var phone: String?
    /// A wamid of the caller's choice: the same twice is a duplicate.
    var id: String?
    /// Unix seconds.
    var timestamp: Int64?
}

/// `POST /twin/tap`: a tenant taps one of the options they were shown.
struct TapOrder: Decodable {
    var from: String?
    var bsuid: String?
    /// The wamid of the message with the options; the newest such one to this person if left out.
    var message: String?
    /// Counted from 1.
    var option: Int?
    /// The option of this title, instead of its number.
    var title: String?
    var name: String?
    /// A wamid of the caller's choice: the same twice is a duplicate.
    var id: String?
    /// Unix seconds.
    var timestamp: Int64?
}

/// `POST /twin/vps`: one message of a tenant to the session.
struct SessionOrder: Decodable {
    var from: String?
    /// The digits of the sender's hidden id.
    var lid: String?
    var text: String?
    var type: String?
    /// The id of the message it quotes.
    var quote: String?
    var name: String?
    /// A key of the caller's choice: the same twice is a duplicate.
    var id: String?
    /// Unix seconds.
    var timestamp: Int64?
}

/// `POST /twin/vps/session`: what has become of the session.
struct SessionStatusOrder: Decodable {
    var status: String
}

/// `POST /twin/batch`: many updates in one webhook.
struct BatchOrder: Decodable {
    var messages: [SendOrder]?
    /// How often the list of messages is repeated, each time under new ids.
    var count: Int?
    var statuses: [StatusOrder]?
    var phone: String?
    var updatesPerChange: Int?
    var changesPerEntry: Int?

    enum CodingKeys: String, CodingKey {
        case messages, count, statuses, phone
        case updatesPerChange = "updates_per_change"
        case changesPerEntry = "changes_per_entry"
    }
}

/// `POST /twin/status`: what became of a message, known to the twin or not.
struct StatusOrder: Decodable {
    var id: String
    var status: String
    var recipient: String?
    var callbackData: String?
    /// An error code, for `failed`.
    var code: Int32?
    var phone: String?
    var timestamp: Int64?

    enum CodingKeys: String, CodingKey {
        case id, status, recipient, code, phone, timestamp
        case callbackData = "biz_opaque_callback_data"
    }
}

/// `POST /twin/handshake`: with the twin's own verify token, or another.
struct HandshakeOrder: Decodable {
    var token: String?
}

/// `POST /twin/faults`: the next calls to the Graph side go wrong, in the order in which they were asked for.
struct FaultOrder: Decodable {
    var next: Int?
    var kind: String
    /// For `error` and `failed`.
    var code: Int32?
    /// For `slow`.
    var milliseconds: Int64?
    /// For `plain`.
    var status: Int?
    /// Whether the message is taken although the caller does not learn it; `true` if left out.
    var accepted: Bool?

    func fault() throws(TwinRequestError) -> Fault {
        let isAccepted = accepted ?? true
        switch kind {
        case "error": return .error(GraphError(code: code ?? 131000))
        case "failed": return .failed(GraphError(code: code ?? 131026))
        case "timeout": return .timeout(isAccepted: isAccepted)
        case "drop": return .drop(isAccepted: isAccepted)
        case "http500": return .plain(status: 500, isAccepted: isAccepted)
        case "plain":
            guard let status, (200...599).contains(status) else {
                throw TwinRequestError(text: "\"plain\" needs a \"status\" from 200 to 599")
            }
            return .plain(status: status, isAccepted: isAccepted)
        case "no_id": return .noID(isAccepted: isAccepted)
        case "oversize": return .oversize(isAccepted: isAccepted)
        case "slow": return .slow(.milliseconds(max(0, min(milliseconds ?? 1000, 600_000))))
        default:
            throw TwinRequestError(
                text:
                    "\"kind\" is \"\(kind)\"; it can be error, failed, timeout, drop, http500, plain, no_id, oversize, "
                    + "slow")
        }
    }
}
