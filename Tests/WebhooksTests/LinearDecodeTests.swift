import Messaging
import Testing

@testable import Webhooks

/// Bodies in which one long value meets each of many others. Read with one look at every byte they take a moment;
/// with one look at the long value for each of the others, hours.
@Suite struct LinearDecodeTests {
    private static let longText = #"\u0041"# + String(repeating: "A", count: 500_000)
    private static let longDigits = #"\u0034"# + String(repeating: "4", count: 500_000)

    private func list(_ count: Int, _ element: (Int) -> String) -> String {
        (0..<count).map(element).joined(separator: ",")
    }

    @Test func `a type that is compared with every member of its message`() {
        let members = list(60_000) { _ in #""a":1"# }
        let update = decode(message: #""from":"447911123456","id":"m","type":"\#(Self.longText)",\#(members)"#)
        #expect(update?.message?.type == String(repeating: "a", count: 32))
    }

    @Test func `a contact that is compared with every message`() {
        let messages = list(20_000) { #"{"from":"447911123456","id":"\#($0)"}"# }
        for id in ["wa_id", "user_id"] {
            let contacts = #"[{"\#(id)":"\#(Self.longText)"}]"#
            let decoded = decode(webhook(changes: change(#""contacts":\#(contacts),"messages":[\#(messages)]"#)))
            #expect(decoded.updates.count == 20_000)
        }
    }

    @Test func `a thread that all its messages were written in`() {
        let messages = list(20_000) { #"{"from":"447911123456","id":"\#($0)"}"# }
        let history = #""history":[{"threads":[{"id":"\#(Self.longDigits)","messages":[\#(messages)]}]}]"#
        let decoded = decode(webhook(changes: change(history, field: "history")))
        #expect(decoded.updates.map(\.summary) == Array(repeating: "history incoming unknown", count: 20_000))
    }

    @Test func `a number of ours that every thread is held against`() {
        let threads = list(30_000) { _ in #"{"messages":[]}"# } + #",{"messages":[{"from":"447911123456","id":"m"}]}"#
        let number = #""display_phone_number":"\#(Self.longDigits)""#
        for metadata in [number, list(60_000) { _ in #""a":1"# }] {
            let value = #"{"metadata":{"phone_number_id":"1",\#(metadata)},"history":[{"threads":[\#(threads)]}]}"#
            let decoded = decode(webhook(changes: #"{"field":"history","value":\#(value)}"#))
            #expect(decoded.updates.map(\.summary) == ["history incoming unknown"])
        }
    }

    @Test(arguments: [longDigits, "1." + String(repeating: "0", count: 500_000)])
    func `a time that all changes of an entry have`(time: String) {
        let changes = list(20_000) { _ in #"{"field":"security","value":{}}"# }
        let entry = #"{"id":"9","time":"\#(time)","changes":[\#(changes)]}"#
        let decoded = decode(#"{"object":"whatsapp_business_account","entry":[\#(entry)]}"#)
        #expect(decoded.updates.count == 20_000)
        #expect(decoded.updates.allSatisfy { $0.account?.at == receivedAt })
    }

    /// Texts of JSON, quotes included → whether both are the same.
    @Test(
        arguments: [
            (#""abc""#, #""abc""#, true), (#""abc""#, #""abd""#, false), (#""\u0061bc""#, #""abc""#, true),
            (#""abc""#, #""a\u0062c""#, true), (#""\u0061b""#, #""abc""#, false), (#""a\u0062c""#, #""ab""#, false),
            (#""\u00e9\ud83d\ude00""#, #""é😀""#, true), (#""\u00e9""#, #""\u00E9""#, true),
            (#""\u00e9""#, #""\u00e8""#, false), (#""\u0065\u0301""#, #""é""#, false),
            (#""\n\/""#, #""\u000a/""#, true),
            (#""\u0031""#, "1", true), ("1", #""1""#, true), ("1.0", "1", false), ("{}", "{}", false),
            ("null", "null", false), (#""\u0041""#, "[]", false), (#""""#, #""\u0041""#, false),
        ])
    func `escapes make no difference to what two texts are`(left: String, right: String, isSame: Bool) throws {
        for (first, second) in [(left, right), (right, left)] {
            try Array("[\(first),\(second)]".utf8).withUnsafeBytes { bytes in
                try withJSONDocument(bytes) { root in
                    let values = Array(root.elements)
                    #expect(values[0].hasSameText(as: values[1]) == isSame)
                }
            }
        }
    }

    @Test(arguments: [("wa_id", true), ("wa_i", false), ("wa_idx", false), ("", false)])
    func `a name may be written with escapes`(name: String, isSame: Bool) throws {
        let escaped = name.unicodeScalars.map { #"\u00\#(String($0.value, radix: 16))"# }.joined()
        try Array(#"["\#(escaped)"]"#.utf8).withUnsafeBytes { bytes in
            try withJSONDocument(bytes) { root in
                #expect(root.elements.contains { $0.isText("wa_id") } == isSame)
            }
        }
    }
}
