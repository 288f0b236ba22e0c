import Crypto
package import Messaging

/// A session of a WhatsApp session server, as the twin plays it.
package struct TwinSession: Sendable {
    /// How the server signs: as `VPS_WEBHOOK_DIALECT` says.
    package enum Dialect: String, Sendable {
        /// `X-Webhook-Hmac`, HMAC-SHA512.
        case waha
        /// The same header, HMAC-SHA256.
        case sha256
    }

    package var name: String
    /// The number it is logged in with, digits.
    package var number: String
    package var secret: Secret
    package var dialect: Dialect
    /// The gateway's `https://…/api/webhooks/vps`.
    package var webhookURL: String

    package init(name: String, number: String, secret: Secret, dialect: Dialect = .waha, webhookURL: String) {
        self.name = name
        self.number = number
        self.secret = secret
        self.dialect = dialect
        self.webhookURL = webhookURL
    }
}

/// A message a tenant writes to a session's number.
package struct SessionMessage: Sendable {
    package enum Content: Sendable {
        case text(String)
        case image(caption: String?)
        case location(latitude: Double, longitude: Double, name: String?)

        package init?(type: String, text: String?) {
            switch type {
            case "text": self = .text(text ?? "")
            case "image": self = .image(caption: text)
            case "location": self = .location(latitude: 51.5074, longitude: -0.1278, name: text)
            default: return nil
            }
        }

        /// The words `init(type:text:)` knows.
        package static let types = ["text", "image", "location"]
    }

    /// Digits; `nil` for somebody of whom only the hidden id is shown.
    package var from: String?
    /// The digits of the hidden id. With both, the chat is addressed by it and the engine shows the number beside it.
    package var lid: String?
    package var name: String?
    /// The message's key; with the chat it makes the id.
    package var key: String
    package var sentAt: Timestamp
    package var content: Content
    /// The id of the message it quotes.
    package var quotedMessageID: String?

    package init(
        from: String?, lid: String? = nil, name: String? = nil, key: String, sentAt: Timestamp, content: Content,
        quotedMessageID: String? = nil
    ) {
        self.from = from
        self.lid = lid
        self.name = name
        self.key = key
        self.sentAt = sentAt
        self.content = content
        self.quotedMessageID = quotedMessageID
    }

    /// The address of the chat it stands in.
    package var chat: String { lid.map { "\($0)@lid" } ?? "\(from ?? "")@c.us" }

    package var id: String { "false_\(chat)_\(key)" }
}

/// The webhooks of one session, of the shape WAHA sends, and their signature.
package struct VPSPayloads: Sendable {
    package let session: TwinSession

    package init(session: TwinSession) { self.session = session }

    /// The whole body for one message.
    package func webhook(_ message: SessionMessage) -> [UInt8] {
        let number = message.from.map { MetaJSON.string("\($0)@s.whatsapp.net") }
        let key = MetaJSON.object([
            "remoteJid": message.lid.map { .string("\($0)@lid") } ?? number, "fromMe": false,
            "id": .string(message.key), "remoteJidAlt": message.lid == nil ? nil : number,
        ])
        var payload: [(key: String, value: MetaJSON)] = [
            ("id", .string(message.id)), ("timestamp", .integer(message.sentAt.seconds)),
            ("from", .string(message.chat)), ("fromMe", false), ("source", "app"), ("ack", 2), ("ackName", "DEVICE"),
        ]
        payload += Self.members(of: message.content, url: session.webhookURL)
        if let quoted = message.quotedMessageID { payload.append(("replyTo", .object(["id": .string(quoted)]))) }
        payload.append(("_data", .object(["key": key, "pushName": message.name.map(MetaJSON.string)])))
        return event("message", at: message.sentAt, .members(payload))
    }

    /// The whole body for the state of the session: `WORKING`, `SCAN_QR_CODE`, …
    package func webhook(status: String, at moment: Timestamp) -> [UInt8] {
        event("session.status", at: moment, .object(["name": .string(session.name), "status": .string(status)]))
    }

    private func event(_ name: String, at moment: Timestamp, _ payload: MetaJSON) -> [UInt8] {
        let milliseconds = moment.microseconds / 1000
        return MetaJSON.object([
            "id": .string("evt_\(milliseconds)"), "timestamp": .integer(milliseconds), "event": .string(name),
            "session": .string(session.name),
            "me": .object(["id": .string("\(session.number)@c.us"), "pushName": "ZenRent"]),
            "payload": payload, "engine": "NOWEB",
        ]).bytes
    }

    private static func members(of content: SessionMessage.Content, url: String) -> [(key: String, value: MetaJSON)] {
        switch content {
        case .text(let text): return [("body", .string(text)), ("hasMedia", false)]
        case .image(let caption):
            let media = MetaJSON.object(["url": .string(url + "/files/image.jpg"), "mimetype": "image/jpeg"])
            return [("body", .string(caption ?? "")), ("hasMedia", true), ("media", media)]
        case .location(let latitude, let longitude, let name):
            let location = MetaJSON.object([
                "latitude": .number(latitude), "longitude": .number(longitude), "name": name.map(MetaJSON.string),
            ])
            return [("body", ""), ("hasMedia", false), ("location", location)]
        }
    }

    /// The value of `X-Webhook-Hmac`.
    package static func signature(of body: [UInt8], secret: Secret, dialect: TwinSession.Dialect) -> String {
        let key = SymmetricKey(data: secret.utf8)
        switch dialect {
        case .waha: return hexadecimal(HMAC<SHA512>.authenticationCode(for: body, using: key))
        case .sha256: return hexadecimal(HMAC<SHA256>.authenticationCode(for: body, using: key))
        }
    }
}
