import Foundation
import Messaging
import Sandbox
import Testing

@Suite struct MetaJSONTests {
    @Test(
        "text is escaped as Meta does",
        arguments: [
            ("plain ASCII ~", #""plain ASCII ~""#), ("é😀", #""\u00e9\ud83d\ude00""#), ("a/b", #""a\/b""#),
            ("\"\\", #""\"\\""#), ("\u{8}\u{9}\n\u{C}\r", #""\b\t\n\f\r""#), ("\u{0}\u{1F}", #""\u0000\u001f""#),
            ("\u{7F}\u{80}", "\"\u{7F}\\u0080\""), ("\u{2028}", #""\u2028""#), ("", #""""#),
        ])
    func escapes(text: String, expected: String) {
        #expect(String(decoding: MetaJSON.string(text).bytes, as: UTF8.self) == expected)
    }

    @Test("members keep their order, and those without a value are left out")
    func members() {
        let value = MetaJSON.object(["z": 1, "a": nil, "m": [true, "x", .number(1.5), .object([:])]])
        #expect(String(decoding: value.bytes, as: UTF8.self) == #"{"z":1,"m":[true,"x",1.5,{}]}"#)
    }

    @Test("any text comes back from a parser as it was")
    func roundTrip() throws {
        var generator = SystemRandomNumberGenerator()
        let seed = generator.next() as UInt64
        var random = SplitMix(state: seed)
        for _ in 0..<500 {
            let length = Int(random.next() % 20)
            let scalars = (0..<length).compactMap { _ in UnicodeScalar(UInt32(random.next() % 0x11_0000)) }
            let text = String(String.UnicodeScalarView(scalars))
            let parsed = try JSONSerialization.jsonObject(
                with: Data(MetaJSON.string(text).bytes), options: .fragmentsAllowed)
            #expect((parsed as? String)?.unicodeScalars.elementsEqual(text.unicodeScalars) == true, "seed \(seed)")
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}

@Suite struct MetaPayloadsTests {
    let payloads = MetaPayloads(phone: samplePhone)
    let sentAt = Timestamp(seconds: 1_749_416_383)

    /// Made with openssl: the first three stand in the platform's fact sheet as vectors.
    @Test(
        "the signature is that of the bytes as they are",
        arguments: [
            ("{}", "8dfe638e1d2499b097abf5dc7c9765bb196a570f772b4f252ed6e4d394fc5abe"),
            (#"{"t":"\u00e9\ud83d\ude00"}"#, "1f90355c537beab8fad9f04723969e7713071f0d4a74645988c3e2ec75632a30"),
            (#"{"t":"é😀"}"#, "2323ddab23018d9b31180b543fa08026dc666b494e2267489a19458b3c3bb87e"),
            (#"{"u":"https:\/\/x.example\/a"}"#, "148f8e96a79ba9d50b2071982ae840f43f43b69d5a57e09b4342cd297a5d3dde"),
        ])
    func signature(body: String, expected: String) {
        #expect(MetaPayloads.signature(of: Array(body.utf8), secret: appSecret) == "sha256=" + expected)
    }

    @Test("a text is, byte for byte, what Meta posts")
    func text() {
        let message = TenantMessage(
            from: "447911123456", id: "wamid.A", sentAt: sentAt, content: .text("café / 😀"), name: "Sam",
            quotedMessageID: "wamid.Q")
        let expected =
            #"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":[{"value":"#
            + #"{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","#
            + #""phone_number_id":"106540352242922"},"contacts":[{"profile":{"name":"Sam"},"wa_id":"447911123456"}],"#
            + #""messages":[{"context":{"from":"15550783881","id":"wamid.Q"},"from":"447911123456","id":"wamid.A","#
            + #""timestamp":"1749416383","type":"text","text":{"body":"caf\u00e9 \/ \ud83d\ude00"}}]},"#
            + #""field":"messages"}]}]}"#
        #expect(String(decoding: payloads.webhook(message), as: UTF8.self) == expected)
    }

    @Test("a person without a number has an account id in its place")
    func withoutNumber() throws {
        let message = TenantMessage(
            from: nil, id: "wamid.A", sentAt: sentAt, content: .text("x"), accountID: "GB.12345", username: "sam")
        let json = try JSONSerialization.jsonObject(with: Data(payloads.webhook(message)))
        let value = dig(json, "entry", 0, "changes", 0, "value")
        #expect(dig(value, "contacts", 0, "wa_id") == nil)
        #expect(dig(value, "contacts", 0, "user_id") as? String == "GB.12345")
        #expect(dig(value, "messages", 0, "from") == nil)
        #expect(dig(value, "messages", 0, "from_user_id") as? String == "GB.12345")
    }

    @Test("every type carries its object under its own name", arguments: TenantMessage.Content.types)
    func types(word: String) throws {
        let content = try #require(TenantMessage.Content(type: word, text: "text", about: "wamid.B"))
        let message = TenantMessage(from: "447911123456", id: "wamid.A", sentAt: sentAt, content: content)
        let json = try JSONSerialization.jsonObject(with: Data(payloads.webhook(message)))
        let value = dig(json, "entry", 0, "changes", 0, "value", "messages", 0) as? [String: Any]
        let type = try #require(value?["type"] as? String)
        #expect(type == content.type)
        #expect(value?[type == "unsupported" ? "errors" : type] != nil)
    }

    @Test(
        "a status echoes our reference and prices what was sent and delivered",
        arguments: [
            ("sent", true), ("delivered", true), ("read", false), ("failed", false),
        ])
    func status(word: String, hasPricing: Bool) throws {
        let report = StatusReport(
            messageID: "wamid.A", status: word, at: sentAt, recipient: "447911123456", callbackData: "ref,1",
            error: word == "failed" ? GraphError(code: 131026) : nil)
        let json = try JSONSerialization.jsonObject(with: Data(payloads.webhook(report)))
        let status = dig(json, "entry", 0, "changes", 0, "value", "statuses", 0)
        #expect(dig(status, "status") as? String == word)
        #expect(dig(status, "timestamp") as? String == "1749416383")
        #expect(dig(status, "biz_opaque_callback_data") as? String == "ref,1")
        #expect((dig(status, "pricing", "pricing_model") as? String == "PMP") == hasPricing)
        #expect(dig(status, "conversation") == nil)
        #expect(dig(status, "errors", 0, "code") as? Int == (word == "failed" ? 131026 : nil))
    }

    @Test("a batch holds every update once, in order")
    func batch() throws {
        let messages = (0..<25).map {
            TenantMessage(from: "447911123456", id: "wamid.\($0)", sentAt: sentAt, content: .text("x"))
        }
        let statuses = (0..<3).map {
            StatusReport(messageID: "wamid.S\($0)", status: "read", at: sentAt, recipient: "447911123456")
        }
        let body = payloads.batch(messages: messages, statuses: statuses, updatesPerChange: 4, changesPerEntry: 3)
        let json = try JSONSerialization.jsonObject(with: Data(body))
        let entries = dig(json, "entry") as? [Any] ?? []
        let changes = entries.flatMap { dig($0, "changes") as? [Any] ?? [] }
        #expect(entries.count == 3)
        #expect(changes.count == 8)
        let ids = changes.flatMap { change in
            ["messages", "statuses"].flatMap { dig(change, "value", $0) as? [Any] ?? [] }
                .map { dig($0, "id") as? String }
        }
        #expect(ids == messages.map(\.id) + statuses.map(\.messageID))
    }

    @Test("ids are made like Meta's", arguments: [true, false])
    func messageID(isInbound: Bool) throws {
        var random = SplitMix(state: 1)
        let id = MetaPayloads.messageID(number: "16503879439", isInbound: isInbound, using: &random)
        #expect(id.hasPrefix("wamid.HBgLMTY1MDM4Nzk0MzkVAgA" + (isInbound ? "SGB" : "RGB")))
        let bytes = try #require(Data(base64Encoded: String(id.dropFirst(6))))
        #expect(bytes.count == (isInbound ? 41 : 39))
        #expect(bytes.last == 0)
        let ids = Set(
            (0..<1_000).map { _ in
                MetaPayloads.messageID(number: "16503879439", isInbound: isInbound, using: &random)
            })
        #expect(ids.count == 1_000)
    }
}
