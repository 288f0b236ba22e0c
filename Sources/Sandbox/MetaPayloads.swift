import Crypto
package import Messaging

/// The webhooks of one number, byte for byte as Meta sends them, and their signature.
package struct MetaPayloads: Sendable {
    package let phone: MetaPhone

    package init(phone: MetaPhone) { self.phone = phone }

    /// The whole body for one message.
    package func webhook(_ message: TenantMessage) -> [UInt8] {
        Self.webhook(entries: [entry(changes: [change(messages: [message])])])
    }

    /// The whole body for one status.
    package func webhook(_ status: StatusReport) -> [UInt8] {
        Self.webhook(entries: [entry(changes: [change(statuses: [status])])])
    }

    /// One body for many updates: so many to a change, so many changes to an entry.
    package func batch(
        messages: [TenantMessage], statuses: [StatusReport] = [], updatesPerChange: Int = 10, changesPerEntry: Int = 10
    ) -> [UInt8] {
        let changes =
            chunks(of: messages, size: updatesPerChange).map { change(messages: $0) }
            + chunks(of: statuses, size: updatesPerChange).map { change(statuses: $0) }
        return Self.webhook(entries: chunks(of: changes, size: changesPerEntry).map { entry(changes: $0) })
    }

    package static func webhook(entries: [MetaJSON]) -> [UInt8] {
        MetaJSON.object(["object": "whatsapp_business_account", "entry": .array(entries)]).bytes
    }

    package func entry(changes: [MetaJSON]) -> MetaJSON {
        .object(["id": .string(phone.accountID), "changes": .array(changes)])
    }

    /// An element of `changes[]` of the field `messages`; Meta normally sends messages and statuses apart.
    package func change(messages: [TenantMessage] = [], statuses: [StatusReport] = []) -> MetaJSON {
        let contacts = messages.compactMap(Self.contact)
        let metadata = MetaJSON.object([
            "display_phone_number": .string(phone.displayNumber), "phone_number_id": .string(phone.phoneNumberID),
        ])
        return .object([
            "value": .object([
                "messaging_product": "whatsapp",
                "metadata": metadata,
                "contacts": contacts.isEmpty ? nil : .array(contacts),
                "messages": messages.isEmpty ? nil : .array(messages.map(message)),
                "statuses": statuses.isEmpty ? nil : .array(statuses.map(Self.status)),
            ]),
            "field": "messages",
        ])
    }

    /// The value of `X-Hub-Signature-256`.
    package static func signature(of body: [UInt8], secret: Secret) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: body, using: SymmetricKey(data: secret.utf8))
        return "sha256=" + hexadecimal(code)
    }

    /// An id as Meta makes them: the other side's number and a random part, in base64.
    /// - Parameters:
    ///   - number: the number of the person written to or heard from.
    ///   - isInbound: Meta marks the direction in it.
    package static func messageID(
        number: String, isInbound: Bool, using generator: inout some RandomNumberGenerator
    ) -> String {
        let digits = Array(number.utf8.prefix(20))
        let length = isInbound ? 20 : 18
        var random = String(generator.next() as UInt64, radix: 16, uppercase: true)
        random += String(generator.next() as UInt64 | 1 << 63, radix: 16, uppercase: true)
        let padded = String(repeating: "0", count: max(0, length - random.utf8.count)) + random
        var bytes: [UInt8] = [0x1C, 0x18, UInt8(digits.count)] + digits + [0x15, 0x02, 0x00, isInbound ? 0x12 : 0x11]
        bytes += [0x18, UInt8(length)] + padded.utf8.suffix(length) + [0x00]
        return "wamid." + base64(bytes)
    }

    private static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var out: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let word = group.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - group.count))
            for index in 0..<4 {
                out.append(
                    index <= group.count ? alphabet[Int(word >> UInt32(18 - 6 * index) & 63)] : UInt8(ascii: "="))
            }
        }
        return String(decoding: out, as: UTF8.self)
    }

    private func chunks<Element>(of elements: [Element], size: Int) -> [[Element]] {
        stride(from: 0, to: elements.count, by: max(size, 1)).map {
            Array(elements[$0..<min($0 + max(size, 1), elements.count)])
        }
    }
}

// Contacts, messages and statuses.
extension MetaPayloads {
    /// `nil` for notices of a changed number: those come without a contact.
    private static func contact(of message: TenantMessage) -> MetaJSON? {
        if case .numberChanged = message.content { return nil }
        let profile = MetaJSON.object([
            "name": message.name.map(MetaJSON.string), "username": message.username.map(MetaJSON.string),
        ])
        return .object([
            "profile": profile, "wa_id": message.from.map(MetaJSON.string),
            "user_id": message.accountID.map(MetaJSON.string),
        ])
    }

    private func message(_ message: TenantMessage) -> MetaJSON {
        let context = message.quotedMessageID.map {
            MetaJSON.object(["from": .string(phone.displayNumber), "id": .string($0)])
        }
        var members: [(key: String, value: MetaJSON)] = []
        if let context { members.append(("context", context)) }
        if let from = message.from { members.append(("from", .string(from))) }
        if let id = message.accountID { members.append(("from_user_id", .string(id))) }
        members.append(("id", .string(message.id)))
        members.append(("timestamp", .string(String(message.sentAt.seconds))))
        members.append(("type", .string(message.content.type)))
        members.append(message.content.member(from: message.from))
        return .members(members)
    }

    private static func status(_ report: StatusReport) -> MetaJSON {
        let conversation = MetaJSON.object([
            "id": .string(hexadecimal(Insecure.MD5.hash(data: Array(report.messageID.utf8)))),
            "expiration_timestamp": .string(String(report.at.seconds + 86_400)),
            "origin": .object(["type": "service"]),
        ])
        let pricing = MetaJSON.object([
            "billable": false, "pricing_model": "PMP", "category": "service", "type": "free_customer_service",
        ])
        return .object([
            "id": .string(report.messageID),
            "status": .string(report.status),
            "timestamp": .string(String(report.at.seconds)),
            "recipient_id": report.recipient.map(MetaJSON.string),
            "recipient_user_id": report.recipientAccountID.map(MetaJSON.string),
            "biz_opaque_callback_data": report.callbackData.map(MetaJSON.string),
            "conversation": report.hasConversation && report.status == "sent" ? conversation : nil,
            "pricing": report.status == "sent" || report.status == "delivered" ? pricing : nil,
            "errors": report.error.map { [$0.statusError] },
        ])
    }
}

extension TenantMessage.Content {
    /// The member of a message that carries its content, under the name Meta gives it.
    fileprivate func member(from: String?) -> (key: String, value: MetaJSON) {
        switch self {
        case .text(let body): ("text", .object(["body": .string(body)]))
        case .image(let caption): ("image", Self.media("image/jpeg", ["caption": caption.map(MetaJSON.string)]))
        case .video(let caption): ("video", Self.media("video/mp4", ["caption": caption.map(MetaJSON.string)]))
        case .audio(let isVoice): ("audio", Self.media("audio/ogg; codecs=opus", ["voice": .boolean(isVoice)]))
        case .document(let filename, let caption):
            (
                "document",
                Self.media(
                    "application/pdf", ["filename": .string(filename), "caption": caption.map(MetaJSON.string)])
            )
        case .sticker: ("sticker", Self.media("image/webp", ["animated": false]))
        case .location(let latitude, let longitude, let name, let address):
            (
                "location",
                .object([
                    "latitude": .number(latitude), "longitude": .number(longitude), "name": name.map(MetaJSON.string),
                    "address": address.map(MetaJSON.string),
                ])
            )
        case .contact(let name, let phone):
            (
                "contacts",
                [
                    .object([
                        "name": .object(["formatted_name": .string(name), "first_name": .string(name)]),
                        "phones": [.object(["phone": .string(phone), "type": "CELL"])],
                    ])
                ]
            )
        case .reaction(let messageID, let emoji):
            ("reaction", .object(["message_id": .string(messageID), "emoji": emoji.map(MetaJSON.string)]))
        case .buttonReply(let id, let title):
            (
                "interactive",
                .object([
                    "type": "button_reply", "button_reply": .object(["id": .string(id), "title": .string(title)]),
                ])
            )
        case .listReply(let id, let title, let description):
            (
                "interactive",
                .object([
                    "type": "list_reply",
                    "list_reply": .object([
                        "id": .string(id), "title": .string(title), "description": description.map(MetaJSON.string),
                    ]),
                ])
            )
        case .button(let payload, let text):
            ("button", .object(["payload": .string(payload), "text": .string(text)]))
        case .order(let text): ("order", Self.order(text))
        case .numberChanged(let number):
            (
                "system",
                .object([
                    "body": .string("User changed from \(from ?? "") to \(number)"), "wa_id": .string(number),
                    "type": "user_changed_number",
                ])
            )
        case .edit(let originalID, let body):
            (
                "edit",
                .object([
                    "original_message_id": .string(originalID),
                    "message": .object(["type": "text", "text": .object(["body": .string(body)])]),
                ])
            )
        case .revoke(let originalID): ("revoke", .object(["original_message_id": .string(originalID)]))
        case .unsupported: ("errors", [GraphError(code: 131051, details: "Message type is not supported.").statusError])
        }
    }

    private static func media(_ mimeType: String, _ more: KeyValuePairs<String, MetaJSON?>) -> MetaJSON {
        let members: [(key: String, value: MetaJSON)] = more.compactMap { member in
            member.value.map { (member.key, $0) }
        }
        return .members(
            members + [
                ("mime_type", .string(mimeType)), ("sha256", "SfInY0gGKTsJlUWbwxC1k+FAD0FZHvzwfpvO0zX0GUI="),
                ("id", "1003383421387256"),
                ("url", "https://lookaside.fbsbx.com/whatsapp_business/attachments/?mid=1003383421387256"),
            ])
    }

    private static func order(_ text: String?) -> MetaJSON {
        .object([
            "catalog_id": "194836987003835", "text": text.map(MetaJSON.string),
            "product_items": [
                .object([
                    "product_retailer_id": "di9ozbzfi4", "quantity": 2, "item_price": .number(30.5), "currency": "GBP",
                ])
            ],
        ])
    }
}
