import Messaging
import Testing

@testable import Webhooks

/// Events of servers that pass on what Baileys emits.
@Suite struct BaileysEventTests {
    private static let endpoint = EndpointReference(kind: .vpsSession, providerID: "default")
    private static let tom = PhoneNumber(digits: 447_911_123_456)!

    private func decode(_ event: String, data: String) -> [InboundEvent] {
        let body =
            #"{"event":"\#(event)","instance":"default","data":\#(data),"destination":"https://x","#
            + #""sender":"15550783881:4@s.whatsapp.net","apikey":"k"}"#
        return VPSWebhookDecoder().decode(Array(body.utf8), receivedAt: receivedAt).updates
    }

    private func only(_ event: String, data: String) -> InboundEvent? {
        let updates = decode(event, data: data)
        return updates.count == 1 ? updates[0] : nil
    }

    /// What becomes of a message of Tom's with that content.
    private func message(_ content: String, key: String = "") throws -> InboundMessage {
        try #require(only("messages.upsert", data: Self.element(content, key: key))?.message)
    }

    private static func element(_ content: String, key: String = "") -> String {
        let members = #""remoteJid":"447911123456@s.whatsapp.net","fromMe":false,"id":"A"\#(key)"#
        return #"{"key":{\#(members)},"pushName":"Tom","messageTimestamp":1750000000,"message":{\#(content)}}"#
    }

    @Test(arguments: ["messages.upsert", "MESSAGES_UPSERT"])
    func `a text of a person is read in full`(event: String) {
        let expected = InboundMessage(
            endpoint: Self.endpoint, id: "false_447911123456@c.us_A",
            sender: Sender(phone: Self.tom, displayName: "Tom"), sentAt: Timestamp(seconds: 1_750_000_000),
            type: "text", body: "The boiler is out")
        #expect(
            only(event, data: Self.element(#""messageContextInfo":{},"conversation":"The boiler is out""#))
                == .message(expected))
    }

    /// A message's content → its type, what is read.
    @Test(
        arguments: [
            (#""extendedTextMessage":{"text":"x"}"#, "text", "x"),
            (#""imageMessage":{"caption":"c","mimetype":"image/jpeg"}"#, "image", "c"),
            (#""audioMessage":{"ptt":true}"#, "audio", nil), (#""stickerMessage":{}"#, "sticker", nil),
            (#""documentMessage":{"fileName":"a.pdf"}"#, "document", "a.pdf"),
            (
                #""documentWithCaptionMessage":{"message":{"documentMessage":{"fileName":"a.pdf","caption":"c"}}}"#,
                "document", "c"
            ),
            (#""ephemeralMessage":{"message":{"viewOnceMessageV2":{"message":{"videoMessage":{}}}}}"#, "video", nil),
            (#""ephemeralMessage":{"message":{"conversation":"x"}}"#, "text", "x"),
            (
                #""locationMessage":{"degreesLatitude":51.5,"degreesLongitude":-0.1,"name":"The flat"}"#, "location",
                "The flat\n51.5, -0.1"
            ),
            (
                #""contactMessage":{"displayName":"Sam","vcard":"FN:Sam Plumber\nitem1.TEL;waid=1:+44 7911 000111"}"#,
                "contacts", "Sam Plumber, +44 7911 000111"
            ),
            (#""contactsArrayMessage":{"contacts":[{"vcard":"FN:A"},{"vcard":"FN:B"}]}"#, "contacts", "A\nB"),
            (#""contactMessage":{"displayName":"Sam","vcard":7}"#, "contacts", "Sam"),
            (#""pollCreationMessage":{}"#, "unsupported", nil), ("", "unsupported", nil),
            (#""conversation":7,"imageMessage":8"#, "unsupported", nil),
        ] as [(String, String, String?)])
    func `a message is what its content is`(content: String, type: String, body: String?) throws {
        let message = try message(content)
        #expect(message.type == type)
        #expect(message.body == body)
        #expect((message.raw != nil) == (type != "text"))
        #expect(message.id == "false_447911123456@c.us_A")
    }

    /// A message's content → its type, what is read, whom it is about, its id's end.
    @Test(
        arguments: [
            (
                #""extendedTextMessage":{"text":"x","contextInfo":{"stanzaId":"Q","participant":"15550783881@c.us"}}"#,
                "text", "x", "true_447911123456@c.us_Q", "_A"
            ),
            (
                #""imageMessage":{"contextInfo":{"stanzaId":"Q","participant":"447911123456:3@s.whatsapp.net"}}"#,
                "image", nil, "false_447911123456@c.us_Q", "_A"
            ),
            (#""extendedTextMessage":{"text":"x","contextInfo":{"stanzaId":"Q"}}"#, "text", "x", "Q", "_A"),
            (
                #""reactionMessage":{"key":{"id":"Q","fromMe":true},"text":"🙏"}"#, "reaction", "🙏",
                "true_447911123456@c.us_Q", "_A"
            ),
            (
                #""reactionMessage":{"key":{"id":"Q","fromMe":false},"text":""}"#, "reaction", nil,
                "false_447911123456@c.us_Q", "_A"
            ),
            (
                #""protocolMessage":{"key":{"id":"Q","fromMe":true},"type":"REVOKE"}"#, "revoke", nil,
                "false_447911123456@c.us_Q", "_Q#revoked"
            ),
            (
                #""protocolMessage":{"key":{"id":"Q"},"type":0}"#, "revoke", nil, "false_447911123456@c.us_Q",
                "_Q#revoked"
            ),
            (
                #""protocolMessage":{"key":{"id":"Q"},"type":14,"editedMessage":{"conversation":"better"}}"#, "edit",
                "better", "false_447911123456@c.us_Q", "_A"
            ),
            (
                #""editedMessage":{"message":{"protocolMessage":{"key":{"id":"A"},"editedMessage":{"extendedTextMessage":{"text":"better"}}}}}"#,
                "edit", "better", "false_447911123456@c.us_A", "_A#edited:1750000000000000"
            ),
        ] as [(String, String, String?, String, String)])
    func `a message names the one it speaks of by its whole id`(
        content: String, type: String, body: String?, subject: String, idEnd: String
    ) throws {
        let message = try message(content)
        #expect(message.type == type && message.body == body)
        #expect(message.quotedMessageID == subject)
        #expect(message.id == "false_447911123456@c.us" + idEnd)
    }

    @Test(arguments: ["remoteJidAlt", "senderPn"])
    func `a person with a hidden id is known by both where both are shown`(name: String) throws {
        let key = #"{"remoteJid":"382@lid","id":"A","\#(name)":"447911123456:1@s.whatsapp.net"}"#
        let update = only("messages.upsert", data: #"{"key":\#(key),"message":{"conversation":"x"}}"#)
        #expect(update?.message?.sender == Sender(phone: Self.tom, accountID: "382"))
        #expect(update?.message?.id == "false_382@lid_A")
        #expect(update?.message?.sentAt == receivedAt)
    }

    @Test func `what we wrote on the phone is an echo to whom it went`() {
        let key = #"{"remoteJid":"447911123456@s.whatsapp.net","fromMe":true,"id":"A","senderLid":"77@lid"}"#
        let data = #"{"key":\#(key),"pushName":"We","messageTimestamp":"5","message":{"conversation":"x"}}"#
        let expected = OwnMessage(
            endpoint: Self.endpoint, id: "true_447911123456@c.us_A", recipient: Sender(phone: Self.tom),
            sentAt: Timestamp(seconds: 5), type: "text", body: "x")
        #expect(only("messages.upsert", data: data) == .echo(expected))
    }

    @Test func `each message of a list is an update, what was written while away is the past`() {
        let element = Self.element(#""conversation":"x""#)
        let list = "[\(element),7,\(element)]"
        let summaries = ["text", "undecodable bad_field", "text"]
        #expect(decode("messages.upsert", data: list).map(\.summary) == summaries)
        #expect(
            decode("messages.upsert", data: #"{"messages":\#(list),"type":"notify"}"#).map(\.summary) == summaries)
        #expect(
            decode("messages.upsert", data: #"{"messages":\#(list),"type":"append"}"#).map(\.summary)
                == ["history incoming text", "undecodable bad_field", "history incoming text"])
        #expect(decode("messages.upsert", data: "[]").map(\.summary) == ["ignored vps:messages.upsert"])
        let many = String(repeating: "7,", count: 32_767)
        #expect(decode("messages.upsert", data: "[\(many)7]").map(\.summary) == ["undecodable unknown_shape"])
    }

    @Test(
        arguments: [
            (
                #"{"key":{"remoteJid":"1203@g.us","id":"A","participant":"4479@c.us"},"message":{}}"#,
                "ignored vps:group"
            ),
            (#"{"key":{"remoteJid":"status@broadcast","id":"A"},"message":{}}"#, "ignored vps:status"),
            (#"{"key":{"remoteJid":"447911123456@c.us","id":"A"},"messageStubType":2}"#, "ignored vps:stub"),
            (
                #"{"key":{"remoteJid":"447911123456@c.us","id":"A"},"message":{"protocolMessage":{"type":3}}}"#,
                "ignored vps:protocol"
            ),
            (#"{"key":{"remoteJid":"447911123456@c.us"},"message":{}}"#, "undecodable missing_field"),
            (#"{"key":{"id":"A"},"message":{}}"#, "undecodable missing_field"),
            (#"{"key":{"remoteJid":"4479","id":"A"},"message":{}}"#, "undecodable bad_field"),
            ("null", "undecodable missing_field"), ("7", "undecodable bad_field"),
            (#"{"messages":{}}"#, "undecodable bad_field"), ("{}", "undecodable missing_field"),
        ])
    func `what is no message of a person's says why`(data: String, summary: String) {
        #expect(decode("messages.upsert", data: data).map(\.summary) == [summary])
    }

    /// A state as Evolution and as Baileys tell it → what it is.
    @Test(
        arguments: [
            (#""ERROR""#, "failed"), ("0", "failed"), (#""SERVER_ACK""#, "sent"), ("2", "sent"),
            (#""DELIVERY_ACK""#, "delivered"), ("3", "delivered"), (#""READ""#, "read"), ("4", "read"),
            (#""PLAYED""#, "played"), ("5", "played"), (#""PENDING""#, "ignored vps:ack_pending"),
            ("1", "ignored vps:ack_pending"), (#""LATER""#, "ignored vps:ack_pending"),
            ("null", "ignored vps:messages.update"),
        ])
    func `an ack of ours is a status`(word: String, summary: String) {
        let flat = #"{"keyId":"A","remoteJid":"447911123456@s.whatsapp.net","fromMe":true,"status":\#(word)}"#
        let key = #"{"id":"A","remoteJid":"447911123456:2@s.whatsapp.net","fromMe":true}"#
        for data in [flat, #"[{"key":\#(key),"update":{"status":\#(word)}}]"#] {
            let update = only("messages.update", data: data)
            #expect(update?.summary == summary)
            guard let status = update?.status else { continue }
            #expect(status.messageID == "true_447911123456@c.us_A" && status.endpoint == Self.endpoint)
        }
        let theirs = flat.replacing("true", with: "false")
        if word != "null" { #expect(only("messages.update", data: theirs)?.summary == "ignored vps:ack_of_theirs") }
    }

    @Test(
        arguments: [
            (#"{"instance":"a","state":"open","statusReason":200}"#, "session connected"),
            (#"{"state":"connecting","statusReason":200}"#, "session connecting"),
            (#"{"state":"close","statusReason":401}"#, "session logged_out"),
            (#"{"state":"close","statusReason":428}"#, "session disconnected"),
            (#"{"connection":"close","lastDisconnect":{"error":{"output":{"statusCode":401}}}}"#, "session logged_out"),
            (#"{"connection":"close"}"#, "session disconnected"), (#"{"qr":"2@x"}"#, "session qr"),
            (#"{"connection":"connecting","qr":"2@x"}"#, "session qr"),
            (#"{"isNewLogin":true}"#, "ignored vps:connection.update"),
            (#"{"state":"dreaming"}"#, "ignored vps:connection.update"), ("null", "undecodable missing_field"),
            ("[]", "undecodable bad_field"),
        ])
    func `the state of a connection is the session's`(data: String, summary: String) {
        let update = only("connection.update", data: data)
        #expect(update?.summary == summary)
        guard case .session(let session) = update else { return }
        #expect(session.endpoint == Self.endpoint)
        #expect(session.phone?.digits == (session.state == .connected ? 15_550_783_881 : nil))
    }

    @Test func `a session must be named`() {
        let body = #"{"event":"messages.upsert","data":\#(Self.element(#""conversation":"x""#))}"#
        let webhook = VPSWebhookDecoder().decode(Array(body.utf8), receivedAt: receivedAt)
        #expect(webhook.updates.map(\.summary) == ["undecodable missing_field"])
        #expect(webhook.event == "undecodable")
    }

    @Test func `many messages beside one enormous account cost one look at it`() {
        let element = Self.element(#""extendedTextMessage":{"contextInfo":{"stanzaId":"Q","participant":"382@lid"}}"#)
        let list = Array(repeating: element, count: 5000).joined(separator: ",")
        let long = #"\u0041"# + String(repeating: "A", count: 500_000)
        let members = (0..<50_000).map { _ in #""a":1"# }.joined(separator: ",")
        for account in [#""me":{\#(members)}"#, #""me":{"id":"\#(long)"},"timestamp":"\#(long)","sender":"\#(long)""#] {
            let body = #"{"event":"messages.upsert","instance":"default",\#(account),"data":[\#(list)]}"#
            let updates = VPSWebhookDecoder().decode(Array(body.utf8), receivedAt: receivedAt).updates
            #expect(updates.map { $0.message?.quotedMessageID } == Array(repeating: "Q", count: 5000))
        }
    }
}
