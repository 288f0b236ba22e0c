import Messaging
import Testing

@testable import Webhooks

/// The webhooks Meta's documentation publishes, each with what must become of it.
@Suite struct MetaSampleTests {
    private static let endpoint = EndpointReference(kind: .cloud, providerID: "106540352242922")

    /// By the number a sample's name begins with; all others are one change of the field they are named after, which is
    /// news about an account or ignored.
    private static let expected: [String: (event: String, updates: [String])] = [
        "001": ("statuses", ["delivered"]), "002": ("statuses", ["delivered"]), "003": ("messages", ["text"]),
        "009": ("messages", ["edit"]), "010": ("messages", ["revoke"]),
        "011": (
            "history",
            [
                "history outgoing text READ", "history outgoing media_placeholder PLAYED", "history incoming text READ",
                "history outgoing text DELIVERED",
            ]
        ),
        "012": ("history", ["history incoming image"]), "013": ("smb_message_echoes", ["echo text"]),
        "021": ("messages", ["interactive"]), "022": ("messages", ["interactive"]), "023": ("messages", ["location"]),
        "024": ("statuses", ["failed"]), "025": ("errors", ["ignored errors"]), "028": ("messages", ["text"]),
        "029": ("messages", ["button"]), "030": ("messages", ["order"]), "031": ("messages", ["text"]),
        "040": ("none", ["ignored field:none"]), "041": ("none", ["ignored field:none"]),
        "049": ("statuses", ["delivered"]), "050": ("messages", ["audio"]), "051": ("messages", ["button"]),
        "052": ("messages", ["contacts"]), "053": ("messages", ["document"]), "054": ("errors", ["ignored errors"]),
        "055": ("messages", ["ignored group"]), "056": ("messages", ["image"]), "057": ("messages", ["location"]),
        "058": ("messages", ["order"]), "059": ("statuses", ["sent"]), "060": ("statuses", ["sent"]),
        "061": ("statuses", ["failed"]), "062": ("messages", ["sticker"]), "063": ("messages", ["system"]),
        "064": ("messages", ["text"]), "065": ("messages", ["text"]), "066": ("messages", ["unsupported"]),
        "067": ("messages", ["video"]), "074": ("smb_message_echoes", ["echo text"]),
        "077": ("user_preferences", ["preference resume"]),
    ]

    /// Fields that are stored and nothing else.
    private static let ignoredFields = ["automatic_events", "smb_app_state_sync"]

    @Test(arguments: Fixtures.metaSamples)
    func `every sample becomes what it is`(path: String) throws {
        let name = path.dropFirst("meta-samples/".count).dropLast(".json".count)
        let field = String(name.dropFirst(4))
        let only = Self.ignoredFields.contains(field) ? "ignored field:" + field : "account " + field
        let expected = Self.expected[String(name.prefix(3))] ?? (field, [only])
        let webhook = MetaWebhookDecoder().decode(try Fixtures.bytes(path), receivedAt: Timestamp(seconds: 0))
        #expect(webhook.event == expected.event)
        #expect(webhook.updates.map(\.summary) == expected.updates)
        #expect(webhook.updates.count == UpdateCount.of(try Fixtures.bytes(path)))
    }

    private func only(_ name: String) throws -> InboundEvent? {
        let webhook = MetaWebhookDecoder().decode(
            try Fixtures.bytes("meta-samples/\(name).json"), receivedAt: Timestamp(seconds: 0))
        return webhook.updates.count == 1 ? webhook.updates.first : nil
    }

    @Test func `a text without a phone number is read in full`() throws {
        let expected = InboundMessage(
            endpoint: Self.endpoint, id: "wamid.HBgLMTY1MDM4Nzk0MzkVAgASGBQzQTRBNjU5OUFFRTAzODEwMTQ0RgA=",
            sender: Sender(accountID: "user.93737...", displayName: "Sheena Nelson", username: "realsheenanelson"),
            sentAt: Timestamp(seconds: 1_749_416_383), type: "text", body: "Does it come in another color?")
        #expect(try only("003-messages-text") == .message(expected))
    }

    @Test(
        arguments: [
            ("021-messages-interactive", "Priority Mail Express", "priority_express"),
            ("022-messages-interactive", "Change", "change-button"),
            (
                "023-messages-location",
                "Solomon R. Guggenheim Museum\n1071 5th Ave, New York, NY 10128\n40.782910059774, -73.959075808525", nil
            ),
            ("029-messages-button", "I didn't request a code", "DID_NOT_REQUEST_CODE"),
            ("050-messages-audio", nil, nil), ("052-messages-contacts", "Barbara J. Johnson, +1 (415) 555-0829", nil),
            ("053-messages-document", "my receipt", nil), ("056-messages-image", "Taj Mahal", nil),
            ("058-messages-order", "Love these!\n2 × di9ozbzfi4, 30 USD\n1 × nqryix03ez, 25 USD", nil),
            ("062-messages-sticker", nil, nil),
            ("063-messages-system", "User Sheena Nelson changed from 16505551234 to 12195555358", nil),
            ("066-messages-unsupported", nil, nil), ("067-messages-video", "Timelapse of growth", nil),
            ("009-messages-edit", "Updated image caption", nil), ("010-messages-revoke", nil, nil),
        ] as [(String, String?, String?)])
    func `what a person reads is found in every type`(name: String, body: String?, payload: String?) throws {
        let message = try #require(try only(name)?.message)
        #expect(message.body == body)
        #expect(message.replyPayload == payload)
        #expect(message.raw?.first == UInt8(ascii: "{") && message.raw?.last == UInt8(ascii: "}"))
    }

    @Test(
        arguments: [
            ("028-messages-text", false), ("031-messages-text", false), ("064-messages-text", true),
            ("065-messages-text", true),
        ])
    func `a text keeps its bytes only if they say more than was read`(name: String, keeps: Bool) throws {
        let message = try #require(try only(name)?.message)
        #expect((message.raw != nil) == keeps)
    }

    @Test func `edits and revocations point at their message`() throws {
        let original = "wamid.HBgLMTQxMjU1NTA4MjkVAgASGBQzQUNCNjk5RDUwNUZGMUZEM0VBRAA="
        for name in ["009-messages-edit", "010-messages-revoke"] {
            let message = try #require(try only(name)?.message)
            #expect(message.quotedMessageID == original)
        }
    }

    @Test func `a failure says why`() throws {
        let status = try #require(try only("024-messages-status-failed")?.status)
        #expect(status.errorCode == 131036)
        #expect(status.errorDetail == "Message payload not found")
        #expect(status.at == Timestamp(seconds: 1_712_597_457))
    }

    @Test(arguments: Fixtures.wahaSamples)
    func `an event of a session server is not Meta's`(path: String) throws {
        let webhook = MetaWebhookDecoder().decode(try Fixtures.bytes(path), receivedAt: Timestamp(seconds: 0))
        #expect(webhook.updates.map(\.summary) == ["undecodable unknown_shape"])
    }
}

extension InboundEvent {
    var message: InboundMessage? { if case .message(let message) = self { message } else { nil } }
    var status: StatusUpdate? { if case .status(let status) = self { status } else { nil } }
    var echo: OwnMessage? { if case .echo(let own) = self { own } else { nil } }
    var account: AccountUpdate? { if case .account(let update) = self { update } else { nil } }
    var receipt: ConversationReceipt? { if case .receipt(let receipt) = self { receipt } else { nil } }

    /// A word or two, for tables.
    var summary: String {
        switch self {
        case .message(let message): message.type
        case .status(let status): status.status.rawValue
        case .echo(let own): "echo " + own.type
        case .history(let history): "history " + history.summary
        case .account(let account): "account " + account.field
        case .preference(let preference): "preference " + preference.wishes.map(\.value).joined(separator: " ")
        case .receipt(let receipt): "receipt " + receipt.status.rawValue
        case .session(let session): "session " + session.state.rawValue
        case .ignored(let what): "ignored " + what
        case .undecodable(let reason, _, _): "undecodable " + reason.rawValue
        }
    }
}

extension HistoryMessage {
    fileprivate var summary: String {
        let side =
            switch message {
            case .incoming(let message): "incoming " + message.type
            case .outgoing(let own): "outgoing " + own.type
            }
        return state.map { side + " " + $0 } ?? side
    }
}
