import Messaging
import Testing

@testable import Routing

@Suite struct RuleSetTests {
    private static func rule(
        _ name: String, continues: Bool = false, _ change: (inout RuleCondition) -> Void = { _ in }
    ) -> Rule {
        var condition = RuleCondition()
        change(&condition)
        return Rule(name: name, condition: condition, actions: [.hold], continues: continues, place: "a.yaml:1")
    }

    private static func subject(
        _ text: String?, state: RouteState = .known, type: String = "text", landlords: [UniqueID] = [],
        at: Timestamp = Timestamp(seconds: 0)
    ) -> RuleSubject {
        RuleSubject(
            channel: .whatsApp, endpoint: "1", state: state, type: type, text: text, at: at, landlords: landlords)
    }

    private static func names(_ rules: [Rule], _ subject: RuleSubject) -> [String] {
        RuleSet(rules).matches(subject) { _ in 0 }.map(\.name)
    }

    @Test func `the first match wins unless it continues`() {
        let rules = [
            Self.rule("a", continues: true), Self.rule("b") { $0.states = [.unknown] }, Self.rule("c"), Self.rule("d"),
        ]
        #expect(Self.names(rules, Self.subject("hello")) == ["a", "c"])
        #expect(Self.names(rules, Self.subject("hello", state: .unknown)) == ["a", "b"])
        #expect(Self.names([], Self.subject("hello")).isEmpty)
    }

    @Test(
        arguments: [
            (.exact, "stop", "STOP!", true), (.exact, "stop", "please stop", false),
            (.exact, "stop all", "Stop  all.", true),
            (.word, "gas leak", "There is a GAS-LEAK here", true), (.word, "gas leak", "gas, then a leak", false),
            (.word, "leak", "leaking", false), (.prefix, "leak", "leaking tap", true),
            (.prefix, "leak", "a leak", false),
            (.prefix, "no hot wa", "No hot water", true), (.prefix, "no hot wa", "no hotwater", false),
            (.word, "feuer", "FEUER", true), (.word, "arrêt", "ARRET", true), (.word, "arret", "arrêt", true),
            (.word, "Straße", "STRASSE", true), (.word, "dừng", "dung", true), (.word, "στοπ", "ΣΤΌΠ", true),
            (.word, "стоп", "СТОП", true), (.word, "dont", "don't", true), (.word, "dont", "don’t", true),
            (.word, "🔥", "there is🔥here", true), (.word, "stop", "e\u{301}stop", false), (.exact, "stop", "", false),
        ] as [(Keyword.Match, String, String, Bool)])
    func `keywords ignore case, accents and punctuation`(
        match: Keyword.Match, keyword: String, text: String, isFound: Bool
    ) throws {
        let wanted = try #require(Keyword(match, keyword))
        #expect(wanted.isFound(in: FoldedText(text)) == isFound)
        #expect(
            Self.names([Self.rule("a") { $0.keywords = [wanted] }], Self.subject(text)) == (isFound ? ["a"] : []))
    }

    @Test(
        arguments: [
            // 2026-06-01 is a Monday; London is an hour ahead of UTC then.
            ("2026-06-01T08:00", true), ("2026-06-01T16:29", true), ("2026-06-01T16:30", false),
            ("2026-06-01T07:59", false), ("2026-06-06T10:00", false),
        ])
    func `office hours are local`(time: String, isInside: Bool) throws {
        let window = TimeWindow(zone: "Europe/London", days: Set(0...4), from: 9 * 60, to: 17 * 60 + 30)
        let moment = try #require(Self.moment(time))
        #expect(window.contains(moment, secondsFromUTC: 3600) == isInside)
        var outside = window
        outside.isOutside = true
        #expect(outside.contains(moment, secondsFromUTC: 3600) != isInside)
    }

    @Test(arguments: [
        ("2026-06-05T23:00", true), ("2026-06-06T05:59", true), ("2026-06-06T06:00", false),
        ("2026-06-06T23:00", false), ("2026-06-05T05:00", false),
    ])
    func `a window over midnight counts as the day it began on`(time: String, isInside: Bool) throws {
        let window = TimeWindow(zone: "UTC", days: [4], from: 22 * 60, to: 6 * 60)
        #expect(window.contains(try #require(Self.moment(time)), secondsFromUTC: 0) == isInside)
    }

    private static func moment(_ text: String) -> Timestamp? {
        let parts = text.split(whereSeparator: { "-T:".contains($0) }).compactMap { Int($0) }
        guard parts.count == 5 else { return nil }
        let day = CalendarDay(year: parts[0], month: parts[1], day: parts[2])
        return Timestamp(seconds: Int64(day.daysSince1970) * 86_400 + Int64(parts[3] * 3600 + parts[4] * 60))
    }

    @Test func `a rule for a zone nobody knows does not apply`() {
        let rule = Self.rule("a") { $0.time = TimeWindow(zone: "X", days: Set(0...6), from: 0, to: 1440) }
        #expect(RuleSet([rule]).matches(Self.subject("x")) { _ in nil }.isEmpty)
        #expect(RuleSet([rule]).matches(Self.subject("x")) { _ in 0 }.count == 1)
    }

    /// What the indexes find is what trying every rule in turn finds.
    @Test(arguments: 0..<40)
    func `indexes find what trying every rule finds`(round: Int) throws {
        var generator = SystemRandomNumberGenerator()
        let seed = UInt64.random(in: .min ... .max, using: &generator)
        var random = SplitMix(state: seed)
        let vocabulary = ["stop", "stopp", "gas", "leak", "hot", "water", "no", "é", "x1"]
        let ids = (0..<4).map { UniqueID(high: UInt64($0), low: 7) }
        let rules = (0..<60).map { number in
            Self.rule("\(number)", continues: Int.random(in: 0..<3, using: &random) > 0) { condition in
                for _ in 0..<Int.random(in: 0...2, using: &random) {
                    let words = (0...Int.random(in: 0...1, using: &random)).map { _ in
                        vocabulary.randomElement(using: &random)!
                    }
                    condition.keywords.append(
                        Keyword(Keyword.Match.allCases.randomElement(using: &random)!, words.joined(separator: " "))!)
                }
                if Bool.random(using: &random) {
                    condition.states = [RouteState.allCases.randomElement(using: &random)!]
                }
                if Bool.random(using: &random) { condition.landlords = [ids.randomElement(using: &random)!] }
                if Bool.random(using: &random) { condition.properties = [ids.randomElement(using: &random)!] }
            }
        }
        let set = RuleSet(rules)
        for _ in 0..<50 {
            let words = (0..<Int.random(in: 0...5, using: &random)).map { _ in vocabulary.randomElement(using: &random)!
            }
            var subject = Self.subject(
                words.joined(separator: " "), state: RouteState.allCases.randomElement(using: &random)!,
                landlords: ids.filter { _ in Bool.random(using: &random) })
            subject.properties = ids.filter { _ in Bool.random(using: &random) }
            var expected: [String] = []
            for rule in rules
            where rule.condition.holds(for: subject, FoldedText(subject.text ?? ""), secondsFromUTC: { _ in 0 }) {
                expected.append(rule.name)
                if !rule.continues { break }
            }
            #expect(set.matches(subject) { _ in 0 }.map(\.name) == expected, "seed \(seed)")
        }
    }
}

private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
        return z ^ z >> 31
    }
}
