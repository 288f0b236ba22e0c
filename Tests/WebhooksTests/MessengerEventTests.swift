import Messaging
import Testing

@testable import Webhooks

/// What Messenger and Instagram tell.
@Suite struct MessengerEventTests {
    private static let page = EndpointReference(kind: .messenger, providerID: "page")

    /// What becomes of one event of these members, beside who wrote it.
    private func event(
        _ members: String, object: String = "page",
        parties: String = #""sender":{"id":"ann"},"recipient":{"id":"page"}"#
    ) -> InboundEvent? {
        let element = #"{\#(parties),"timestamp":1700000000123,\#(members)}"#
        let body = #"{"object":"\#(object)","entry":[{"id":"page","time":5,"messaging":[\#(element)]}]}"#
        let decoded = decode(body)
        #expect(decoded.event == (object == "page" ? "messenger" : object))
        return decoded.updates.count == 1 ? decoded.updates[0] : nil
    }

    @Test func `a text is read in full`() {
        let expected = InboundMessage(
            endpoint: Self.page, id: "m", sender: Sender(accountID: "ann"),
            sentAt: Timestamp(microseconds: 1_700_000_000_123_000), type: "text", body: "Hi")
        #expect(event(#""message":{"mid":"m","text":"Hi"}"#) == .message(expected))
        var onInstagram = expected
        onInstagram.endpoint = EndpointReference(kind: .instagram, providerID: "page")
        #expect(event(#""message":{"text":"Hi","mid":"m"}"#, object: "instagram") == .message(onInstagram))
    }

    /// An event → id, type, body, quoted message, payload, file.
    @Test(
        arguments: [
            (#""message":{"mid":"m"}"#, "m", "unknown", nil, nil, nil, nil),
            (#""message":{"mid":"m","is_unsupported":true}"#, "m", "unsupported", nil, nil, nil, nil),
            (
                #""message":{"mid":"m","text":"Yes","quick_reply":{"payload":"p"},"reply_to":{"mid":"q"}}"#, "m",
                "text",
                "Yes", "q", "p", nil
            ),
            (
                #""message":{"mid":"m","text":"!","reply_to":{"story":{"id":"s","url":"u"}}}"#, "m", "text", "!", nil,
                nil,
                nil
            ),
            (
                #""message":{"mid":"m","attachments":[{"type":"image","payload":{"url":"https:\/\/x"}},{"type":"video"}]}"#,
                "m", "image", nil, nil, nil, "https://x"
            ),
            (
                #""message":{"mid":"m","text":"See","attachments":[{"type":"file","payload":{"url":"u"}}]}"#, "m",
                "file",
                "See", nil, nil, "u"
            ),
            (
                #""message":{"mid":"m","attachments":[{"type":"story_mention","payload":{"url":"u"}}]}"#, "m",
                "story_mention", nil, nil, nil, nil
            ),
            (
                #""message":{"mid":"m","attachments":[{"type":"location","payload":{"coordinates":{"lat":1.5,"long":-2}}}]}"#,
                "m", "location", "1.5, -2", nil, nil, nil
            ),
            (
                #""message":{"mid":"m","attachments":[{"type":"fallback","title":"T","url":"u"}]}"#, "m", "fallback",
                "T\nu", nil, nil, nil
            ),
            (#""message":{"mid":"m","attachments":[{"type":"like_heart"}]}"#, "m", "like_heart", nil, nil, nil, nil),
            (#""message":{"mid":"m","attachments":[7,{}]}"#, "m", "unknown", nil, nil, nil, nil),
            (#""message":{"mid":"m","attachments":{},"text":"x"}"#, "m", "text", "x", nil, nil, nil),
            (#""message":{"mid":"m","is_deleted":true}"#, "m#revoke", "revoke", nil, "m", nil, nil),
            (#""message_edit":{"mid":"m","text":"New","num_edit":2}"#, "m#edit:2", "edit", "New", "m", nil, nil),
            (
                #""message_edit":{"mid":"m","text":"New"}"#, "m#edit:1700000000123", "edit", "New", "m", nil, nil
            ),
            (
                #""reaction":{"mid":"m","action":"react","emoji":"❤","reaction":"love"}"#, "m#react:1700000000123",
                "reaction", "❤", "m", nil, nil
            ),
            (
                #""reaction":{"mid":"m","action":"unreact","emoji":"❤"}"#, "m#unreact:1700000000123", "reaction", nil,
                "m", nil, nil
            ),
            (
                #""postback":{"mid":"m","title":"Start","payload":"GO"}"#, "m#postback:1700000000123", "postback",
                "Start", nil, "GO", nil
            ),
            (
                #""postback":{"payload":"GO"}"#, "ann#postback:1700000000123", "postback", "GO", nil, "GO", nil
            ),
        ] as [(String, String, String, String?, String?, String?, String?)])
    func `every kind of message is what it is`(
        members: String, id: String, type: String, body: String?, quoted: String?, payload: String?, file: String?
    ) throws {
        let message = try #require(event(members)?.message)
        #expect(message.id == id)
        #expect(message.type == type)
        #expect(message.body == body)
        #expect(message.quotedMessageID == quoted)
        #expect(message.replyPayload == payload)
        #expect(message.media?.id == file)
        #expect(message.endpoint == Self.page)
        #expect(message.sender == Sender(accountID: "ann"))
    }

    @Test(
        arguments: [
            (#""sender":{"id":"page"},"recipient":{"id":"ann"}"#, #""message":{"mid":"m","text":"x","is_echo":true}"#),
            (#""sender":{"id":"page"},"recipient":{"id":"ann"}"#, #""message":{"mid":"m","text":"x"}"#),
            (#""sender":{"id":"page"},"recipient":{"id":"ann"}"#, #""message":{"mid":"m","is_deleted":true}"#),
            (#""recipient":{"id":"ann"}"#, #""message":{"mid":"m","text":"x","is_echo":true}"#),
        ])
    func `what we wrote is never taken for a person's`(parties: String, members: String) throws {
        let echo = try #require(event(members, parties: parties)?.echo)
        #expect(echo.endpoint == Self.page)
        #expect(echo.recipient == Sender(accountID: "ann"))
    }

    @Test func `a message to oneself is a message`() throws {
        let parties = #""sender":{"id":"page"},"recipient":{"id":"page"}"#
        #expect(event(#""message":{"mid":"m","text":"x","is_self":true}"#, parties: parties)?.summary == "text")
    }

    @Test(
        arguments: [
            (#""read":{"watermark":1700000000000}"#, .read, 1_700_000_000, []),
            (#""read":{"mid":"m"}"#, .read, nil, ["m"]),
            (
                #""delivery":{"watermark":"1700000000000","mids":["a",7,null,"b"]}"#, .delivered, 1_700_000_000,
                ["a", "7", "b"]
            ),
            (#""delivery":{"watermark":1700000000}"#, .delivered, 1_700_000_000, []),
        ] as [(String, DeliveryStatus, Int64?, [String])])
    func `a receipt says up to when or which`(
        members: String, status: DeliveryStatus, upTo: Int64?, ids: [String]
    ) throws {
        let receipt = try #require(event(members)?.receipt)
        #expect(
            receipt
                == ConversationReceipt(
                    endpoint: Self.page, sender: Sender(accountID: "ann"), status: status,
                    upTo: upTo.map { Timestamp(seconds: $0) }, messageIDs: ids,
                    at: Timestamp(microseconds: 1_700_000_000_123_000)))
    }

    @Test(
        arguments: [
            (#""optin":{"ref":"x"}"#, "ignored messenger:optin"), (#""referral":{}"#, "ignored messenger:referral"),
            (#""Pass Thread":{}"#, "ignored messenger:pass_thread"), (#""read":{}"#, "undecodable missing_field"),
            (#""message":{"text":"x"}"#, "undecodable missing_field"),
            (#""message":{"mid":"\u0000"}"#, "undecodable bad_field"), (#""message":7"#, "undecodable bad_field"),
            (#""reaction":{"action":"react"}"#, "undecodable missing_field"),
            (#""referral":{},"message":{"mid":"m","text":"x"}"#, "text"),
        ])
    func `other events are let be, misshapen ones kept`(members: String, summary: String) {
        #expect(event(members)?.summary == summary)
    }

    @Test(
        arguments: [
            (#""recipient":{"id":"page"}"#, "undecodable missing_field"),
            (#""sender":{"id":{}},"recipient":{"id":"page"}"#, "undecodable bad_field"),
            (#""sender":"ann""#, "undecodable missing_field"), (#""sender":{"id":"ann"}"#, "text"),
            (#""sender":{"id":7},"recipient":{"id":8}"#, "text"),
        ])
    func `the other side must have an id`(parties: String, summary: String) {
        #expect(event(#""message":{"mid":"m","text":"x"}"#, parties: parties)?.summary == summary)
    }

    @Test func `what another app answers is read like all else, after it`() {
        let element = #"{"sender":{"id":"ann"},"recipient":{"id":"page"},"message":{"mid":"m","text":"x"}}"#
        let decoded = decode(
            #"{"object":"page","entry":[{"id":"page","standby":[\#(element),7],"messaging":[\#(element),7,null]}]}"#)
        #expect(
            decoded.updates.map(\.summary) == [
                "text", "undecodable bad_field", "undecodable bad_field", "text", "undecodable bad_field",
            ])
        #expect(decoded.event == "messenger")
    }

    @Test func `the samples of the dashboard are changes`() throws {
        let value =
            #"{"sender":{"id":"ann"},"recipient":{"id":"ig"},"timestamp":"2026-01-02T03:04:05+0000","#
            + #""message":{"mid":"m","text":"x"}}"#
        let decoded = decode(
            #"{"object":"instagram","entry":[{"id":"0","changes":[{"field":"messages","value":\#(value)}]}]}"#)
        let message = try #require(decoded.updates.first?.message)
        #expect(message.endpoint == EndpointReference(kind: .instagram, providerID: "ig"))
        #expect(message.sentAt == receivedAt)
    }

    @Test(
        arguments: [
            ("1700000000123", 1_700_000_000_123_000), ("1700000000", 1_700_000_000_000_000),
            ("\"1700000000123\"", 1_700_000_000_123_000), ("999999999999999999", Int64.max),
            ("null", 1_800_000_000_000_000),
        ] as [(String, Int64)])
    func `times are milliseconds, now and then seconds`(timestamp: String, microseconds: Int64) throws {
        let element =
            #"{"sender":{"id":"a"},"recipient":{"id":"b"},"timestamp":\#(timestamp),"message":{"mid":"m","text":"x"}}"#
        let decoded = decode(#"{"object":"page","entry":[{"id":"b","messaging":[\#(element)]}]}"#)
        #expect(try #require(decoded.updates.first?.message).sentAt == Timestamp(microseconds: microseconds))
    }
}
