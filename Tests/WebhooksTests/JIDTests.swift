import Messaging
import Testing

@testable import Webhooks

@Suite struct JIDTests {
    @Test(
        arguments: [
            ("447911123456@c.us", JID.phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("447911123456@s.whatsapp.net", .phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("447911123456@S.WhatsApp.Net", .phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("5511987654321:12@s.whatsapp.net", .phone(PhoneNumber(digits: 5_511_987_654_321)!)),
            ("447911123456_0:12@s.whatsapp.net", .phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("447911123456_1@c.us", .phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("447911123456@hosted", .phone(PhoneNumber(digits: 447_911_123_456)!)),
            ("123456789012345@c.us", .phone(PhoneNumber(digits: 123_456_789_012_345)!)),
            ("38203818037365@lid", .lid("38203818037365")), ("38203818037365:7@lid", .lid("38203818037365")),
            ("38203818037365:7@hosted.lid", .lid("38203818037365")),
            // Ten digits are no number to dial because they look like one.
            ("4479111234@lid", .lid("4479111234")), ("0012@lid", .lid("0012")),
            ("120363018686549942@g.us", .other("group")), ("491701234567-1500000000@g.us", .other("group")),
            ("status@broadcast", .other("status")), ("1690000000@broadcast", .other("broadcast")),
            ("123123@newsletter", .other("newsletter")), ("0@s.whatsapp.net", .other("whatsapp")),
            ("0@c.us", .other("whatsapp")), ("867051314767696@bot", .other("service")), ("a@call", .other("service")),
        ] as [(String, JID)])
    func `tells people, hidden ids and other chats apart`(text: String, jid: JID) {
        #expect(JID(text) == jid)
    }

    @Test(
        arguments: [
            "", "@", "me", "447911123456", "@c.us", "@lid", "447911123456@", "447911123456@example.com",
            "447911123456@c.us.example.com", "+447911123456@c.us", "44791112345x@c.us", "4479 11123456@c.us",
            "1234567@c.us", "1234567890123456@c.us", "07911123456@c.us", "x@lid", "123456789012345678901@lid",
            "447911123456@c.us@x", ":12@c.us", "_0@c.us", "\u{0664}\u{0664}7911123456@c.us",
            String(repeating: "1", count: 300) + "@g.us",
        ] as [String])
    func `takes nothing else for an address`(text: String) {
        #expect(JID(text) == nil)
    }

    @Test(
        arguments: [
            ("false_447911123456@c.us_3EB0A1", false, "447911123456@c.us", "3EB0A1"),
            ("true_38203818037365@lid_3EB0A1", true, "38203818037365@lid", "3EB0A1"),
            ("true_1203630@g.us_3EB0A1_447911123456@c.us", true, "1203630@g.us", "3EB0A1"),
            ("false_status@broadcast_AAAA_123123@c.us", false, "status@broadcast", "AAAA"),
            // An agent's underscore is no separator.
            ("false_447911123456_0:12@c.us_3EB0A1", false, "447911123456@c.us", "3EB0A1"),
            ("true_447911123456:3@s.whatsapp.net_3EB0A1", true, "447911123456@c.us", "3EB0A1"),
            ("true_382:1@hosted.lid_3EB0A1", true, "382@lid", "3EB0A1"),
        ])
    func `reads the parts of an id`(text: String, isOwn: Bool, chat: String, key: String) throws {
        let id = try #require(SerializedMessageID(text))
        #expect(id.isOwn == isOwn && id.chat == chat && id.key == key)
    }

    @Test(arguments: ["", "3EB0A1", "true_", "false_447911123456", "maybe_447911123456@c.us_3EB0A1", "123@g.us"])
    func `an id of another form has no parts`(text: String) {
        #expect(SerializedMessageID(text) == nil)
    }

    @Test(
        arguments: ["false_447911123456@c.us_3EB0A1", "true_1203630@g.us_3EB0A1_447911123456@c.us", "true_a@b_c_d_e"])
    func `parts become the same id again`(text: String) {
        #expect(SerializedMessageID(text)?.text == text)
    }
}
