import Foundation

/// The number of updates in a body, counted by the rule and with another reader than the product's.
enum UpdateCount {
    static func of(_ body: [UInt8]) -> Int {
        guard let json = try? JSONSerialization.jsonObject(with: Data(body), options: .fragmentsAllowed) else {
            return 1
        }
        return of(json)
    }

    static func of(_ json: Any) -> Int {
        guard let root = json as? [String: Any], let entries = root["entry"] as? [Any] else { return 1 }
        switch root["object"] {
        case nil, is NSNull: break
        case let object as String where ["whatsapp_business_account", "page", "instagram"].contains(object): break
        default: return 1
        }
        let isWhatsApp = (root["object"] as? String).map { $0 == "whatsapp_business_account" } ?? true
        return max(1, entries.reduce(0) { $0 + entry($1, isWhatsApp) })
    }

    private static func entry(_ json: Any, _ isWhatsApp: Bool) -> Int {
        guard let entry = json as? [String: Any] else { return 1 }
        let changes = (entry["changes"] as? [Any] ?? []).reduce(0) { $0 + (isWhatsApp ? change($1) : 1) }
        let messaging = ["messaging", "standby"].reduce(0) { $0 + ((entry[$1] as? [Any])?.count ?? 0) }
        let isDamaged = ["changes", "messaging", "standby"].contains { isMisshapen(entry[$0]) }
        return max(1, changes + messaging + (isDamaged ? 1 : 0))
    }

    private static func change(_ json: Any) -> Int {
        guard let change = json as? [String: Any], let value = change["value"] as? [String: Any] else { return 1 }
        let lists = ["messages", "statuses", "message_echoes"]
        let direct = lists.reduce(0) { $0 + ((value[$1] as? [Any])?.count ?? 0) }
        let chunks = value["history"] as? [Any] ?? []
        let past = chunks.reduce(0) { count, chunk in
            count + parts(chunk, "threads") { thread in parts(thread, "messages") { _ in 1 } }
        }
        let isDamaged = (lists + ["history"]).contains { isMisshapen(value[$0]) }
        let field = change["field"] as? String
        let isOfMessages = field.map { ["messages", "history"].contains($0) } ?? (value["messaging_product"] != nil)
        let hasErrors =
            isOfMessages && holdsSomething(value["errors"])
            || chunks.contains { holdsSomething(($0 as? [String: Any])?["errors"]) }
        let others = [isDamaged, holdsSomething(value["user_preferences"]), hasErrors].filter { $0 }
        return max(1, direct + past + others.count)
    }

    /// What the elements of a part's list add up to; one where the part is no object or the list no list.
    private static func parts(_ json: Any, _ name: String, _ count: (Any) -> Int) -> Int {
        guard let part = json as? [String: Any] else { return 1 }
        if isMisshapen(part[name]) { return 1 }
        return (part[name] as? [Any] ?? []).reduce(0) { $0 + count($1) }
    }

    private static func isMisshapen(_ json: Any?) -> Bool { json.map { !($0 is NSNull) && !($0 is [Any]) } ?? false }

    private static func holdsSomething(_ json: Any?) -> Bool {
        isMisshapen(json) || (json as? [Any]).map { !$0.isEmpty } ?? false
    }
}
