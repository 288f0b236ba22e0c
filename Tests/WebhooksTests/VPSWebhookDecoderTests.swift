import Messaging
import Testing

@testable import Webhooks

@Suite struct VPSWebhookDecoderTests {
    private static let endpoint = EndpointReference(kind: .vpsSession, providerID: "default")
    private static let tom = PhoneNumber(digits: 447_911_123_456)!

    private func decode(_ json: String) -> InboundEvent {
        let webhook = VPSWebhookDecoder().decode(Array(json.utf8), receivedAt: receivedAt)
        #expect(webhook.updates.count == 1)
        return webhook.updates[0]
    }

    /// What becomes of an event of these members of its payload.
    private func decode(_ event: String = "message", payload: String, more: String = "") -> InboundEvent {
        decode(#"{"id":"evt_1","event":"\#(event)","session":"default"\#(more),"payload":{\#(payload)}}"#)
    }

    private static let head = #""id":"false_447911123456@c.us_3EB0","from":"447911123456@c.us","fromMe":false"#

    private func message(_ members: String) throws -> InboundMessage {
        try #require(decode(payload: Self.head + "," + members).message)
    }

    @Test(arguments: ["message", "message.any"])
    func `a text of a person is read in full`(event: String) {
        let update = decode(
            event,
            payload: Self.head + #","timestamp":1750000000,"to":"15550783881@c.us","body":"The boiler is out","#
                + #""hasMedia":false,"media":null,"ack":2,"vCards":null,"location":null,"replyTo":null,"#
                + #""_data":{"key":{"remoteJid":"447911123456@s.whatsapp.net","id":"3EB0"},"pushName":"Tom"}"#)
        #expect(
            update
                == .message(
                    InboundMessage(
                        endpoint: Self.endpoint, id: "false_447911123456@c.us_3EB0",
                        sender: Sender(phone: Self.tom, displayName: "Tom"), sentAt: Timestamp(seconds: 1_750_000_000),
                        type: "text", body: "The boiler is out")))
    }

    @Test(
        arguments: [
            // NOWEB, by its names of all times
            (#""_data":{"key":{"remoteJid":"382@lid","remoteJidAlt":"447911123456@s.whatsapp.net"}}"#),
            (#""_data":{"key":{"remoteJid":"382@lid","senderPn":"447911123456:3@s.whatsapp.net"}}"#),
            (#""_data":{"key":{"participantPn":"447911123456@s.whatsapp.net"}}"#),
            (#""_data":{"senderPn":"447911123456@s.whatsapp.net"}"#),
            // GOWS
            (#""_data":{"Info":{"Sender":"382:4@lid","SenderAlt":"447911123456:0@s.whatsapp.net"}}"#),
        ])
    func `a person with a hidden id is known by both where the engine shows both`(data: String) throws {
        let update = decode(payload: #""id":"false_382@lid_A","from":"382@lid","fromMe":false,"body":"x",\#(data)"#)
        #expect(update.message?.sender == Sender(phone: Self.tom, accountID: "382"))
    }

    @Test(
        arguments: [
            (#""_data":{"key":{"senderLid":"382@lid"}}"#), (#""_data":{"key":{"remoteJidAlt":"382@lid"}}"#),
            (#""_data":{"Info":{"SenderAlt":"382:1@lid"}}"#), (#""_data":{"senderLid":"382@lid"}"#),
        ])
    func `a person with a number is known by both where the engine shows both`(data: String) throws {
        #expect(try message(#""body":"x",\#(data)"#).sender == Sender(phone: Self.tom, accountID: "382"))
    }

    @Test func `a hidden id alone is never taken for a number`() {
        let update = decode(payload: #""id":"false_447911123456@lid_A","from":"447911123456@lid","body":"x""#)
        #expect(update.message?.sender == Sender(accountID: "447911123456"))
    }

    @Test func `what a person calls themselves is cut between characters`() throws {
        let name = String(repeating: "é", count: 400)
        #expect(try message(#""body":"x","_data":{"notifyName":"\#(name)"}"#).sender.displayName?.utf8.count == 512)
        #expect(try message(#""body":"x","_data":{"Info":{"PushName":"T"}}"#).sender.displayName == "T")
        #expect(try message(#""body":"x","_data":{"pushName":null,"notifyName":"T"}"#).sender.displayName == "T")
    }

    @Test(
        arguments: [
            ("1750000000", 1_750_000_000_000_000), (#""1750000000""#, 1_750_000_000_000_000),
            ("1750000000.853", 1_750_000_000_000_000), ("1750000000123", 1_750_000_000_123_000),
            (#"{"low":1750000000,"high":0,"unsigned":true}"#, 1_750_000_000_000_000),
            (#"{"low":-1,"high":0}"#, 4_294_967_295_000_000),
            // Unreadable: the time of receipt
            ("null", 1_800_000_000_000_000), (#""soon""#, 1_800_000_000_000_000), ("{}", 1_800_000_000_000_000),
            ("999999999999999999", 1_800_000_000_000_000), ("1e9", 1_800_000_000_000_000),
        ] as [(String, Int64)])
    func `a moment is understood in all its forms`(value: String, microseconds: Int64) throws {
        #expect(try message(#""body":"x","timestamp":\#(value)"#).sentAt == Timestamp(microseconds: microseconds))
    }

    @Test func `without a moment of its own a message has that of its event`() {
        let update = decode(payload: Self.head + #","body":"x""#, more: #","timestamp":1750000000123"#)
        #expect(update.message?.sentAt == Timestamp(microseconds: 1_750_000_000_123_000))
    }

    private static let card =
        #"BEGIN:VCARD\nVERSION:3.0\nN:;Sam;;;\nFN:Sam Plumber\nitem1.TEL;waid=447911000111:+44 7911 000111\nEND:VCARD"#

    static let contents: [(members: String, type: String, body: String?)] = [
        (#""body":"x""#, "text", "x"), (#""body":"""#, "unsupported", nil), (#""body":null"#, "unsupported", nil),
        (#""hasMedia":true,"media":{"url":"u","mimetype":"image/jpeg"},"body":"c""#, "image", "c"),
        (#""hasMedia":true,"media":{"url":"u","mimetype":"video/mp4"}"#, "video", nil),
        (#""hasMedia":true,"media":{"url":"u","mimetype":"audio/ogg; codecs=opus"}"#, "audio", nil),
        (
            #""hasMedia":true,"media":{"url":"u","mimetype":"application/pdf","filename":"a.pdf"}"#, "document",
            "a.pdf"
        ),
        (
            #""hasMedia":true,"media":{"url":"u","mimetype":"image/webp"},"_data":{"message":{"stickerMessage":{}}}"#,
            "sticker", nil
        ),
        (#""hasMedia":true,"media":null,"_data":{"type":"ptt"}"#, "audio", nil),
        (
            #""hasMedia":true,"media":null,"_data":{"Message":{"imageMessage":{"caption":"c"}}},"body":"c""#, "image",
            "c"
        ),
        (
            #""hasMedia":true,"_data":{"message":{"messageContextInfo":{},"documentWithCaptionMessage":{"message":{"documentMessage":{}}}}}"#,
            "document", nil
        ), (#""hasMedia":true,"media":null"#, "unsupported", nil),
        (
            #""location":{"latitude":"51.5074","longitude":-0.1278,"name":"The flat","live":false},"body":"/9j/4AAQ""#,
            "location", "The flat\n51.5074, -0.1278"
        ), (#""vCards":["\#(card)"],"body":"x""#, "contacts", "Sam Plumber, +44 7911 000111"),
        (#""vCards":[7],"body":"x""#, "contacts", "x"),
        (#""body":"x","_data":{"type":"chat"}"#, "text", "x"),
        (#""body":"x","_data":{"message":{"conversation":"x"}}"#, "text", "x"),
    ]

    @Test(arguments: contents)
    func `the type of a message is found by what it holds`(members: String, type: String, body: String?) throws {
        let message = try message(members)
        #expect(message.type == type)
        #expect(message.body == body)
        #expect((message.raw != nil) == (type != "text"))
    }

    @Test func `a file is known by its address`() throws {
        let media = #"{"url":"https://vps/files/a","mimetype":"image/jpeg","filename":"a.jpg","error":null}"#
        #expect(
            try message(#""hasMedia":true,"media":\#(media)"#).media
                == MediaReference(id: "https://vps/files/a", mimeType: "image/jpeg", fileName: "a.jpg"))
        #expect(try message(#""hasMedia":true,"media":{"url":null,"error":"too large"}"#).media == nil)
    }

    static let quotes: [(replyTo: String, quoted: String?)] = [
        (#"{"id":"true_447911123456@c.us_Q","participant":null}"#, "true_447911123456@c.us_Q"),
        // The bare key: who wrote it says which it is.
        (#"{"id":"Q","participant":"15550783881@c.us"}"#, "true_447911123456@c.us_Q"),
        (#"{"id":"Q","participant":"447911123456:2@s.whatsapp.net"}"#, "false_447911123456@c.us_Q"),
        (#"{"id":"false_447911123456:7@s.whatsapp.net_Q"}"#, "false_447911123456@c.us_Q"),
        (#"{"id":"true_382:1@LID_Q_x"}"#, "true_382@lid_Q_x"),
        (#"{"id":"Q"}"#, "Q"), (#"{"id":"Q","participant":"382@lid"}"#, "Q"), (#"{}"#, nil), ("null", nil), ("7", nil),
    ]

    /// Two spellings of one number; the session's own addresses beside them, who is quoted → whose message it is.
    @Test(
        arguments: [
            ("5511987654321@c.us", "551187654321@s.whatsapp.net", "", "false"),
            ("5511987654321@c.us", "5215512345678@c.us", "", "true"),
            ("382@lid", "15550783881@c.us", #""id":"15550783881:3@c.us""#, "true"),
            ("382@lid", "447911123456@c.us", #""id":"15550783881:3@c.us""#, "false"),
            ("447911123456@c.us", "77:2@lid", #""id":"15550783881@c.us","lid":"77@lid""#, "true"),
            ("447911123456@c.us", "382@lid", #""id":"15550783881@c.us","lid":"77@lid""#, "false"),
        ])
    func `who is quoted is told by either side's address`(
        chat: String, participant: String, me: String, isOwn: String
    ) throws {
        let update = decode(
            payload: #""id":"A","from":"\#(chat)","replyTo":{"id":"Q","participant":"\#(participant)"}"#,
            more: #","me":{\#(me)}"#)
        #expect(update.message?.quotedMessageID == "\(isOwn)_\(chat)_Q")
    }

    /// Members of a payload beside its bare id → the whole id.
    @Test(
        arguments: [
            (#""from":"447911123456:2@s.whatsapp.net""#, "false_447911123456@c.us_A"),
            (#""from":"382@lid","_data":{"key":{"remoteJidAlt":"447911123456@c.us"}}"#, "false_382@lid_A"),
            (#""from":null,"_data":{"key":{"remoteJid":"447911123456@s.whatsapp.net"}}"#, "false_447911123456@c.us_A"),
            (#""from":"447911123456@c.us","fromMe":true"#, "true_447911123456@c.us_A"),
            (#""from":"15550783881@c.us","to":"447911123456@c.us","fromMe":true"#, "true_447911123456@c.us_A"),
        ])
    func `a key alone, which two chats may share, becomes a whole id`(members: String, id: String) {
        for event in ["message", "message.reaction"] {
            let update = decode(event, payload: #""id":"A","body":"x","# + members)
            #expect((update.message?.id ?? update.echo?.id) == id)
        }
        let ack = decode("message.ack", payload: #""id":"A","ack":3,"# + members)
        #expect(ack.status?.messageID == (id.hasPrefix("true_") ? id : nil))
        let edit = decode("message.edited", payload: #""id":"E","editedMessageId":"A","body":"x","# + members)
        #expect((edit.message?.quotedMessageID ?? edit.echo?.quotedMessageID) == id)
        let revocation = decode("message.revoked", payload: #""revokedMessageId":"A","after":{"id":"R",\#(members)}"#)
        #expect((revocation.message?.quotedMessageID ?? revocation.echo?.quotedMessageID) == id)
        #expect((revocation.message?.id ?? revocation.echo?.id) == id + "#revoked")
    }

    @Test func `the spellings of a chat are one in ids`() throws {
        for chat in ["447911123456@c.us", "447911123456:3@s.whatsapp.net", "447911123456_1:3@C.US"] {
            let update = decode(payload: #""id":"false_\#(chat)_A","from":"447911123456@c.us","body":"x""#)
            #expect(update.message?.id == "false_447911123456@c.us_A")
        }
    }

    @Test(arguments: quotes)
    func `a quote has the whole id of its message`(replyTo: String, quoted: String?) throws {
        #expect(try message(#""body":"x","replyTo":\#(replyTo)"#).quotedMessageID == quoted)
    }

    @Test(
        arguments: [
            (#""id":"true_447911123456@c.us_A","from":"447911123456@c.us","fromMe":true"#),
            // The account's own number stands in `from` with another engine.
            (#""id":"true_447911123456@c.us_A","from":"15550783881@c.us","to":"447911123456@c.us","fromMe":true"#),
            (#""id":"true_447911123456@c.us_A","from":"15550783881@c.us","to":"447911123456@c.us""#),
        ])
    func `what we sent from another device is an echo to whom it went`(head: String) {
        guard case .echo(let own) = decode("message.any", payload: head + #","body":"x","timestamp":5"#) else {
            return #expect(Bool(false), "no echo")
        }
        #expect(
            own
                == OwnMessage(
                    endpoint: Self.endpoint, id: "true_447911123456@c.us_A", recipient: Sender(phone: Self.tom),
                    sentAt: Timestamp(seconds: 5), type: "text", body: "x"))
    }

    @Test(
        arguments: [
            (
                #""id":"false_12036@g.us_A_447911123456@c.us","from":"12036@g.us","participant":"447911123456@c.us""#,
                "group"
            ),
            (#""id":"A","from":"12036@g.us""#, "group"),
            (#""id":"A","from":"447911123456@c.us","to":"1@g.us""#, "group"),
            (#""id":"false_status@broadcast_A_447911123456@c.us","from":"447911123456@c.us""#, "status"),
            (#""id":"false_1690@broadcast_A","from":"1690@broadcast""#, "broadcast"),
            (#""id":"false_1@newsletter_A","from":"1@newsletter""#, "newsletter"),
            (#""id":"false_0@c.us_A","from":"0@s.whatsapp.net""#, "whatsapp"),
            (#""id":"true_12036@g.us_A","from":"12036@g.us","fromMe":true"#, "group"),
        ])
    func `what is not between a person and us is ignored`(head: String, label: String) {
        for event in ["message", "message.any", "message.ack", "message.reaction", "message.edited"] {
            let update = decode(event, payload: head + #","body":"x","ack":3,"timestamp":5"#)
            #expect(update == .ignored(what: "vps:" + label), "\(event)")
        }
        let revoked = decode("message.revoked", payload: #""after":{\#(head)},"before":null"#)
        #expect(revoked == .ignored(what: "vps:" + label))
    }

    @Test func `an edit is a message about the one it changes`() throws {
        let update = decode(
            "message.edited",
            payload: #""id":"false_447911123456@c.us_E","from":"447911123456@c.us","fromMe":false,"timestamp":5,"#
                + #""body":"better","editedMessageId":"A""#)
        let message = try #require(update.message)
        #expect(message.type == "edit" && message.body == "better")
        #expect(message.id == "false_447911123456@c.us_E")
        #expect(message.quotedMessageID == "false_447911123456@c.us_A")
    }

    @Test(arguments: [#","editedMessageId":"A""#, ""])
    func `an edit under its message's id gets an id of its own, the same when it comes again`(edited: String) throws {
        let payload = #""id":"false_447911123456@c.us_A","from":"447911123456@c.us","body":"better"\#(edited)"#
        let message = try #require(decode("message.edited", payload: payload).message)
        #expect(message.id == "false_447911123456@c.us_A#edited:evt_1")
        #expect(message.quotedMessageID == "false_447911123456@c.us_A")
        #expect(decode("message.edited", payload: payload).message == message)
    }

    static let revocations = [
        // GOWS and NOWEB: a message that revokes, and the bare key of the other
        #""after":{"id":"false_447911123456@c.us_R","from":"447911123456@c.us","fromMe":false},"before":null,"revokedMessageId":"A""#,
        // WEBJS: the same message before and after
        #""after":{"id":"false_447911123456@c.us_A","from":"447911123456@c.us"},"before":{"id":"false_447911123456@c.us_A","body":"x"}"#,
        #""before":{"id":"false_447911123456@c.us_A","from":"447911123456@c.us"}"#,
    ]

    @Test(arguments: revocations)
    func `a revocation is one message about the one it takes back`(payload: String) throws {
        let message = try #require(decode("message.revoked", payload: payload).message)
        #expect(message.type == "revoke" && message.body == nil)
        #expect(message.id == "false_447911123456@c.us_A#revoked")
        #expect(message.quotedMessageID == "false_447911123456@c.us_A")
        #expect(message.sender.phone == Self.tom)
    }

    @Test(arguments: [("true", "true_447911123456@c.us_Q"), ("false", "false_447911123456@c.us_Q"), ("null", "Q")])
    func `a reaction to a bare key is to the whole id where the engine tells whose it is`(
        fromMe: String, subject: String
    ) {
        let data = #"{"message":{"reactionMessage":{"key":{"id":"Q","fromMe":\#(fromMe)}}}}"#
        let update = decode(
            "message.reaction", payload: Self.head + #","reaction":{"text":"x","messageId":"Q"},"_data":\#(data)"#)
        #expect(update.message?.quotedMessageID == subject)
    }

    @Test func `a reaction without an emoji takes it back`() throws {
        let update = decode(
            "message.reaction",
            payload: Self.head + #","reaction":{"text":"","messageId":"true_447911123456@c.us_A"}"#)
        #expect(update.message?.body == nil)
        #expect(update.message?.quotedMessageID == "true_447911123456@c.us_A")
    }

    static let acknowledgements: [(members: String, summary: String)] = [
        (#""ack":-1"#, "failed"), (#""ack":0"#, "ignored vps:ack_pending"), (#""ack":1"#, "sent"),
        (#""ack":2"#, "delivered"), (#""ack":3"#, "read"), (#""ack":4"#, "played"),
        (#""ack":5"#, "ignored vps:ack_pending"), (#""ack":"3""#, "read"), (#""ackName":"DEVICE""#, "delivered"),
        (#""ack":null,"ackName":"ERROR""#, "failed"), (#""ack":"READ""#, "read"),
        (#""ack":null,"ackName":null"#, "undecodable missing_field"), (#""ack":"""#, "undecodable missing_field"),
        (#""ackName":"LATER""#, "ignored vps:ack_pending"),
        (#""x":1"#, "undecodable missing_field"),
    ]

    @Test(arguments: acknowledgements)
    func `an ack of ours is a status`(members: String, summary: String) {
        let payload = #""id":"true_447911123456@c.us_A","from":"447911123456@c.us","fromMe":true,\#(members)"#
        let update = decode("message.ack", payload: payload, more: #","timestamp":1750000000123"#)
        #expect(update.summary == summary)
        guard let status = update.status else { return }
        #expect(status.messageID == "true_447911123456@c.us_A" && status.endpoint == Self.endpoint)
        #expect(status.at == Timestamp(microseconds: 1_750_000_000_123_000))
    }

    @Test func `an ack of theirs, read by ourselves, is no status`() {
        #expect(decode("message.ack", payload: Self.head + #","ack":3"#) == .ignored(what: "vps:ack_of_theirs"))
    }

    static let states: [(word: String, summary: String)] = [
        (#""WORKING""#, "session connected"), (#""SCAN_QR_CODE""#, "session qr"),
        (#""STARTING""#, "session connecting"),
        (#""PASSKEY_REQUIRED""#, "session connecting"), (#""PASSKEY_CONFIRMATION_REQUIRED""#, "session connecting"),
        (#""STOPPED""#, "session disconnected"), (#""FAILED""#, "session disconnected"),
        (#""LOGGED_OUT""#, "session logged_out"), (#""DREAMING""#, "ignored vps:session:dreaming"),
        (#""""#, "undecodable missing_field"), ("null", "undecodable missing_field"), ("7", "undecodable bad_field"),
    ]

    @Test(arguments: states)
    func `a session's state is told`(word: String, summary: String) {
        #expect(decode("session.status", payload: #""status":\#(word)"#).summary == summary)
    }

    @Test func `a session's number and moment are told with it`() {
        let update = decode(
            "session.status", payload: #""name":"default","status":"WORKING""#,
            more: #","timestamp":1750000000123,"me":{"id":"447911123456:3@c.us","pushName":"Z"}"#)
        #expect(
            update
                == .session(
                    SessionUpdate(
                        endpoint: Self.endpoint, state: .connected, phone: Self.tom,
                        at: Timestamp(microseconds: 1_750_000_000_123_000))))
    }

    @Test(
        arguments: [
            ("", "not_json"), ("{", "not_json"), ("[]", "unknown_shape"), (#"["a"]"#, "unknown_shape"),
            ("null", "unknown_shape"), ("{}", "missing_field"), (#"{"event":null}"#, "missing_field"),
            (#"{"event":7}"#, "bad_field"), (#"{"event":"message"}"#, "missing_field"),
            (#"{"event":"message","session":"default","payload":[]}"#, "bad_field"),
            (#"{"event":"message","payload":{\#(head),"body":"x"}}"#, "missing_field"),
            (#"{"event":"message","session":"","payload":{\#(head),"body":"x"}}"#, "missing_field"),
            (#"{"event":"message","session":"\ud800","payload":{\#(head),"body":"x"}}"#, "bad_field"),
            (#"{"event":"message","session":["a"],"payload":{\#(head),"body":"x"}}"#, "bad_field"),
            (
                #"{"event":"message","session":"\#(String(repeating: "s", count: 129))","payload":{\#(head)}}"#,
                "bad_field"
            ),
            (#"{"event":"message","session":"default","payload":{"id":7.5,"from":"447911123456@c.us"}}"#, "bad_field"),
            (#"{"event":"message","session":"default","payload":{"id":"A"}}"#, "missing_field"),
            (#"{"event":"message","session":"default","payload":{"id":"A","from":"447911@example.com"}}"#, "bad_field"),
            (#"{"event":"message.revoked","session":"default","payload":{}}"#, "missing_field"),
            (String(repeating: "[", count: 600), "too_deep"),
        ] as [(String, String)])
    func `what is not understood says why, once`(json: String, reason: String) {
        let webhook = VPSWebhookDecoder().decode(Array(json.utf8), receivedAt: receivedAt)
        #expect(webhook.event == "undecodable")
        #expect(webhook.updates.map(\.summary) == ["undecodable " + reason])
    }

    @Test(
        arguments: [
            (#"{"event":"call.received","session":"default","payload":{}}"#, "vps:call.received"),
            (#"{"event":"contacts.upsert","instance":"a","data":{}}"#, "vps:contacts.upsert"),
            (#"{"event":"CHATS_UPSERT","instance":"a","data":{},"apikey":"k"}"#, "vps:chats_upsert"),
            (#"{"event":"message.waiting"}"#, "vps:message.waiting"), (#"{"event":"Ünder Line"}"#, "vps:__nder_line"),
        ])
    func `any other event is ignored under its name`(json: String, label: String) {
        #expect(decode(json) == .ignored(what: label))
    }
}
