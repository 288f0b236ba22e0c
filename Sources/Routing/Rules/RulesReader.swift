import Messaging
import Yams

/// Goes through the rules files one after the other and keeps what they set, and what is wrong with them.
struct RulesReader {
    private(set) var settings = RoutingRules.standard
    private(set) var errors: [RulesError] = []
    /// In the order of files and lines.
    var collected: [Rule] = []
    let isTimeZone: (String) -> Bool
    /// Names that `forward` may use; `nil` = any.
    let downstreams: Set<String>?
    /// Where each setting was made: making it twice is an error, for nobody could say which one holds.
    private var definitions: [String: String] = [:]
    /// The file being read.
    private(set) var file = ""

    private static let version = 1
    /// Mistakes that are named; a file can hold half a million of them.
    static let errorsMax = 10_000

    init(downstreams: Set<String>?, isTimeZone: @escaping (String) -> Bool) {
        self.downstreams = downstreams
        self.isTimeZone = isTimeZone
    }

    /// What was read, if nothing is wrong.
    var rules: RoutingRules {
        var rules = settings
        rules.rules = RuleSet(collected)
        return rules
    }

    mutating func read(_ file: RulesFile) {
        self.file = file.name
        do {
            let document = try RulesDocument(file)
            settings.digest = document.digest(after: settings.digest)
            readTop(document.root)
        } catch {
            errors.append(error)
        }
    }

    private mutating func readTop(_ root: Node) {
        let known = ["version", "signature", "ladder", "unknown_sender", "rules"]
        guard let keys = mapping(root, named: "a rules file", knownKeys: known) else { return }
        if let version = keys["version"] {
            _ = integer(version, key: "version", range: Self.version...Self.version)
        } else {
            fail(root, problem: "the key 'version' is missing", hint: "Begin the file with: version: \(Self.version)")
        }
        if let signature = keys["signature"], define("signature", at: signature) { readSignature(signature) }
        if let ladder = keys["ladder"], define("ladder", at: ladder) { readLadder(ladder) }
        if let policy = keys["unknown_sender"], define("unknown_sender", at: policy) { readUnknownSender(policy) }
        if let rules = keys["rules"] { readRules(rules) }
    }

    private mutating func readSignature(_ node: Node) {
        guard let text = string(node, key: "signature") else { return }
        let example = "Write, for example: signature: \"\(LandlordSignature.standard.template)\""
        if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control && $0 != "\n" }) {
            fail(node, text, problem: "the signature contains control characters", hint: example)
        } else if let template = LandlordSignature(template: text) {
            settings.signature = template
        } else if text.contains("{landlord}") {
            fail(node, text, problem: "the signature has \(text.count) characters", hint: "At most 120 are allowed.")
        } else {
            fail(node, text, problem: "the signature does not contain {landlord}", hint: example)
        }
    }

    private mutating func readLadder(_ node: Node) {
        let known = [
            "landlord_spoke_hours", "ask", "ask_text", "ask_button", "ask_number_hint", "ask_timeout_hours",
            "after_timeout",
        ]
        guard let keys = mapping(node, named: "ladder", knownKeys: known) else { return }
        if let hours = keys["landlord_spoke_hours"],
            let value = integer(hours, key: "landlord_spoke_hours", range: RoutingRules.landlordSpokeHoursRange)
        {
            settings.landlordSpokeHours = value
        }
        if let ask = keys["ask"], let value = boolean(ask, key: "ask") { settings.asks = value }
        if let hours = keys["ask_timeout_hours"],
            let value = integer(hours, key: "ask_timeout_hours", range: RoutingRules.askTimeoutHoursRange)
        {
            settings.askTimeoutHours = value
        }
        if let after = keys["after_timeout"] { readAfterTimeout(after) }
        readWording(keys)
    }

    private mutating func readWording(_ keys: [String: Node]) {
        if let node = keys["ask_text"], let text = text(node, "ask_text", QuestionWording.textLengthMax) {
            settings.question.text = text
        }
        if let node = keys["ask_button"], let text = text(node, "ask_button", QuestionWording.buttonLengthMax) {
            settings.question.button = text
        }
        if let node = keys["ask_number_hint"],
            let text = text(node, "ask_number_hint", QuestionWording.textLengthMax)
        {
            settings.question.numberHint = text
        }
    }

    /// `hold`, or `assign: <landlord>`.
    private mutating func readAfterTimeout(_ node: Node) {
        if node.scalar?.string == "hold" {
            settings.afterTimeout = .hold
        } else if let keys = mapping(node, named: "after_timeout", knownKeys: ["assign"]),
            let landlord = keys["assign"].map({ identifiers($0, key: "assign") })?.first
        {
            settings.afterTimeout = .assign(landlord)
        }
    }

    private mutating func readUnknownSender(_ node: Node) {
        guard let keys = mapping(node, named: "unknown_sender", knownKeys: ["reply", "every_hours"])
        else { return }
        if let reply = keys["reply"] { settings.unknownSenderReply = text(reply, "reply", Self.replyLengthMax) }
        if let hours = keys["every_hours"],
            let value = integer(hours, key: "every_hours", range: RoutingRules.unknownSenderHoursRange)
        {
            settings.unknownSenderHours = value
        }
    }

    // MARK: Reading nodes

    /// The values of a mapping by key, after each unknown key was reported.
    mutating func mapping(_ node: Node, named name: String, knownKeys: [String]) -> [String: Node]? {
        guard case .mapping(let mapping) = node else {
            let kind = node.scalar == nil ? "a list" : "a single value"
            fail(
                node, node.scalar?.string, problem: "\(name) must be made of 'key: value' lines, not \(kind)",
                hint: "Known keys: \(knownKeys.joined(separator: ", ")).")
            return nil
        }
        var values: [String: Node] = [:]
        for (key, value) in mapping {
            if let text = key.scalar?.string, knownKeys.contains(text) {
                values[text] = value
            } else {
                fail(
                    key, key.scalar?.string, problem: "unknown key in \(name)",
                    hint: "Known keys: \(knownKeys.joined(separator: ", ")).")
            }
        }
        return values
    }

    mutating func string(_ node: Node, key: String) -> String? {
        guard let scalar = node.scalar, scalar.style != .plain || !Self.isOtherType(scalar.string) else {
            fail(node, node.scalar?.string, problem: "'\(key)' must be a text", hint: "Put the text in double quotes.")
            return nil
        }
        return scalar.string
    }

    private mutating func integer(_ node: Node, key: String, range: ClosedRange<Int>) -> Int? {
        let (least, most) = (range.lowerBound, range.upperBound)
        let hint = least == most ? "Write: \(key): \(least)" : "Write a whole number from \(least) to \(most)."
        guard let scalar = node.scalar, scalar.style == .plain, let value = Int(scalar.string) else {
            fail(node, node.scalar?.string, problem: "'\(key)' must be a whole number", hint: hint)
            return nil
        }
        guard range.contains(value) else {
            fail(node, scalar.string, problem: "'\(key)' is out of range", hint: hint)
            return nil
        }
        return value
    }

    /// Whether YAML reads an unquoted text as null, a truth value or a number.
    private static func isOtherType(_ text: String) -> Bool {
        ["", "~", "null", "true", "false", "yes", "no", "on", "off"].contains(text.lowercased()) || Double(text) != nil
    }

    // MARK: Reporting

    /// `stop-words.yaml:12`.
    func place(of node: Node) -> String { "\(file):\(node.mark?.line ?? 1)" }

    mutating func define(_ setting: String, at node: Node) -> Bool {
        let place = place(of: node)
        if let first = definitions.updateValue(place, forKey: setting) {
            definitions[setting] = first
            fail(node, setting, problem: "'\(setting)' is already set in \(first)", hint: "Keep it in one file only.")
            return false
        }
        return true
    }

    mutating func fail(_ node: Node, _ text: String? = nil, problem: String, hint: String) {
        guard errors.count < Self.errorsMax else {
            if errors.count == Self.errorsMax {
                errors.append(
                    RulesError(
                        file: file, line: node.mark?.line, column: node.mark?.column,
                        problem: "there are more than \(Self.errorsMax) mistakes, and the rest is not named",
                        hint: "Mend those that are."))
            }
            return
        }
        errors.append(
            RulesError(
                file: file, line: node.mark?.line, column: node.mark?.column, offendingText: text, problem: problem,
                hint: hint))
    }
}
