import Messaging
import Routing

/// Rules and messages as they come: most rules look for words, many name a landlord or a property, a few look at every
/// message; most messages match none.
struct Workload {
    private(set) var rules: [Rule] = []
    private(set) var subjects: [RuleSubject] = []

    private static let words = """
        the boiler is out again and we have no hot water since yesterday evening could you please send somebody tomorrow
        morning thank you kitchen window does not close rent was paid on monday key lost neighbour noise parking garage
        lease ends next month deposit letter heating radiator cold broken door lock bathroom light bulb meter reading
        """.split(whereSeparator: \.isWhitespace).map(String.init)

    init(rules count: Int) {
        var random = LinearGenerator(state: 42)
        for number in 0..<count {
            var condition = RuleCondition()
            switch number % 20 {
            case 0..<11: condition.keywords = Self.keywords(.word, number)
            case 11..<13: condition.keywords = Self.keywords(.exact, number)
            case 13: condition.keywords = Self.keywords(.prefix, number)
            case 14..<17: condition.landlords = [Self.id(1, number)]
            case 17..<19: condition.properties = [Self.id(2, number)]
            default: condition.endpoints = ["endpoint \(number)"]
            }
            rules.append(
                Rule(name: "rule-\(number)", condition: condition, actions: [.hold], place: "rules.yaml:\(number)"))
        }
        var condition = RuleCondition()
        condition.states = [.unknown]
        rules.append(Rule(name: "strangers", condition: condition, actions: [.tag("stranger")], place: "rules.yaml:1"))
        for number in 0..<1000 {
            var words = (0..<Int(6 + random.next() % 14)).map { _ in Self.words.randomElement(using: &random) ?? "" }
            // One in ten says something a rule looks for.
            if number % 10 == 0 { words.append("wörd\(Int(random.next() % UInt64(count)) / 20 * 20)") }
            subjects.append(
                RuleSubject(
                    channel: .whatsApp, endpoint: "106540352242922", state: number % 50 == 0 ? .unknown : .known,
                    type: "text", text: words.joined(separator: " ").capitalized, at: Timestamp(seconds: 1_800_000_000),
                    landlords: [Self.id(1, Int(random.next() % UInt64(count)))],
                    properties: [Self.id(2, Int(random.next() % UInt64(count)))]))
        }
    }

    private static func keywords(_ match: Keyword.Match, _ number: Int) -> [Keyword] {
        ["Word\(number)", "other \(number) phrase"].compactMap { Keyword(match, $0) }
    }

    private static func id(_ kind: UInt64, _ number: Int) -> UniqueID { UniqueID(high: kind, low: UInt64(number)) }
}

extension String {
    /// As people write: a capital at the beginning.
    fileprivate var capitalized: String { prefix(1).uppercased() + dropFirst() + "." }
}

/// Numbers that are the same in every run.
struct LinearGenerator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return state ^ state >> 33
    }
}
