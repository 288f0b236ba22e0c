import Messaging
import Testing

@testable import Webhooks

/// Messages of the number's owner, and of the time before it was connected.
@Suite struct WhatsAppOwnMessageTests {
    private static let ann = PhoneNumber(digits: 447_911_123_456)

    private func echo(_ members: String, contacts: String = "[]") -> InboundEvent? {
        let list = #""contacts":\#(contacts),"message_echoes":[{\#(members)}]"#
        let updates = decode(webhook(changes: change(list, field: "smb_message_echoes"))).updates
        return updates.count == 1 ? updates[0] : nil
    }

    @Test func `an echo is a message of ours to a person`() {
        let expected = OwnMessage(
            endpoint: sampleEndpoint, id: "w", recipient: Sender(phone: Self.ann, accountID: "GB.1"),
            sentAt: Timestamp(seconds: 7), type: "text", body: "On my way")
        let members =
            #""from":"15550783881","to":"447911123456","to_user_id":"GB.1","id":"w","timestamp":"7","type":"text","#
            + #""text":{"body":"On my way"}"#
        #expect(echo(members)?.echo?.recipient == expected.recipient)
        guard var own = echo(members)?.echo else { return }
        own.raw = nil
        #expect(own == expected)
    }

    /// Whom it went to → phone, id, parent's id.
    @Test(
        arguments: [
            (#""to":"447911123456""#, "[]", 447_911_123_456, nil, nil),
            (#""to":"","to_user_id":"GB.1","to_parent_user_id":"GB.ENT.1""#, "[]", nil, "GB.1", "GB.ENT.1"),
            (#""to":"GB.1""#, "[]", nil, "GB.1", nil),
            (
                #""to":"447911123456""#, #"[{"wa_id":"447911123456","user_id":"GB.1"}]"#, 447_911_123_456, "GB.1", nil
            ),
            (#""x":1"#, #"[{"wa_id":"447911123456"}]"#, 447_911_123_456, nil, nil),
        ] as [(String, String, UInt64?, String?, String?)])
    func `the recipient is found in any of the places`(
        to: String, contacts: String, phone: UInt64?, accountID: String?, parentID: String?
    ) throws {
        let recipient = try #require(echo(to + #","id":"w","type":"text""#, contacts: contacts)?.echo).recipient
        #expect(recipient.phone?.digits == phone)
        #expect(recipient.accountID == accountID)
        #expect(recipient.parentAccountID == parentID)
    }

    @Test(
        arguments: [
            (#""to":"447911123456","type":"text""#, "undecodable missing_field"),
            (#""id":"w","type":"text""#, "undecodable missing_field"),
            (#""id":"w","to":"12","type":"text""#, "undecodable bad_field"),
            (#""id":"\u0000","to":"447911123456""#, "undecodable bad_field"),
            (#""id":"w","to":"447911123456","group_id":"g""#, "ignored group"),
            (#""id":"w","to":"447911123456""#, "echo unknown"),
        ])
    func `an echo without an id or to nobody is kept as it is`(members: String, summary: String) {
        #expect(echo(members)?.summary == summary)
    }

    @Test func `echoes of edits and revocations point at their message, and files are named`() throws {
        let edit = try #require(
            echo(
                #""id":"w","to":"447911123456","type":"edit","edit":{"original_message_id":"o","message":"#
                    + #"{"type":"image","image":{"id":"8","mime_type":"image/png","caption":"New"}}}"#)?.echo)
        #expect(edit.quotedMessageID == "o")
        #expect(edit.body == "New")
        #expect(edit.media == MediaReference(id: "8", mimeType: "image/png"))
        let revocation = #""id":"w","to":"447911123456","type":"revoke","revoke":{"original_message_id":"o"}"#
        #expect(echo(revocation)?.echo?.quotedMessageID == "o")
    }

    /// Members of a past message, its thread's id → which side wrote, with whom.
    @Test(
        arguments: [
            (#""from":"447911123456""#, "\"447911123456\"", false, 447_911_123_456, nil),
            (#""from":"15551234567""#, "\"447911123456\"", true, 447_911_123_456, nil),
            (#""from":"15551234567","to":"447911123456""#, "null", true, 447_911_123_456, nil),
            (#""from":"447911123456","to":"15551234567""#, "\"447911123456\"", false, 447_911_123_456, nil),
            (#""from":"15551234567","to_user_id":"GB.1""#, "\"GB.1\"", true, nil, "GB.1"),
            (#""from":"15551234567""#, "\"GB.1\"", true, nil, "GB.1"),
            (#""from_user_id":"GB.1""#, "\"GB.1\"", false, nil, "GB.1"),
            (#""from":"GB.1","to":"15551234567""#, "\"GB.1\"", false, nil, "GB.1"),
            (#""from":"","to":"447911123456""#, "\"447911123456\"", true, 447_911_123_456, nil),
            (#""x":1"#, "\"GB.1\"", false, nil, "GB.1"),
            (#""from":"""#, "\"447911123456\"", false, 447_911_123_456, nil),
            (#""from":null,"from_user_id":"""#, "\"GB.1\"", false, nil, "GB.1"),
        ] as [(String, String, Bool, UInt64?, String?)])
    func `the past has two sides`(
        members: String, thread: String, isOurs: Bool, phone: UInt64?, accountID: String?
    ) throws {
        let message = #"{\#(members),"id":"w","timestamp":5,"type":"text","history_context":{"status":"READ"}}"#
        let metadata = #""metadata":{"display_phone_number":"+1 555-123-4567","phone_number_id":"1"}"#
        let history = #""history":[{"threads":[{"id":\#(thread),"messages":[\#(message)]}]}]"#
        let updates = decode(webhook(changes: #"{"field":"history","value":{\#(metadata),\#(history)}}"#)).updates
        guard case .history(let past) = try #require(updates.first) else {
            Issue.record("not history: \(updates)")
            return
        }
        #expect(past.state == "READ")
        let person: Sender
        switch past.message {
        case .incoming(let message):
            person = message.sender
            #expect(!isOurs)
        case .outgoing(let own):
            person = own.recipient
            #expect(isOurs)
        }
        #expect(person == Sender(phone: phone.flatMap(PhoneNumber.init(digits:)), accountID: accountID))
    }

    @Test func `without our own number the thread tells the sides apart`() throws {
        func sides(_ thread: String) -> [String] {
            let messages = #"[{"id":"a","from":"447911123456"},{"id":"b","from":"15551234567"}]"#
            let history = #""history":[{"threads":[{"id":\#(thread),"messages":\#(messages)}]}]"#
            let value = #"{"metadata":{"phone_number_id":"1"},\#(history)}"#
            return decode(webhook(changes: #"{"field":"history","value":\#(value)}"#)).updates.map(\.summary)
        }
        #expect(sides("\"447911123456\"") == ["history incoming unknown", "history outgoing unknown"])
        #expect(sides("null") == ["history incoming unknown", "history incoming unknown"])
    }

    @Test func `thousands of past messages come in one webhook`() {
        let messages = (0..<5000).map { #"{"id":"w\#($0)","from":"447911123456","type":"text","timestamp":"\#($0)"}"# }
        let thread = #"{"id":"447911123456","messages":[\#(messages.joined(separator: ","))]}"#
        let decoded = decode(webhook(changes: change(#""history":[{"threads":[\#(thread)]}]"#, field: "history")))
        #expect(decoded.updates.count == 5000)
        #expect(decoded.updates.allSatisfy { $0.summary == "history incoming text" })
    }
}
