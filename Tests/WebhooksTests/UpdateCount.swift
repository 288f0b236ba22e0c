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
        return max(1, changes + messaging)
    }

    private static func change(_ json: Any) -> Int {
        guard let value = (json as? [String: Any])?["value"] as? [String: Any] else { return 1 }
        let direct = ["messages", "statuses", "message_echoes"].reduce(0) { $0 + ((value[$1] as? [Any])?.count ?? 0) }
        var past = 0
        for chunk in value["history"] as? [Any] ?? [] {
            for thread in (chunk as? [String: Any])?["threads"] as? [Any] ?? [] {
                past += ((thread as? [String: Any])?["messages"] as? [Any])?.count ?? 0
            }
        }
        return max(1, direct + past)
    }
}
