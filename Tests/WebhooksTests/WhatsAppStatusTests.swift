import Messaging
import Testing

@testable import Webhooks

@Suite struct WhatsAppStatusTests {
    @Test(
        arguments: [
            ("sent", .sent), ("delivered", .delivered), ("read", .read), ("played", .played), ("failed", .failed),
            ("deleted", .deleted), ("\\u0072ead", .read),
        ] as [(String, DeliveryStatus)])
    func `every state is known`(word: String, status: DeliveryStatus) {
        let expected = StatusUpdate(
            endpoint: sampleEndpoint, messageID: "w", status: status, at: Timestamp(seconds: 17))
        #expect(
            decode(status: #""id":"w","status":"\#(word)","timestamp":"17","recipient_id":"""#) == .status(expected))
        #expect(decode(status: #""timestamp":17,"status":"\#(word)","id":"w","type":"message""#) == .status(expected))
    }

    @Test(
        arguments: [
            (#""id":"w","status":"warning""#, .ignored(what: "status:warning")),
            (#""id":"w","status":"queued""#, .ignored(what: "status:queued")),
            (#""id":"w","status":"Bad Word!""#, .ignored(what: "status:bad_word_")),
        ] as [(String, InboundEvent)])
    func `an unknown state is let be`(members: String, event: InboundEvent) {
        #expect(decode(status: members) == event)
    }

    @Test(
        arguments: [
            (#""status":"sent""#, .missingField), (#""id":"w""#, .missingField),
            (#""id":"w","status":null"#, .missingField),
            (#""id":"w","status":5"#, .badField), (#""id":{},"status":"sent""#, .badField),
            (#""id":"\u0000","status":"sent""#, .badField),
        ] as [(String, UndecodableReason)])
    func `without id or state it is kept as it is`(members: String, reason: UndecodableReason) {
        guard case .undecodable(let found, _, let raw) = decode(status: members) else {
            Issue.record("not undecodable")
            return
        }
        #expect(found == reason)
        #expect(raw == Array("{\(members)}".utf8))
    }

    @Test(
        arguments: [
            (#"[{"code":131047,"title":"T","message":"M","error_data":{"details":"D"}}]"#, 131_047, "D"),
            (#"[{"code":"131047","title":"T","message":"M"}]"#, 131_047, "M"), (#"[{"code":1,"title":"T"}]"#, 1, "T"),
            (#"[{"code":1,"details":"old"}]"#, 1, "old"), (#"[{"code":1e400,"title":"T"}]"#, nil, "T"),
            (#"[{"code":99999999999}]"#, nil, nil), ("[]", nil, nil), ("{}", nil, nil), (#"["x",{"code":2}]"#, 2, nil),
            (#"[{"error_data":"x","message":""}]"#, nil, nil), ("null", nil, nil),
        ] as [(String, Int32?, String?)])
    func `the reason of a failure is found in any of its shapes`(errors: String, code: Int32?, detail: String?) throws {
        let status = try #require(
            decode(status: #""id":"w","status":"failed","timestamp":1,"errors":\#(errors)"#)?.status)
        #expect(status.errorCode == code)
        #expect(status.errorDetail == detail)
    }

    @Test(
        arguments: [
            (#"{"billable":true,"category":"utility"}"#, true), (#"{ "a" : [ 1.5, null, "é" ] }"#, true), ("{}", true),
            (#"{"a":"\u0000"}"#, false), (#"{"a":"\ud83d"}"#, false), (#"{"\u0000":1}"#, false),
            (#"{"a":1e999999}"#, false),
            // The database reads it as true or false, also where the status came before the answer to our send.
            (#"{"billable":false}"#, true), (#"{"billable":null}"#, true), (#"{"billable":"maybe"}"#, false),
            (#"{"billable":2}"#, false), (#"{"b\u0069llable":{}}"#, false),
            (#"{"billable":true,"billable":[]}"#, false),
            ("[]", false), ("null", false), ("\"x\"", false),
        ])
    func `pricing is kept as it stands if the database can hold it`(pricing: String, isKept: Bool) throws {
        let status = try #require(
            decode(status: #""id":"w","status":"sent","timestamp":1,"pricing":\#(pricing)"#)?.status)
        #expect(status.pricing == (isKept ? pricing : nil))
    }

    @Test func `our own reference comes back`() throws {
        let reference = MessageReference(id: UniqueID(high: 1, low: 2), sentAt: Timestamp(seconds: 3))
        let members = #""id":"w","status":"sent","timestamp":1,"biz_opaque_callback_data":"#
        let status = try #require(decode(status: members + "\"\(reference.callbackData)\"")?.status)
        #expect(status.correlation == reference)
        for other in [#""somebody else's""#, "7", "null", "{}"] {
            #expect(try #require(decode(status: members + other)?.status).correlation == nil)
        }
    }

    /// Members of a status, contacts beside it → phone, id, parent's id, group.
    @Test(
        arguments: [
            (#""recipient_id":"447911123456""#, "[]", 447_911_123_456, nil, nil, nil),
            (
                #""recipient_id":"447911123456","recipient_user_id":"GB.1","recipient_parent_user_id":"GB.ENT.1""#,
                "[]",
                447_911_123_456, "GB.1", "GB.ENT.1", nil
            ),
            (
                #""recipient_id":"","recipient_user_id":"GB.1","parent_recipient_user_id":"GB.ENT.1""#, "[]", nil,
                "GB.1", "GB.ENT.1", nil
            ),
            (#""recipient_id":null,"recipient_user_id":"GB.1""#, "[]", nil, "GB.1", nil, nil),
            (#""recipient_id":"GB.1""#, "[]", nil, "GB.1", nil, nil),
            (
                #""recipient_id":"447911123456""#, #"[{"wa_id":"447911123456","user_id":"GB.1"}]"#, 447_911_123_456,
                "GB.1", nil, nil
            ),
            (
                #""recipient_id":"HBg","recipient_type":"group","recipient_participant_id":"447911123456","#
                    + #""recipient_participant_user_id":"GB.1","recipient_participant_parent_user_id":"GB.ENT.1""#,
                "[]", 447_911_123_456, "GB.1", "GB.ENT.1", "HBg"
            ),
            (#""recipient_id":"447911123456","recipient_type":"group""#, "[]", nil, nil, nil, "447911123456"),
            (#""recipient_id":"447911123456","recipient_type":"individual""#, "[]", 447_911_123_456, nil, nil, nil),
            (#""recipient_id":"12""#, "[]", nil, nil, nil, nil),
        ] as [(String, String, UInt64?, String?, String?, String?)])
    func `whom the message went to is found in any of the places`(
        members: String, contacts: String, phone: UInt64?, accountID: String?, parentID: String?, group: String?
    ) throws {
        let status = #"{"id":"w","status":"sent","timestamp":1,\#(members)}"#
        let body = webhook(changes: change(#""contacts":\#(contacts),"statuses":[\#(status)]"#))
        let update = try #require(decode(body).updates.first?.status)
        #expect(update.recipient?.phone?.digits == phone)
        #expect(update.recipient?.accountID == accountID)
        #expect(update.recipient?.parentAccountID == parentID)
        #expect((update.recipient == nil) == (phone == nil && accountID == nil))
        #expect(update.groupID == group)
    }

    @Test(arguments: ["\"1750116480\"", "1750116480"])
    func `the end of a free window is told either way`(moment: String) throws {
        let members = #""id":"w","status":"sent","conversation":{"id":"c","expiration_timestamp":\#(moment)}"#
        #expect(try #require(decode(status: members)?.status).windowEndsAt == Timestamp(seconds: 1_750_116_480))
    }
}
