import Messaging
import Testing

@testable import Webhooks

/// Which updates a body has, and in which order.
@Suite struct MetaWebhookDecoderTests {
    private static let message = #"{"from":"447911123456","id":"m","timestamp":"1","type":"text","text":{"body":"x"}}"#
    private static let status = #"{"id":"s","status":"read","timestamp":"1"}"#

    /// A body → its label and its updates.
    @Test(
        arguments: [
            ("", "undecodable", ["undecodable not_json"]), ("hello", "undecodable", ["undecodable not_json"]),
            ("{}", "undecodable", ["undecodable unknown_shape"]), ("[]", "undecodable", ["undecodable unknown_shape"]),
            ("7", "undecodable", ["undecodable unknown_shape"]), ("null", "undecodable", ["undecodable unknown_shape"]),
            (#"{"object":"whatsapp_business_account"}"#, "undecodable", ["undecodable unknown_shape"]),
            (#"{"object":"page","entry":{}}"#, "undecodable", ["undecodable unknown_shape"]),
            (#"{"object":7,"entry":[{},{}]}"#, "undecodable", ["undecodable unknown_shape"]),
            (#"{"object":"page","entry":[]}"#, "empty", ["ignored empty"]),
            (#"{"object":"user","entry":[{},{}]}"#, "object:user", ["ignored object:user"]),
            (#"{"object":"page","entry":[{}]}"#, "entry", ["ignored entry"]),
            (
                #"{"entry":[{"changes":[]},{"changes":null},7]}"#, "mixed",
                ["ignored entry", "ignored entry", "undecodable unknown_shape"]
            ),
            (#"{"entry":[{"changes":{}}]}"#, "undecodable", ["undecodable bad_field"]),
            (
                #"{"object":"page","entry":[{"messaging":[{}],"standby":{"a":1}}]}"#, "mixed",
                ["ignored messenger:none", "undecodable bad_field"]
            ),
            (
                #"{"object":"page","entry":[{"messaging":[{},{}]},{"standby":[{}]}]}"#, "messenger",
                ["ignored messenger:none", "ignored messenger:none", "ignored messenger:none"]
            ),
            (
                #"{"object":"instagram","entry":[{"messaging":[{}],"changes":[{"field":"comments","value":{}}]}]}"#,
                "mixed",
                ["ignored field:comments", "ignored instagram:none"]
            ),
        ] as [(String, String, [String])])
    func `a body of any shape has at least one update`(body: String, event: String, updates: [String]) {
        let decoded = decode(body)
        #expect(decoded.event == event)
        #expect(decoded.updates.map(\.summary) == updates)
        #expect(UpdateCount.of(Array(body.utf8)) == updates.count)
    }

    /// The changes of an entry → its label and its updates.
    @Test(
        arguments: [
            (change(#""messages":[\#(message)],"statuses":[\#(status)]"#), "mixed", ["text", "read"]),
            (change(#""statuses":[\#(status)],"messages":[\#(message)]"#), "mixed", ["read", "text"]),
            (change(#""messages":[\#(message),\#(message)]"#), "messages", ["text", "text"]),
            (
                change(#""messages":[\#(message)]"#) + "," + change(#""messages":[\#(message)]"#), "messages",
                ["text", "text"]
            ),
            (
                change(#""messages":[\#(message)]"#) + "," + change(#""statuses":[\#(status)]"#), "mixed",
                ["text", "read"]
            ),
            (
                change(#""messages":[7,\#(message),null,[]]"#), "messages",
                ["undecodable bad_field", "text", "undecodable bad_field", "undecodable bad_field"]
            ),
            (change(#""messages":{"a":1}"#), "undecodable", ["undecodable bad_field"]),
            (change(#""messages":{"a":1},"statuses":[\#(status)]"#), "mixed", ["read", "undecodable bad_field"]),
            (change(#""messages":{"a":1},"statuses":7"#), "undecodable", ["undecodable bad_field"]),
            (change(#""messages":7,"messages":[\#(message)]"#), "messages", ["text"]),
            (change(#""messages":[\#(message)],"messages":[]"#), "messages", ["ignored field:messages"]),
            (change(#""messages":[],"errors":[{"code":1}]"#), "errors", ["ignored errors"]),
            (change(#""errors":[{"code":1}],"messages":[\#(message)]"#), "mixed", ["text", "ignored errors"]),
            (change(#""errors":[],"messages":[\#(message)]"#), "messages", ["text"]),
            (change(#""errors":[]"#), "messages", ["ignored field:messages"]),
            (change(#""errors":null"#), "messages", ["ignored field:messages"]),
            (change(#""errors":{"code":1}"#), "errors", ["ignored errors"]),
            (change(#""errors":[{"code":1}]"#, field: "flows"), "flows", ["account flows"]),
            (change(#""contacts":[]"#), "messages", ["ignored field:messages"]),
            (change(#""messages":null"#), "messages", ["ignored field:messages"]),
            (
                change(#""user_preferences":[{},{}]"#, field: "user_preferences"), "undecodable",
                ["undecodable missing_field"]
            ),
            (
                change(#""user_preferences":[]"#, field: "user_preferences"), "user_preferences",
                ["ignored field:user_preferences"]
            ),
            (change(#""messages":[\#(message)]"#, field: "history"), "history", ["history incoming text"]),
            (change(#""statuses":[\#(status)]"#, field: "history"), "history", ["ignored history"]),
            (change(#""messages":[\#(message)]"#, field: "New Field"), "new_field", ["ignored field:new_field"]),
            (
                change(#""message_echoes":[{},7]"#, field: "smb_message_echoes"), "smb_message_echoes",
                ["undecodable missing_field", "undecodable bad_field"]
            ),
            (
                change(
                    #""history":[{"threads":[{"messages":[{},{}]},{}]},7,{"errors":[]},{"threads":[{"messages":[1]}]}]"#,
                    field: "history"), "history",
                Array(repeating: "ignored history:unreadable", count: 4)
            ),
            (change(#""history":[{"errors":[{"code":2593109}]}]"#, field: "history"), "errors", ["ignored errors"]),
            (
                change(
                    #""history":[{"errors":[{"code":1}]},{"errors":[7],"threads":[{"messages":[\#(message)]}]}]"#,
                    field: "history"), "mixed", ["history incoming text", "ignored errors"]
            ),
            (
                change(
                    #""history":[{"threads":{"a":1}},{"threads":[{"messages":7},{"messages":null},8]}]"#,
                    field: "history"), "history",
                ["ignored history:unreadable", "ignored history:unreadable", "ignored history:unreadable"]
            ),
            (change(#""history":{"threads":[]}"#, field: "history"), "undecodable", ["undecodable bad_field"]),
            (
                change(#""user_preferences":{"wa_id":"447911123456","value":"stop"}"#, field: "user_preferences"),
                "undecodable", ["undecodable bad_field"]
            ),
            (
                change(
                    #""messages":[\#(message)],"user_preferences":[{"wa_id":"447911123456","value":"stop"}]"#),
                "messages", ["text", "preference stop"]
            ),
            (#"{"field":"messages"}"#, "undecodable", ["undecodable missing_field"]),
            (#"{"field":"messages","value":[]}"#, "undecodable", ["undecodable bad_field"]),
            (#"{"field":"account_update"}"#, "undecodable", ["undecodable missing_field"]),
            (#"{"field":"account_update","value":7}"#, "undecodable", ["undecodable bad_field"]),
            (#"{"field":"user_preferences","value":[]}"#, "undecodable", ["undecodable bad_field"]),
            (#"{"field":"history","value":"x"}"#, "undecodable", ["undecodable bad_field"]),
            (#"{"field":"calls","value":7}"#, "calls", ["ignored field:calls"]),
            ("[]", "undecodable", ["undecodable unknown_shape"]), ("{}", "none", ["ignored field:none"]),
            ("null," + change(#""messages":[\#(message)]"#), "mixed", ["undecodable unknown_shape", "text"]),
        ] as [(String, String, [String])])
    func `a change has the updates it lists, or one`(changes: String, event: String, updates: [String]) {
        let body = webhook(changes: changes)
        let decoded = decode(body)
        #expect(decoded.event == event)
        #expect(decoded.updates.map(\.summary) == updates)
        #expect(UpdateCount.of(Array(body.utf8)) == updates.count)
    }

    @Test func `members may stand in any order`() {
        let body = """
            {"entry":[{"changes":[{"field":"messages","value":{"messages":[\(Self.message)],
            "metadata":{"phone_number_id":1}}}]}],"object":"whatsapp_business_account"}
            """
        #expect(decode(body).updates.map { $0.message?.endpoint } == [sampleEndpoint])
    }

    @Test func `a whole batch keeps its order`() {
        let changes = (0..<10).map { index in
            let messages = (0..<20).map {
                #"{"from":"447911123456","id":"\#(index)-\#($0)","timestamp":"1","type":"text","text":{"body":"x"}}"#
            }
            return change(#""messages":[\#(messages.joined(separator: ","))]"#)
        }
        let entry = #"{"id":"9","changes":[\#(changes.joined(separator: ","))]}"#
        let decoded = decode(#"{"object":"whatsapp_business_account","entry":[\#(entry),\#(entry)]}"#)
        let ids = (0..<10).flatMap { index in (0..<20).map { "\(index)-\($0)" } }
        #expect(decoded.updates.map { $0.message?.id } == ids + ids)
    }

    @Test func `too many updates are one`() {
        let most = webhook(changes: change(#""statuses":[\#(String(repeating: "7,", count: 32_766))7]"#))
        #expect(decode(most).updates.count == 32_767)
        let more = webhook(changes: change(#""statuses":[\#(String(repeating: "7,", count: 32_767))7]"#))
        #expect(decode(more).updates.map(\.summary) == ["undecodable unknown_shape"])
        for bomb in ["{},", "{\"changes\":[{}]},"] {
            let count = 4 * 1024 * 1024 / bomb.utf8.count
            let body = #"{"object":"whatsapp_business_account","entry":[\#(String(repeating: bomb, count: count)){}]}"#
            #expect(decode(body).updates.map(\.summary) == ["undecodable unknown_shape"])
        }
    }

    @Test func `a bomb of depth is one update`() {
        let deep = String(repeating: "[", count: 100_000)
        #expect(decode(deep).updates.map(\.summary) == ["undecodable too_deep"])
        let members = #""messages":[{"id":"a","x":\#(deep)\#(String(repeating: "]", count: 100_000))}]"#
        #expect(decode(webhook(changes: change(members))).updates.map(\.summary) == ["undecodable too_deep"])
    }

    @Test func `many messages of one person with an enormous entry cost one look at it`() {
        let members = (0..<100_000).map { #""k\#($0)":1"# }.joined(separator: ",")
        let contacts = #"[{"wa_id":"447911123456",\#(members),"profile":{\#(members)}}]"#
        let messages = (0..<10_000).map { #"{"from":"447911123456","id":"\#($0)"}"# }.joined(separator: ",")
        let decoded = decode(webhook(changes: change(#""contacts":\#(contacts),"messages":[\#(messages)]"#)))
        #expect(decoded.updates.map(\.summary) == Array(repeating: "unknown", count: 10_000))
    }

    @Test func `labels are bounded`() {
        let field = String(repeating: "Ünïcode ", count: 40)
        let decoded = decode(webhook(changes: #"{"field":"\#(field)","value":{}}"#))
        guard case .ignored(let what) = decoded.updates.first else {
            Issue.record("not ignored")
            return
        }
        for label in [decoded.event, what] {
            #expect(label.utf8.count == 64)
            #expect(label.utf8.allSatisfy { "abcdefghijklmnopqrstuvwxyz0123456789_:.-".utf8.contains($0) })
        }
    }
}
