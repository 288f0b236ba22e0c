import Messaging
import Webhooks

/// An input of the fuzzer: one byte that names the decoder, then a body. Tests run the corpus, `script/fuzz` makes new
/// ones; both ask the same of what is decoded.
enum FuzzInput {
    static let receivedAt = Timestamp(seconds: 1_800_000_000)

    /// The first bytes there are; any other stands for the first of them.
    static let sources: [(byte: UInt8, source: WebhookSource)] = [
        (UInt8(ascii: "m"), .meta), (UInt8(ascii: "v"), .vps),
    ]

    static func decode(_ input: UnsafeRawBufferPointer) -> DecodedWebhook {
        let source = sources.first { $0.byte == input.first }?.source ?? .meta
        let body = UnsafeRawBufferPointer(rebasing: input.dropFirst())
        switch source {
        case .meta: return MetaWebhookDecoder().decode(body, receivedAt: receivedAt)
        case .vps: return VPSWebhookDecoder().decode(body, receivedAt: receivedAt)
        }
    }

    /// What must hold of every webhook, whatever its bytes: broken rules, each in words.
    static func violations(of decoded: DecodedWebhook) -> [String] {
        var broken: [String] = []
        if !(1...64).contains(decoded.event.utf8.count) {
            broken.append("an event's label of \(decoded.event.utf8.count)")
        }
        if !(1...MetaWebhookDecoder.updatesMax).contains(decoded.updates.count) {
            broken.append("\(decoded.updates.count) updates")
        }
        for update in decoded.updates {
            switch update {
            case .message(let message): broken += violations(of: message)
            case .echo(let own): broken += violations(of: own)
            case .history(let past):
                switch past.message {
                case .incoming(let message): broken += violations(of: message)
                case .outgoing(let own): broken += violations(of: own)
                }
            case .status(let status):
                broken += rules([("a status of nothing", status.messageID.isEmpty)])
                broken += texts([status.messageID, status.errorDetail, status.pricing, status.groupID])
                if let recipient = status.recipient { broken += violations(of: recipient) }
            case .account(let account):
                broken += rules([("news about nobody", account.accountID.isEmpty)])
                broken += texts([account.accountID, account.event, account.subject, account.detail])
            case .preference(let preference):
                broken += rules([("no wish", preference.wishes.isEmpty)])
                for wish in preference.wishes {
                    broken += violations(of: wish.sender) + texts([wish.value, wish.category])
                }
            case .receipt(let receipt):
                broken += rules([("a receipt of nothing", receipt.upTo == nil && receipt.messageIDs.isEmpty)])
                broken += violations(of: receipt.sender) + texts(receipt.messageIDs)
            case .session: break
            case .ignored(let what):
                broken += rules([("a label of \(what.utf8.count)", !(1...64).contains(what.utf8.count))])
            case .undecodable(_, let detail, _): broken += rules([("no detail", detail.isEmpty)])
            }
        }
        return broken
    }

    private static func violations(of message: InboundMessage) -> [String] {
        rules([
            ("a message without an id", message.id.isEmpty),
            ("a type of \(message.type.utf8.count)", !(1...32).contains(message.type.utf8.count)),
        ]) + texts([message.id, message.type, message.body, message.replyPayload, message.quotedMessageID])
            + violations(of: message.sender) + violations(of: message.media)
    }

    private static func violations(of own: OwnMessage) -> [String] {
        rules([
            ("a message of ours without an id", own.id.isEmpty),
            ("a type of \(own.type.utf8.count)", !(1...32).contains(own.type.utf8.count)),
        ]) + texts([own.id, own.type, own.body, own.quotedMessageID]) + violations(of: own.recipient)
            + violations(of: own.media)
    }

    private static func violations(of person: Sender) -> [String] {
        rules([
            ("a person known by nothing", person.isKnownByNothing),
            ("a name of \(person.displayName?.utf8.count ?? 0)", (person.displayName?.utf8.count ?? 0) > 512),
        ]) + texts([person.accountID, person.parentAccountID, person.displayName, person.username])
    }

    private static func violations(of media: MediaReference?) -> [String] {
        guard let media else { return [] }
        return rules([("a file without an id", media.id.isEmpty)])
            + texts([media.id, media.mimeType, media.sha256, media.fileName])
    }

    /// No text is empty or holds U+0000, which the database refuses.
    private static func texts(_ texts: [String?]) -> [String] {
        texts.compactMap { $0 }.compactMap { text in
            if text.isEmpty { return "an empty text" }
            return text.utf8.contains(0) ? "U+0000 in a text" : nil
        }
    }

    private static func rules(_ rules: [(name: String, isBroken: Bool)]) -> [String] {
        rules.filter(\.isBroken).map(\.name)
    }
}
