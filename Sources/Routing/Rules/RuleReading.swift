import Messaging
import Yams

// The part of a rules file under `rules:`.

extension RulesReader {
    private static let ruleKeys = ["name", "when", "then", "continue"]
    private static let conditionKeys = [
        "channel", "endpoint", "state", "keyword", "type", "time", "landlord", "property", "business",
    ]
    /// More are no rules any more but data, which belong in the database.
    static let rulesMax = 100_000

    mutating func readRules(_ node: Node) {
        guard let nodes = list(node, key: "rules") else { return }
        for node in nodes {
            guard collected.count < Self.rulesMax else {
                fail(node, problem: "there are more than \(Self.rulesMax) rules", hint: "Remove some.")
                return
            }
            if let rule = readRule(node) { collected.append(rule) }
        }
    }

    private mutating func readRule(_ node: Node) -> Rule? {
        guard let keys = mapping(node, named: "a rule", knownKeys: Self.ruleKeys) else { return nil }
        let place = place(of: node)
        guard let nameNode = keys["name"] else {
            fail(node, problem: "a rule has no name", hint: "Give it one: name: stop-words")
            return nil
        }
        guard let name = ruleName(nameNode) else { return nil }
        var condition: RuleCondition? = RuleCondition()
        if let when = keys["when"] { condition = readCondition(when) }
        guard let then = keys["then"] else {
            fail(node, name, problem: "the rule has no 'then'", hint: "Say what it does: then: [hold]")
            return nil
        }
        let actions = readActions(then, rule: name)
        var continues = keys["continue"].map { boolean($0, key: "continue") } ?? false
        if actions?.stops == true { continues = false }
        guard let condition, let actions, let continues else { return nil }
        return Rule(name: name, condition: condition, actions: actions.actions, continues: continues, place: place)
    }

    private mutating func ruleName(_ node: Node) -> String? {
        guard let name = string(node, key: "name") else { return nil }
        guard Rule.isName(name) else {
            fail(
                node, name, problem: "this is no name for a rule",
                hint: "Use 1 to \(Rule.nameLengthMax) letters, digits, - and _.")
            return nil
        }
        return define("rule \(name)", at: node) ? name : nil
    }

    // MARK: Conditions

    private mutating func readCondition(_ node: Node) -> RuleCondition? {
        guard let keys = mapping(node, named: "when", knownKeys: Self.conditionKeys) else { return nil }
        let before = errors.count
        var condition = RuleCondition()
        if let node = keys["channel"] { condition.channels = Set(words(node, key: "channel", RuleChannel.self)) }
        if let node = keys["state"] { condition.states = Set(words(node, key: "state", RouteState.self)) }
        if let node = keys["endpoint"] { condition.endpoints = Set(texts(node, key: "endpoint")) }
        if let node = keys["type"] { condition.types = Set(texts(node, key: "type")) }
        if let node = keys["landlord"] { condition.landlords = Set(identifiers(node, key: "landlord")) }
        if let node = keys["property"] { condition.properties = Set(identifiers(node, key: "property")) }
        if let node = keys["business"] { condition.businesses = Set(identifiers(node, key: "business")) }
        if let node = keys["keyword"] { condition.keywords = keywords(node) }
        if let node = keys["time"] { condition.time = window(node) }
        return errors.count == before ? condition : nil
    }

    /// `keyword: [stop, end]` means words; `keyword: {exact: […], word: […], prefix: […]}` says how they match.
    private mutating func keywords(_ node: Node) -> [Keyword] {
        guard case .mapping = node else { return keywords(node, .word) }
        let kinds = Keyword.Match.allCases.map(\.rawValue)
        guard let keys = mapping(node, named: "keyword", knownKeys: kinds) else { return [] }
        return Keyword.Match.allCases.flatMap { match in
            keys[match.rawValue].map { keywords($0, match) } ?? []
        }
    }

    private mutating func keywords(_ node: Node, _ match: Keyword.Match) -> [Keyword] {
        textNodes(node, key: "keyword").compactMap { node, text in
            if let keyword = Keyword(match, text) { return keyword }
            fail(node, text, problem: "a keyword has no letter or digit", hint: "Write a word people use.")
            return nil
        }
    }

    private static let weekdays = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

    private mutating func window(_ node: Node) -> TimeWindow? {
        let known = ["zone", "days", "from", "to", "outside"]
        guard let keys = mapping(node, named: "time", knownKeys: known) else { return nil }
        guard let zoneNode = keys["zone"], let zone = string(zoneNode, key: "zone") else {
            fail(node, problem: "a time has no zone", hint: "Write, for example: zone: Europe/London")
            return nil
        }
        guard isTimeZone(zone) else {
            fail(zoneNode, zone, problem: "this time zone is not known", hint: "Write, for example: Europe/London")
            return nil
        }
        var days = Set(0...6)
        if let node = keys["days"] {
            days = Set(
                textNodes(node, key: "days").compactMap { node, text in
                    if let day = Self.weekdays.firstIndex(of: String(text.lowercased().prefix(3))) { return day }
                    fail(node, text, problem: "this is no weekday", hint: "Use mon, tue, wed, thu, fri, sat, sun.")
                    return nil
                })
        }
        let from = keys["from"].map { minutes($0, key: "from") } ?? 0
        let to = keys["to"].map { minutes($0, key: "to") } ?? 24 * 60
        let isOutside = keys["outside"].map { boolean($0, key: "outside") } ?? false
        guard let from, let to, let isOutside else { return nil }
        guard from != to else {
            fail(node, problem: "the time ends when it begins", hint: "Leave 'from' and 'to' out for whole days.")
            return nil
        }
        return TimeWindow(zone: zone, days: days, from: from, to: to, isOutside: isOutside)
    }

    /// `"17:30"` as minutes since midnight; `"24:00"` is the end of a day.
    private mutating func minutes(_ node: Node, key: String) -> Int? {
        let text = node.scalar?.string ?? ""
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        if parts.count == 2, parts[0].utf8.count <= 2, parts[1].utf8.count == 2, let hour = Int(parts[0]),
            let minute = Int(parts[1]), (0...59).contains(minute), (0...23).contains(hour) || hour == 24 && minute == 0
        {
            return hour * 60 + minute
        }
        fail(node, text, problem: "'\(key)' is no time of day", hint: "Write, for example: \(key): \"17:30\"")
        return nil
    }
}
