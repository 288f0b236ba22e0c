import Foundation

/// The webhooks that are decoded.
enum Workload {
    /// Texts as Meta writes them, some 0.7 kB: each with its own ids, sender and words.
    static func texts(count: Int) -> [[UInt8]] {
        (0..<count).map { number in
            let phone = 447_911_000_000 + number * 7919
            let contact =
                #"{"profile":{"name":"Ann\u00e9 Example \#(number)","username":"@ann.example.\#(number)","#
                + #""country_code":"GB"},"wa_id":"\#(phone)","user_id":"GB.\#(phone)91418"}"#
            let message =
                #"{"from":"\#(phone)","from_user_id":"GB.\#(phone)91418","id":"\#(id(number))","#
                + #""timestamp":"\#(1_790_000_000 + number)","text":{"body":"\#(words(number))"},"type":"text"}"#
            return webhook(#""contacts":[\#(contact)],"messages":[\#(message)]"#)
        }
    }

    /// Statuses of our own messages, with their price and what we attached.
    static func statuses(count: Int) -> [[UInt8]] {
        (0..<count).map { number in
            let phone = 447_911_000_000 + number * 7919
            let reference = "019a7f3e-5b6c-7d00-8000-\(String(format: "%012x", number)),1790000000123456"
            let status =
                #"{"id":"\#(id(number))","status":"\#(["sent", "delivered", "read"][number % 3])","#
                + #""timestamp":"\#(1_790_000_000 + number)","recipient_id":"\#(phone)","#
                + #""recipient_user_id":"GB.\#(phone)91418","biz_opaque_callback_data":"\#(reference)","#
                + #""pricing":{"billable":true,"pricing_model":"PMP","category":"utility","type":"regular"}}"#
            return webhook(#""statuses":[\#(status)]"#)
        }
    }

    /// Everything Meta's documentation shows, and the tests read.
    static func samples() -> [[UInt8]] {
        let folder = URL(filePath: #filePath).appending(path: "../../../../Tests/Fixtures/meta-samples").standardized
        let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        let samples = names.sorted().compactMap { try? Data(contentsOf: folder.appending(path: $0)) }
        precondition(!samples.isEmpty, "no samples in \(folder.path)")
        return samples.map { [UInt8]($0) }
    }

    private static func webhook(_ members: String) -> [UInt8] {
        let metadata = #"{"display_phone_number":"15550783881","phone_number_id":"106540352242922"}"#
        let value = #"{"messaging_product":"whatsapp","metadata":\#(metadata),\#(members)}"#
        return Array(
            (#"{"object":"whatsapp_business_account","entry":[{"id":"102290129340398","changes":"#
                + #"[{"value":\#(value),"field":"messages"}]}]}"#).utf8)
    }

    private static func id(_ number: Int) -> String {
        let text = "447911\(number)ABCDEFGHIJKLMNOPQRSTUVWX\(number * 31)"
        return "wamid." + Data(text.utf8).base64EncodedString().replacing("/", with: "\\/")
    }

    private static func words(_ number: Int) -> String {
        let texts = [
            "The boiler is out again, could somebody come by tomorrow morning?",
            "Thanks! I\\u2019ll be home after six.", "Is the flat on the second floor still free \\ud83d\\ude0a?",
            "Rent for March is paid, the receipt is attached to my mail of yesterday evening. Best, Ann",
        ]
        return texts[number % texts.count] + " (\(number))"
    }
}

/// The members the gateway reads, as `Codable` would have them.
struct CodableWebhook: Decodable {
    struct Entry: Decodable {
        var id: String?
        var changes: [Change]?
    }
    struct Change: Decodable {
        var field: String?
        var value: Value?
    }
    struct Value: Decodable {
        var metadata: Metadata?
        var contacts: [Contact]?
        var messages: [Message]?
        var statuses: [Status]?
    }
    struct Metadata: Decodable { var phone_number_id: String? }
    struct Contact: Decodable {
        struct Profile: Decodable { var name: String? }
        var profile: Profile?
        var wa_id: String?
        var user_id: String?
    }
    struct Message: Decodable {
        struct Text: Decodable { var body: String? }
        struct Context: Decodable { var id: String? }
        var from: String?
        var from_user_id: String?
        var id: String
        var timestamp: String?
        var type: String?
        var text: Text?
        var context: Context?
    }
    struct Status: Decodable {
        struct Pricing: Decodable {
            var billable: Bool?
            var pricing_model: String?
            var category: String?
        }
        var id: String
        var status: String
        var timestamp: String?
        var recipient_id: String?
        var recipient_user_id: String?
        var biz_opaque_callback_data: String?
        var pricing: Pricing?
    }
    var entry: [Entry]
}
