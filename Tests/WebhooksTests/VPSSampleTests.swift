import Messaging
import Testing

@testable import Webhooks

/// The events the documentation of WAHA publishes, each with what must become of it.
@Suite struct VPSSampleTests {
    /// By the number a sample's name begins with; all others are ignored under the name of their event.
    private static let expected: [String: String] = [
        // The id says that it is our own; nothing else does.
        "001": "echo image", "030": "echo text", "011": "echo text", "031": "echo text",
        "008": "ignored vps:newsletter", "043": "ignored vps:newsletter", "039": "ignored vps:status",
        "044": "ignored vps:group", "014": "ignored vps:group",
        "009": "undecodable missing_field", "032": "undecodable missing_field", "033": "undecodable missing_field",
        "034": "undecodable missing_field", "040": "undecodable missing_field", "041": "undecodable missing_field",
        "042": "undecodable missing_field",
        "010": "session connected", "037": "session connected", "035": "session connecting",
        "036": "session connecting", "012": "reaction", "013": "read", "004": "ignored vps:message_created",
    ]

    @Test(arguments: Fixtures.wahaSamples)
    func `every sample is one update and becomes what it is`(path: String) throws {
        let name = path.dropFirst("waha-samples/".count).dropLast(".json".count)
        let webhook = VPSWebhookDecoder().decode(try Fixtures.bytes(path), receivedAt: receivedAt)
        #expect(
            webhook.updates.map(\.summary) == [
                Self.expected[String(name.prefix(3))] ?? "ignored vps:" + String(name.dropFirst(4))
            ])
        if webhook.updates.first?.summary.hasPrefix("undecodable") == true {
            #expect(webhook.event == "undecodable")
        } else if name.prefix(3) != "004" {
            #expect(webhook.event == name.dropFirst(4))
        }
    }

    @Test(arguments: Fixtures.metaSamples)
    func `a webhook of Meta's is no event of a session server`(path: String) throws {
        let webhook = VPSWebhookDecoder().decode(try Fixtures.bytes(path), receivedAt: receivedAt)
        #expect(webhook.updates.map(\.summary) == ["undecodable missing_field"])
    }

    @Test(arguments: Fixtures.jsonTestSuite)
    func `whatever the bytes, there is one update`(path: String) throws {
        #expect(
            VPSWebhookDecoder().decode(try Fixtures.bytes(path), receivedAt: receivedAt).updates.count == 1)
    }

    @Test func `a reaction points at its message`() throws {
        let update = VPSWebhookDecoder().decode(
            try Fixtures.bytes("waha-samples/012-message.reaction.json"), receivedAt: receivedAt
        ).updates[0]
        var message = try #require(update.message)
        #expect(message.raw?.isEmpty == false)
        message.raw = nil
        #expect(
            message
                == InboundMessage(
                    endpoint: EndpointReference(kind: .vpsSession, providerID: "default"),
                    id: "false_79111111@c.us_11111111111111111111111111111111",
                    sender: Sender(phone: PhoneNumber(digits: 79_111_111)), sentAt: Timestamp(seconds: 1_710_481_111),
                    type: "reaction", body: "🙏",
                    quotedMessageID: "true_79111111@c.us_11111111111111111111111111111111"))
    }

    @Test func `the state of a session has its moment from the list of states`() throws {
        let update = VPSWebhookDecoder().decode(
            try Fixtures.bytes("waha-samples/010-session.status.json"), receivedAt: receivedAt
        ).updates[0]
        #expect(
            update
                == .session(
                    SessionUpdate(
                        endpoint: EndpointReference(kind: .vpsSession, providerID: "default"), state: .connected,
                        at: Timestamp(seconds: 1_700_000_003))))
    }
}
