import Messaging
import Testing

@testable import Webhooks

@Suite struct WhatsAppMessageTests {
    private static let text = #""id":"wamid.A","timestamp":"1700000000","type":"text","text":{"body":"Hi"}"#

    @Test func `a text is read in full`() throws {
        let expected = InboundMessage(
            endpoint: sampleEndpoint, id: "wamid.A",
            sender: Sender(phone: PhoneNumber(digits: 447_911_123_456), displayName: "Ann"),
            sentAt: Timestamp(seconds: 1_700_000_000), type: "text", body: "Hi", quotedMessageID: "wamid.Q")
        let message = #""from":"447911123456","context":{"from":"1555","id":"wamid.Q"},"# + Self.text
        let contacts = #"[{"profile":{"name":"Ann"},"wa_id":"447911123456"}]"#
        #expect(decode(message: message, contacts: contacts) == .message(expected))
    }

    /// `from` and ids of the message, its contacts → phone, id, parent's id.
    @Test(
        arguments: [
            (#""from":"447911123456""#, "[]", 447_911_123_456, nil, nil),
            (#""from":447911123456"#, "[]", 447_911_123_456, nil, nil),
            (#""from":"+44 7911 123456""#, "[]", 447_911_123_456, nil, nil),
            (#""from":"00447911123456""#, "[]", 447_911_123_456, nil, nil),
            (#""\u0066rom":"4479111\u00323456""#, "[]", 447_911_123_456, nil, nil),
            (
                #""from":"447911123456","from_user_id":"GB.1"# + #"a","from_parent_user_id":"GB.ENT.2""#, "[]",
                447_911_123_456, "GB.1a", "GB.ENT.2"
            ),
            (#""from":"GB.1a""#, "[]", nil, "GB.1a", nil), (#""from_user_id":"GB.1a""#, "[]", nil, "GB.1a", nil),
            (#""from":"","from_user_id":"GB.1a""#, "[]", nil, "GB.1a", nil),
            (#""from":null,"from_user_id":"GB.1a""#, "[]", nil, "GB.1a", nil),
            (#""from":"GB.1a","from_user_id":"GB.1a""#, "[]", nil, "GB.1a", nil),
            (
                #""from_user_id":"GB.1a""#, #"[{"wa_id":"447911123456","user_id":"GB.1a"}]"#, 447_911_123_456, "GB.1a",
                nil
            ),
            (
                #""from":"447911123456""#, #"[{"wa_id":"447911123456","user_id":"GB.1a","parent_user_id":"GB.ENT.2"}]"#,
                447_911_123_456, "GB.1a", "GB.ENT.2"
            ),
            (#""from":"GB.1a""#, #"[{"wa_id":"GB.1a","user_id":"GB.1a"}]"#, nil, "GB.1a", nil),
            (#""from":"""#, #"[{"wa_id":"","user_id":"GB.1a"}]"#, nil, "GB.1a", nil),
            (#""x":1"#, #"[{"wa_id":"447911123456"}]"#, 447_911_123_456, nil, nil),
            (#""from":"447911123456""#, #"[{"wa_id":"447911999999","user_id":"GB.other"}]"#, 447_911_123_456, nil, nil),
            (
                #""from":"447911123456""#, #"["x",7,null,{"wa_id":[]},{"wa_id":447911123456,"user_id":"GB.1a"}]"#,
                447_911_123_456, "GB.1a", nil
            ),
            (#""from":"447911123456""#, #"{"wa_id":"447911123456"}"#, 447_911_123_456, nil, nil),
            (
                #""from_parent_user_id":"GB.ENT.2""#, #"[{"wa_id":"447911123456","parent_user_id":"GB.ENT.2"}]"#,
                447_911_123_456, nil, "GB.ENT.2"
            ),
            (
                #""from":"","from_parent_user_id":"GB.ENT.2""#, #"[{"wa_id":"447911123456","user_id":"GB.1a"}]"#,
                447_911_123_456, "GB.1a", "GB.ENT.2"
            ),
            (
                #""from_parent_user_id":"GB.ENT.2""#, #"[{"wa_id":"447911123456","parent_user_id":"GB.ENT.3"}]"#, nil,
                nil, "GB.ENT.2"
            ),
        ] as [(String, String, UInt64?, String?, String?)])
    func `the sender is found in any of the places`(
        from: String, contacts: String, phone: UInt64?, accountID: String?, parentID: String?
    ) throws {
        let message = try #require(decode(message: from + "," + Self.text, contacts: contacts)?.message)
        #expect(message.sender.phone?.digits == phone)
        #expect(message.sender.accountID == accountID)
        #expect(message.sender.parentAccountID == parentID)
    }

    @Test(arguments: [3, 9, 200])
    func `contacts are paired by id, whatever their order and number`(count: Int) throws {
        let people = (0..<count).map { 447_911_000_000 + $0 }
        let contacts =
            people.reversed().map { #"{"profile":{"name":"P\#($0)"},"wa_id":"\#($0)"}"# } + [#"{"wa_id":"1"}"#]
        let messages = people.map {
            #"{"from":"\#($0)","id":"m\#($0)","timestamp":1,"type":"text","text":{"body":"x"}}"#
        }
        let members =
            #""messages":[\#(messages.joined(separator: ","))],"contacts":[\#(contacts.joined(separator: ","))]"#
        let decoded = decode(webhook(changes: change(members)))
        #expect(decoded.updates.map { $0.message?.sender.displayName } == people.map { "P\($0)" })
    }

    @Test(arguments: [#""from":"12""#, #""from":["a"]"#, #""from":7.5"#, #""from":"","from_user_id":"GB.\u0000""#])
    func `a message that names somebody unreadable is not the only contact's`(from: String) {
        let contacts = #"[{"wa_id":"447911123456","user_id":"GB.1a"}]"#
        #expect(decode(message: from + "," + Self.text, contacts: contacts)?.summary == "undecodable bad_field")
    }

    @Test func `the contact of a message is not the recipient of a status beside it`() {
        let members =
            #""contacts":[{"wa_id":"447911123456"}],"messages":[{"from":"447911123456",\#(Self.text)}],"#
            + #""statuses":[{"id":"s","status":"read"}]"#
        let updates = decode(webhook(changes: change(members))).updates
        #expect(updates.map(\.summary) == ["text", "read"])
        #expect(updates.last?.status?.recipient == nil)
        let alone = decode(webhook(changes: change(members.replacing("messages", with: "messagez")))).updates
        #expect(alone.map { $0.status?.recipient?.phone?.digits } == [447_911_123_456])
    }

    @Test func `two messages and one contact without ids stay apart`() {
        let message = #"{"id":"m","timestamp":1,"type":"text","text":{"body":"x"}}"#
        let members = #""contacts":[{"wa_id":"447911123456"}],"messages":[\#(message),\#(message)]"#
        let summaries = decode(webhook(changes: change(members))).updates.map(\.summary)
        #expect(summaries == ["undecodable missing_field", "undecodable missing_field"])
    }

    @Test(
        arguments: [
            (#""from":"447911123456","timestamp":"1","type":"text""#, .missingField),
            (#""from":"447911123456","id":null,"type":"text""#, .missingField),
            (#""from":"447911123456","id":"","type":"text""#, .badField),
            (#""from":"447911123456","id":"a\u0000b","type":"text""#, .badField),
            (#""from":"447911123456","id":"a\ud83d","type":"text""#, .badField),
            (#""from":"447911123456","id":["a"],"type":"text""#, .badField),
            (#""id":"wamid.A","type":"text""#, .missingField),
            (#""from":"","id":"wamid.A","type":"text""#, .missingField),
            (#""from":null,"from_user_id":"","id":"wamid.A","type":"text""#, .missingField),
            (#""from":"123","id":"wamid.A","type":"text""#, .badField),
            (#""from":"1234567890123456","id":"wamid.A","type":"text""#, .badField),
            (#""from":{},"id":"wamid.A","type":"text""#, .badField),
        ] as [(String, UndecodableReason)])
    func `without an id, or from nobody, it is kept as it is`(message: String, reason: UndecodableReason) {
        guard case .undecodable(let found, _, let raw) = decode(message: message) else {
            Issue.record("not undecodable")
            return
        }
        #expect(found == reason)
        #expect(raw == Array("{\(message)}".utf8))
    }

    @Test(
        arguments: [
            ("\"1700000000\"", 1_700_000_000), ("1700000000", 1_700_000_000), ("1700000000.9", 1_700_000_000),
            ("-5", -5),
            ("\"yesterday\"", 1_800_000_000), ("null", 1_800_000_000), ("1e99", 1_800_000_000), ("[1]", 1_800_000_000),
            ("\"\"", 1_800_000_000), ("99999999999999999999999", 1_800_000_000), ("253402300799", 253_402_300_799),
        ] as [(String, Int64)])
    func `an unreadable time becomes the time of receipt`(timestamp: String, seconds: Int64) {
        let message = #""from":"447911123456","id":"a","type":"text","text":{"body":"x"},"timestamp":\#(timestamp)"#
        #expect(decode(message: message)?.message?.sentAt == Timestamp(seconds: seconds))
    }

    /// The members of a message → type, body, payload, quoted message.
    @Test(
        arguments: [
            (#""type":"text","text":{"body":""}"#, "text", nil, nil, nil), (#""type":"text""#, "text", nil, nil, nil),
            (#""type":"text","text":"x""#, "text", nil, nil, nil),
            (#""type":"text","text":{"body":7}"#, "text", nil, nil, nil),
            (#""text":{"body":"x"},"type":"text""#, "text", "x", nil, nil),
            (#""type":"text","text":{"body":"a\u0000b\ud83d"}"#, "text", "a\u{FFFD}b\u{FFFD}", nil, nil),
            (#""type":"text","text":{"body":"old"},"text":{"body":"new"}"#, "text", "new", nil, nil),
            (#""type":"image","image":{"id":"1","caption":"My cat"}"#, "image", "My cat", nil, nil),
            (#""type":"image""#, "image", nil, nil, nil), (#""type":"image","image":[]"#, "image", nil, nil, nil),
            (#""type":"document","document":{"filename":"a.pdf"}"#, "document", "a.pdf", nil, nil),
            (#""type":"location","location":{"latitude":-1.5,"longitude":"2"}"#, "location", "-1.5, 2", nil, nil),
            (#""type":"location","location":{"latitude":{},"name":"Home"}"#, "location", "Home", nil, nil),
            (#""type":"reaction","reaction":{"message_id":"m","emoji":"👍"}"#, "reaction", "👍", nil, "m"),
            (#""type":"reaction","reaction":{"message_id":"m","emoji":""}"#, "reaction", nil, nil, "m"),
            (#""type":"reaction","reaction":{"message_id":"m"}"#, "reaction", nil, nil, "m"),
            (
                #""contacts":[{"name":{"first_name":"A"}},{"phones":[{"phone":"1"},{"wa_id":"2"}]},{}],"type":"contacts""#,
                "contacts", "A\n1, 2", nil, nil
            ),
            (
                #""context":{"id":"c"},"type":"interactive","#
                    + #""interactive":{"type":"button_reply","button_reply":{"id":"b","title":"Yes"}}"#,
                "interactive", "Yes", "b", "c"
            ),
            (
                #""type":"interactive","#
                    + #""interactive":{"type":"nfm_reply","nfm_reply":{"body":"Sent","response_json":"{}"}}"#,
                "interactive", "Sent", nil, nil
            ),
            (#""type":"interactive","errors":[{"code":131000}]"#, "interactive", nil, nil, nil),
            (#""type":"interactive","interactive":{"type":5}"#, "interactive", nil, nil, nil),
            (#""type":"button","button":{"payload":"p"}"#, "button", "p", "p", nil),
            (#""type":"button","button":{"payload":"p","text":null}"#, "button", "p", "p", nil),
            (
                #""type":"contacts","contacts":[{"name":{"formatted_name":"","first_name":"A"},"phones":[{"phone":null,"wa_id":"1"}]}]"#,
                "contacts", "A, 1", nil, nil
            ),
            (
                #""type":"order","order":{"product_items":[{"quantity":"2","product_retailer_id":7},5]}"#, "order",
                "2 × 7\n?", nil, nil
            ),
            (
                #""type":"edit","edit":{"original_message_id":"o","message":{"type":"text","text":{"body":"New"}}}"#,
                "edit",
                "New", nil, "o"
            ),
            (
                #""type":"edit","edit":{"original_message_id":"o","message":{"type":"edit","edit":{}}}"#, "edit", nil,
                nil, "o"
            ),
            (#""type":"revoke","revoke":{"original_message_id":"o"}"#, "revoke", nil, nil, "o"),
            (#""type":"ephemeral","ephemeral":{}"#, "ephemeral", nil, nil, nil), (#""x":1"#, "unknown", nil, nil, nil),
            (#""type":5"#, "unknown", nil, nil, nil), (#""type":null"#, "unknown", nil, nil, nil),
            (
                #""type":"Strange Type, much longer than it has any business to be""#,
                "strange_type__much_longer_than_i", nil,
                nil, nil
            ),
            (#""type":"id""#, "id", nil, nil, nil),
            (#""type":"context","context":{"id":"c"}"#, "context", nil, nil, "c"),
            (#""type":"text","text":{"body":"x"},"context":{"forwarded":true}"#, "text", "x", nil, nil),
            (#""type":"text","text":{"body":"x"},"context":"c""#, "text", "x", nil, nil),
            (#""type":"text","text":{"body":"x"},"context":{"id":""}"#, "text", "x", nil, nil),
        ] as [(String, String, String?, String?, String?)])
    func `every type is recorded, with what a person reads`(
        members: String, type: String, body: String?, payload: String?, quoted: String?
    ) throws {
        let whole = #""from":"447911123456","id":"a","timestamp":1,"# + members
        let message = try #require(decode(message: whole)?.message)
        #expect(message.type == type)
        #expect(message.body == body)
        #expect(message.replyPayload == payload)
        #expect(message.quotedMessageID == quoted)
        if type != "text" { #expect(message.raw == Array("{\(whole)}".utf8)) }
    }

    @Test func `a very long text is kept whole, a very long name is cut between characters`() throws {
        let body = String(repeating: "é", count: 70_000)
        let id = String(repeating: "i", count: 1000)
        let contacts = #"[{"wa_id":"447911123456","profile":{"name":"a\#(String(repeating: "é", count: 400))"}}]"#
        let message = try #require(
            decode(
                message:
                    #""from":"447911123456","id":"\#(id)","type":"text","text":{"body":"\#(body)"}"#,
                contacts: contacts)?.message)
        #expect(message.body == body)
        #expect(message.id == id)
        #expect(message.sender.displayName == "a" + String(repeating: "é", count: 255))
    }

    @Test(arguments: [#""group_id":"G""#, #""group_id":"G","id":null"#, #""group_id":7"#])
    func `messages of groups are let be`(members: String) {
        #expect(decode(message: members + #","from":"447911123456","type":"text""#) == .ignored(what: "group"))
    }

    @Test func `without a phone number id everything of the change is kept as it is`() {
        let value = #"{"messages":[{"id":"a"},{"id":"b"}],"statuses":[{"id":"c","status":"sent"}]}"#
        let decoded = decode(webhook(changes: #"{"field":"messages","value":\#(value)}"#))
        #expect(decoded.updates.map(\.summary) == Array(repeating: "undecodable missing_field", count: 3))
        guard case .undecodable(_, _, let raw) = decoded.updates[1] else { return }
        #expect(raw == Array(#"{"id":"b"}"#.utf8))
    }

    /// A type and its content → the file.
    @Test(
        arguments: [
            (
                "image", #"{"id":"1","mime_type":"image/jpeg","sha256":"a=","caption":"c","url":"u"}"#,
                MediaReference(id: "1", mimeType: "image/jpeg", sha256: "a=")
            ),
            (
                "document", #"{"id":1,"mime_type":"application\/pdf","filename":"a\u202egpj.exe"}"#,
                MediaReference(id: "1", mimeType: "application/pdf", fileName: "a\u{202E}gpj.exe")
            ),
            ("voice", #"{"id":"1","sha256":"a"}"#, MediaReference(id: "1", sha256: "a")),
            ("hologram", #"{"id":"1","mime_type":"x/y"}"#, MediaReference(id: "1", mimeType: "x/y")),
            ("image", #"{"mime_type":"image/jpeg"}"#, nil), ("image", #"{"id":"","mime_type":"image/jpeg"}"#, nil),
            ("image", #"{"id":"1\u0000","mime_type":"image/jpeg"}"#, nil), ("location", #"{"id":"1"}"#, nil),
            ("image", "[]", nil),
        ] as [(String, String, MediaReference?)])
    func `a file is named by its id`(type: String, content: String, media: MediaReference?) throws {
        let whole = #""from":"447911123456","id":"a","type":"\#(type)","\#(type)":\#(content)"#
        #expect(try #require(decode(message: whole)?.message).media == media)
    }

    @Test(arguments: [("@ann", "ann"), ("ann", "ann"), ("@", nil), ("", nil)] as [(String, String?)])
    func `a username comes with an at sign or without`(username: String, expected: String?) throws {
        let contacts = #"[{"wa_id":"447911123456","profile":{"username":"\#(username)"}}]"#
        let message = try #require(
            decode(message: #""from":"447911123456",\#(Self.text)"#, contacts: contacts)?.message)
        #expect(message.sender.username == expected)
    }

    /// A line of a card → the number in it.
    @Test(
        arguments: [
            ("TEL;TYPE=CELL:+447911123456", "+447911123456"),
            ("item1.TEL;waid=447911123456:+44 7911 123456", "+44 7911 123456"),
            ("item1.TEL;type=CELL;WAID=447911123456:", "447911123456"), ("tel:+447911123456", "+447911123456"),
            ("TEL;VALUE=uri:tel:+44-7911-123456", "+44-7911-123456"), (#"TEL:+4479\r\n 11123456"#, "+447911123456"),
            ("TEL:", nil), ("TEL", nil), ("XTEL:1", nil), (":", nil),
        ] as [(String, String?)])
    func `a shared card gives what is not told beside it`(line: String, number: String?) throws {
        let card = #"BEGIN:VCARD\r\nVERSION:3.0\r\nFN:Ann Example\r\n\#(line)\r\nEND:VCARD"#
        func body(_ members: String) throws -> String? {
            let contact = #"{"vcard":"\#(card)"\#(members)}"#
            let whole = #""from":"447911123456","id":"a","type":"contacts","contacts":[\#(contact)]"#
            return try #require(decode(message: whole)?.message).body
        }
        #expect(try body("") == ["Ann Example", number].compactMap { $0 }.joined(separator: ", "))
        #expect(
            try body(#","name":{"formatted_name":"Annie"}"#)
                == ["Annie", number].compactMap { $0 }.joined(separator: ", "))
        #expect(try body(#","phones":[{"phone":"7"}]"#) == "Ann Example, 7")
    }
}
