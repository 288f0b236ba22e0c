import Conversations
import Messaging
import Testing

@Suite struct ReplyDraftTests {
    private static let conversation = UniqueID(high: 1, low: 2)

    @Test(
        "A text somebody can read is taken as it is",
        arguments: ["Hello", " indented\n\tand tabbed ", "👩‍👩‍👧", "٣", "a\u{200B}", String(repeating: "a", count: 4096)])
    func readable(text: String) throws {
        #expect(try ReplyDraft(text: text, quotedMessageID: nil).text == text)
    }

    @Test(
        "A text without anything to see is refused",
        arguments: ["", " ", "\n\t ", "\u{A0}\u{2003}", "\u{200B}\u{200D}\u{FEFF}", "\u{202E}", "\u{FE0F}"])
    func invisible(text: String) {
        #expect(throws: ReplyRefusal.emptyText) { try ReplyDraft(text: text, quotedMessageID: nil) }
    }

    @Test(
        "A control character is refused and named",
        arguments: [
            ("a\0b", 0, 1), ("\u{1B}[31mred", 0x1B, 0), ("tail\u{7F}", 0x7F, 4), ("a\u{85}", 0x85, 1),
            ("a\rb", 0x0D, 1),
            ("a\r", 0x0D, 1), ("a\r\r\n", 0x0D, 1),
        ] as [(String, UInt32, Int)])
    func control(text: String, code: UInt32, position: Int) {
        #expect(throws: ReplyRefusal.controlCharacter(code: code, position: position)) {
            try ReplyDraft(text: text, quotedMessageID: nil)
        }
    }

    @Test("Line ends of every system become line feeds")
    func lineEnds() throws {
        #expect(try ReplyDraft(text: "a\r\nb\n\r\nc", quotedMessageID: nil).text == "a\nb\n\nc")
    }

    @Test("The length counts UTF-16 code units")
    func length() {
        #expect(throws: ReplyRefusal.textTooLong(units: 4097, max: 4096)) {
            try ReplyDraft(text: String(repeating: "a", count: 4097), quotedMessageID: nil)
        }
        #expect(throws: ReplyRefusal.textTooLong(units: 4098, max: 4096)) {
            try ReplyDraft(text: String(repeating: "😀", count: 2049), quotedMessageID: nil)
        }
        #expect(throws: Never.self) { try ReplyDraft(text: String(repeating: "😀", count: 2048), quotedMessageID: nil) }
    }

    @Test(
        "A quote is a provider's message id",
        arguments: [
            ("wamid.HBgMNDQ3OTExMTIzNDU2FQIAEhgUM0E=", true), ("", false), ("with space", false), ("é", false),
            ("a\n", false), (String(repeating: "a", count: 256), true), (String(repeating: "a", count: 257), false),
        ])
    func quote(id: String, isTaken: Bool) {
        #expect(((try? ReplyDraft(text: "x", quotedMessageID: id)) != nil) == isTaken)
    }

    @Test("Requests that mean the same have the same bytes, others do not")
    func canonical() throws {
        func bytes(_ text: String, _ quote: String?, _ conversation: UniqueID = Self.conversation) throws -> [UInt8] {
            try ReplyDraft(text: text, quotedMessageID: quote).canonicalBytes(in: conversation)
        }
        #expect(try bytes("a\r\nb", nil) == bytes("a\nb", nil))
        let different = [
            try bytes("ab", nil), try bytes("a", nil), try bytes("a", "b"), try bytes("ab", "b"), try bytes("a", "bb"),
            try bytes("a", nil, UniqueID(high: 1, low: 3)),
        ]
        #expect(Set(different).count == different.count)
    }

    @Test(
        "An idempotency key is 1 to 255 visible ASCII characters",
        arguments: [
            ("k", true), (String(repeating: "k", count: 255), true), ("", false),
            (String(repeating: "k", count: 256), false),
            ("a b", false), ("a\t", false), ("ключ", false), ("~!", true),
        ])
    func idempotencyKey(key: String, isTaken: Bool) {
        #expect((IdempotencyKey(checking: key, route: "POST /", requestHash: []) != nil) == isTaken)
    }

    @Test("The reply carries everything on")
    func reply() throws {
        let reference = MessageReference(id: UniqueID(high: 3, low: 4), sentAt: Timestamp(seconds: 5))
        let key = IdempotencyKey(checking: "k", route: "POST /", requestHash: [1])
        let draft = try ReplyDraft(text: "Hello", quotedMessageID: "wamid.1")
        let reply = draft.reply(
            in: Self.conversation, reference: reference, signatureTemplate: .standard, idempotency: key)
        #expect(
            reply
                == Reply(
                    conversationID: Self.conversation, reference: reference, text: "Hello",
                    signatureTemplate: .standard,
                    quotedMessageID: "wamid.1", idempotency: key))
    }
}
