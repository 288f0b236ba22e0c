import Intake
import Messaging
import Routing

// `routing_metadata`: why a message went where it went.

extension RecordedMessage {
    /// With all that was decided beside the destination.
    func metadata(tableGeneration: UInt64, rulesGeneration: Int64) -> String {
        var members = destination.members(tableGeneration: tableGeneration)
        if rulesGeneration > 0 { members.append("\"rules\":\(rulesGeneration)") }
        // Names of rules are letters, digits, - and _.
        if !matchedRules.isEmpty {
            members.append("\"matched\":[\(matchedRules.map { "\"\($0)\"" }.joined(separator: ","))]")
        }
        if isWithheld { members.append("\"by_rule\":true") }
        var tags: [String] = []
        for order in orders {
            switch order.action {
            case .tag(let tag): tags.append(JSONString.quoted(tag))
            case .raisePriority: members.append("\"priority\":\"high\"")
            case .answer(let token):
                members.append("\"question\":\"\(token.question)\",\"choice\":\(token.choice)")
            default: break
            }
        }
        if !tags.isEmpty { members.append("\"tags\":[\(tags.joined(separator: ","))]") }
        return "{\(members.joined(separator: ","))}"
    }
}

extension RecordedMessage.Destination {
    /// Of a destination alone.
    func metadata(generation: UInt64) -> String {
        "{\(members(tableGeneration: generation).joined(separator: ","))}"
    }

    /// Ids and numbers alone, so nothing in it needs escaping. The ids of leases are the statement's to add.
    fileprivate func members(tableGeneration: UInt64) -> [String] {
        let table = "\"table\":\(tableGeneration)"
        switch self {
        case .lease(_, let rung), .thread(_, let rung), .landlord(_, let rung):
            return ["\"rung\":\"\(rung.rawValue)\"", table]
        case .held(let candidates, let threads):
            let choices = candidates.map(Self.choice) + threads.map(Self.choice)
            return ["\"rung\":\"held\"", table, "\"candidates\":[\(choices.joined(separator: ","))]"]
        case .unclaimed: return ["\"rung\":\"unclaimed\"", table]
        }
    }

    private static func choice(_ candidate: Candidate) -> String {
        "{\"landlord\":\"\(candidate.landlordID)\",\"key\":\(candidate.routeKey.value)}"
    }

    private static func choice(_ thread: ThreadReference) -> String {
        let others = [
            ("tenant", thread.tenantID), ("conversation", thread.conversationID), ("property", thread.propertyID),
        ]
        let members = others.compactMap { name, id in id.map { ",\"\(name)\":\"\($0)\"" } }
        return "{\"landlord\":\"\(thread.landlordID)\"\(members.joined())}"
    }
}

/// A text as JSON writes it.
enum JSONString {
    static func quoted(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": quoted += "\\\""
            case "\\": quoted += "\\\\"
            case ..<" ": quoted += "\\u00" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
            default: quoted.unicodeScalars.append(scalar)
            }
        }
        return quoted + "\""
    }
}
