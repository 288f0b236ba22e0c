import FoundationEssentials
import Messaging

/// The body of `POST /{version}/{phone-number-id}/messages` for a text, a question or a template.
struct SendRequest: Encodable {
    struct Text: Encodable {
        let body: String
        let previewURL = false

        enum CodingKeys: String, CodingKey {
            case body
            case previewURL = "preview_url"
        }
    }

    struct Context: Encodable {
        let messageID: String

        enum CodingKeys: String, CodingKey {
            case messageID = "message_id"
        }
    }

    let product = "whatsapp"
    let recipientType = "individual"
    /// With the plus sign: without it Meta may put the business's own country code in front.
    let to: String?
    let recipient: String?
    let type: String
    let text: Text?
    let interactive: Interactive?
    let template: Template?
    let context: Context?
    /// Comes back in every status of this message, also when the answer to this call is lost.
    let callbackData: String

    enum CodingKeys: String, CodingKey {
        case product = "messaging_product"
        case recipientType = "recipient_type"
        case to, recipient, type, text, interactive, template, context
        case callbackData = "biz_opaque_callback_data"
    }

    init(_ message: OutboundMessage) {
        switch message.recipient {
        case .phone(let number):
            to = "+\(number.digits)"
            recipient = nil
        case .accountID(let id):
            to = nil
            recipient = id
        }
        var content: (text: Text?, interactive: Interactive?, template: Template?) = (nil, nil, nil)
        switch message.form {
        case .text:
            type = "text"
            content.text = Text(body: message.text)
        // More options than rows: the answer is written.
        case .question(let form) where form.shape == .numbered:
            type = "text"
            content.text = Text(body: form.body)
        case .question(let form):
            type = "interactive"
            content.interactive = Interactive(form)
        case .template(let name, let language):
            type = "template"
            content.template = Template(name: name, language: .init(code: language))
        }
        (text, interactive, template) = content
        context = message.quotedMessageID.map(Context.init)
        callbackData = message.reference.callbackData
    }

    func encoded() throws -> [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.withoutEscapingSlashes, .sortedKeys]
        return try [UInt8](encoder.encode(self))
    }
}

extension SendRequest {
    struct Template: Encodable {
        struct Language: Encodable {
            let code: String
        }

        let name: String
        let language: Language
    }

    /// Up to three buttons, or one that opens a list.
    struct Interactive: Encodable {
        struct Body: Encodable {
            let text: String
        }

        struct Option: Encodable {
            let id: String
            let title: String
            let description: String?
        }

        struct Button: Encodable {
            let type = "reply"
            let reply: Option
        }

        struct Section: Encodable {
            let rows: [Option]
        }

        struct Action: Encodable {
            let button: String?
            let buttons: [Button]?
            let sections: [Section]?
        }

        let type: String
        let body: Body
        let action: Action

        init(_ form: QuestionForm) {
            let isList = form.shape == .list
            let options = form.options.map {
                Option(id: $0.id, title: $0.title, description: isList ? $0.description : nil)
            }
            type = isList ? "list" : "button"
            body = Body(text: form.body)
            action = Action(
                button: isList ? form.button : nil, buttons: isList ? nil : options.map(Button.init),
                sections: isList ? [Section(rows: options)] : nil)
        }
    }
}

/// What Meta answers: the ids of the messages it took, or why it took none. Everything is optional, for what is read
/// here settles whether a message may be sent again.
struct SendResponse: Decodable {
    struct Message: Decodable {
        let id: String?
    }

    struct Failure: Decodable {
        struct Details: Decodable {
            let details: String?
        }

        let code: Int32?
        let subcode: Int32?
        let message: String?
        let details: String?
        let isTransient: Bool

        enum CodingKeys: String, CodingKey {
            case code, message, details
            case subcode = "error_subcode"
            case data = "error_data"
            case isTransient = "is_transient"
        }

        init(from decoder: any Decoder) throws {
            let fields = try decoder.container(keyedBy: CodingKeys.self)
            code = fields.lenientInteger(.code)
            subcode = fields.lenientInteger(.subcode)
            message = try? fields.decodeIfPresent(String.self, forKey: .message)
            let nested = try? fields.decodeIfPresent(Details.self, forKey: .data)?.details
            details = nested ?? (try? fields.decodeIfPresent(String.self, forKey: .details))
            isTransient = (try? fields.decodeIfPresent(Bool.self, forKey: .isTransient)) ?? false
        }
    }

    let messageID: String?
    let failure: Failure?

    enum CodingKeys: String, CodingKey {
        case messages, error
    }

    init(from decoder: any Decoder) throws {
        let fields = try decoder.container(keyedBy: CodingKeys.self)
        let messages = try? fields.decodeIfPresent([Message].self, forKey: .messages)
        messageID = messages?.first?.id.flatMap { Self.isID($0) ? $0 : nil }
        failure = try? fields.decodeIfPresent(Failure.self, forKey: .error)
    }

    /// An id is opaque, but one that no column could hold is none.
    private static func isID(_ text: String) -> Bool {
        (1...512).contains(text.utf8.count) && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    /// - Returns: `nil` for bytes that are not a JSON object.
    init?(json: [UInt8]) {
        guard let response = try? JSONDecoder().decode(SendResponse.self, from: Data(json)) else { return nil }
        self = response
    }
}

extension KeyedDecodingContainer {
    /// An integer that may come as a string.
    fileprivate func lenientInteger(_ key: Key) -> Int32? {
        if let number = try? decodeIfPresent(Int32.self, forKey: key) { return number }
        return (try? decodeIfPresent(String.self, forKey: key)).flatMap { Int32($0) }
    }
}
