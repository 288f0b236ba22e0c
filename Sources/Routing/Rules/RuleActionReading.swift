import Messaging
import Yams

// What stands under `then:` of a rule.

extension RulesReader {
    private static let actionNames = [
        "reply", "assign", "ask", "hold", "tag", "priority", "notify", "forward", "opt_out", "opt_in", "withhold",
        "stop",
    ]
    /// A WhatsApp text holds 4096; the signature of nobody stands before it.
    static let replyLengthMax = 4096
    private static let labelLengthMax = 64

    /// - Returns: `nil` after an error was reported.
    mutating func readActions(_ node: Node, rule: String) -> (actions: [RuleAction], stops: Bool)? {
        let before = errors.count
        var actions: [RuleAction] = []
        var stops = false
        for node in elements(node) {
            guard let (name, value) = named(node) else { continue }
            if name == "stop" {
                stops = true
            } else if let action = action(name, value, at: node) {
                if action.isDestination, actions.contains(where: \.isDestination) {
                    fail(node, name, problem: "a rule sends a message to one place", hint: "Keep assign, ask or hold.")
                }
                actions.append(action)
            }
        }
        if errors.count == before, actions.isEmpty, !stops {
            fail(node, rule, problem: "the rule does nothing", hint: "Give it an action, or stop.")
        }
        return errors.count == before ? (actions, stops) : nil
    }

    /// `hold`, or `reply: …` as a mapping of one key.
    private mutating func named(_ node: Node) -> (name: String, value: Node?)? {
        let hint = "Known actions: \(Self.actionNames.joined(separator: ", "))."
        if let text = node.scalar?.string {
            if Self.actionNames.contains(text) { return (text, nil) }
            fail(node, text, problem: "unknown action", hint: hint)
            return nil
        }
        guard case .mapping(let mapping) = node, mapping.count == 1, let entry = mapping.first else {
            fail(node, problem: "an action must be a word, or one 'name: value'", hint: hint)
            return nil
        }
        guard let name = entry.key.scalar?.string, Self.actionNames.contains(name) else {
            fail(entry.key, entry.key.scalar?.string, problem: "unknown action", hint: hint)
            return nil
        }
        return (name, entry.value)
    }

    private mutating func action(_ name: String, _ value: Node?, at node: Node) -> RuleAction? {
        switch name {
        case "ask", "hold", "withhold", "opt_out", "opt_in", "priority":
            if let value, !(name == "priority" && value.scalar?.string == "high") {
                fail(value, value.scalar?.string, problem: "'\(name)' takes no value", hint: "Write it alone: \(name)")
                return nil
            }
            return Self.plainActions[name]
        default:
            guard let value else {
                fail(node, name, problem: "'\(name)' needs a value", hint: "Write: \(name): …")
                return nil
            }
            return action(name, with: value)
        }
    }

    private static let plainActions: [String: RuleAction] = [
        "ask": .ask, "hold": .hold, "withhold": .withhold, "opt_out": .optOut, "opt_in": .optIn,
        "priority": .raisePriority,
    ]

    private mutating func action(_ name: String, with value: Node) -> RuleAction? {
        switch name {
        case "reply":
            guard case .mapping = value else { return text(value, name, Self.replyLengthMax).map(RuleAction.reply) }
            guard let keys = mapping(value, named: "reply", knownKeys: ["template", "language"]) else { return nil }
            guard let template = keys["template"] else {
                fail(value, problem: "a reply has neither text nor template", hint: "Write: reply: \"…\"")
                return nil
            }
            guard let template = text(template, "template", 512) else { return nil }
            let language = keys["language"].map { text($0, "language", 16) } ?? "en"
            return language.map { .replyTemplate(name: template, language: $0) }
        case "assign":
            let ids = identifiers(value, key: "assign")
            guard ids.count == 1 else {
                if ids.count > 1 { fail(value, problem: "'assign' names several landlords", hint: "Name one.") }
                return nil
            }
            return .assign(ids[0])
        case "tag": return text(value, name, Self.labelLengthMax).map(RuleAction.tag)
        case "notify": return text(value, name, Self.labelLengthMax).map(RuleAction.notify)
        default: return downstream(value).map(RuleAction.forward)
        }
    }

    /// The name of an endpoint that a setting defines.
    private mutating func downstream(_ node: Node) -> String? {
        guard let name = text(node, "forward", Self.labelLengthMax) else { return nil }
        guard let downstreams, !downstreams.contains(name) else { return name }
        let hint =
            downstreams.isEmpty
            ? "Define it where the gateway is started: GATEWAY_DOWNSTREAMS=\"crm=https://…\"."
            : "GATEWAY_DOWNSTREAMS defines: \(downstreams.sorted().joined(separator: ", "))."
        fail(node, name, problem: "no setting defines this endpoint", hint: hint)
        return nil
    }

    mutating func text(_ node: Node, _ key: String, _ lengthMax: Int) -> String? {
        guard let text = string(node, key: key) else { return nil }
        guard !text.isEmpty, text.utf16.count <= lengthMax, !text.unicodeScalars.contains("\u{0}") else {
            fail(node, text, problem: "'\(key)' has \(text.utf16.count) characters", hint: "Use 1 to \(lengthMax).")
            return nil
        }
        return text
    }
}
