import Messaging
import Testing

@testable import Routing

@Suite struct RuleReadingTests {
    private static func read(_ text: String) throws -> RoutingRules {
        try RoutingRules(files: [RulesFile(name: "a.yaml", text: text)], directory: "rules") { $0 == "Europe/London" }
    }

    private static let landlord = "01234567-0123-4567-89ab-0123456789ab"

    @Test func `a rule with everything is understood`() throws {
        let rules = try Self.read(
            """
            version: 1
            rules:
              - name: emergency
                when:
                  channel: whatsapp
                  state: [unknown, ambiguous]
                  keyword: {word: [gas leak, "fire"], prefix: urg, exact: "999"}
                  type: [text, image]
                  time: {zone: Europe/London, days: [sat, Sunday], from: "18:00", to: "08:00", outside: true}
                  landlord: \(Self.landlord)
                  property: [\(Self.landlord)]
                  business: \(Self.landlord)
                  endpoint: "106540352242922"
                then:
                  - reply: "Call 999."
                  - reply: {template: emergency_notice, language: en_GB}
                  - tag: emergency
                  - priority
                  - notify: emergencies
                  - forward: pager
                  - hold
                continue: true
              - name: stop
                when: {keyword: [stop]}
                then: [opt_out, stop]
            """)
        let rule = try #require(rules.rules.rules.first)
        let id = try #require(UniqueID(Self.landlord))
        #expect(rule.name == "emergency" && rule.place == "a.yaml:3" && rule.continues)
        #expect(rule.condition.channels == [.whatsApp] && rule.condition.states == [.unknown, .ambiguous])
        #expect(rule.condition.types == ["text", "image"] && rule.condition.endpoints == ["106540352242922"])
        #expect(rule.condition.landlords == [id] && rule.condition.properties == [id])
        #expect(rule.condition.businesses == [id])
        #expect(
            rule.condition.time
                == TimeWindow(zone: "Europe/London", days: [5, 6], from: 1080, to: 480, isOutside: true))
        #expect(
            Set(rule.condition.keywords.map { "\($0.match.rawValue) \($0.words)" })
                == [#"word ["gas", "leak"]"#, #"word ["fire"]"#, #"prefix ["urg"]"#, #"exact ["999"]"#])
        #expect(
            rule.actions == [
                .reply("Call 999."), .replyTemplate(name: "emergency_notice", language: "en_GB"), .tag("emergency"),
                .raisePriority, .notify("emergencies"), .forward("pager"), .hold,
            ])
        #expect(rules.rules.rules.last?.actions == [.optOut])
    }

    @Test func `the ladder and the unknown sender are set`() throws {
        let rules = try Self.read(
            """
            version: 1
            unknown_sender: {reply: "We do not know you."}
            ladder: {ask: false, ask_timeout_hours: 2, after_timeout: {assign: \(Self.landlord)}}
            """)
        #expect(!rules.asks && rules.askTimeoutHours == 2 && rules.unknownSenderReply == "We do not know you.")
        #expect(rules.afterTimeout == .assign(try #require(UniqueID(Self.landlord))))
        #expect(try Self.read("version: 1\nladder: {after_timeout: hold}").afterTimeout == .hold)
    }

    @Test(
        arguments: [
            ("rules: 5", "2:8", "must be a list"), ("rules:\n  - 5", "3:5", "must be made of"),
            ("rules:\n  - then: [hold]", "3:5", "no name"), ("rules:\n  - name: a", "3:5", "no 'then'"),
            ("rules:\n  - {name: a b, then: hold}", "3:12", "no name for a rule"),
            ("rules:\n  - {name: a, then: hold}\n  - {name: a, then: hold}", "4:12", "already set in a.yaml:3"),
            ("rules:\n  - {name: a, then: jump}", "3:21", "unknown action"),
            ("rules:\n  - {name: a, then: [{jump: 1}]}", "3:23", "unknown action"),
            ("rules:\n  - {name: a, then: [{tag: a, reply: b}]}", "3:22", "one 'name: value'"),
            ("rules:\n  - {name: a, then: []}", "3:21", "does nothing"),
            ("rules:\n  - {name: a, then: [reply]}", "3:22", "needs a value"),
            ("rules:\n  - {name: a, then: [{hold: now}]}", "3:29", "takes no value"),
            ("rules:\n  - {name: a, then: [hold, ask]}", "3:28", "one place"),
            ("rules:\n  - {name: a, then: [{assign: Alice}]}", "3:31", "no id"),
            ("rules:\n  - {name: a, then: [{reply: \"\"}]}", "3:30", "has 0 characters"),
            ("rules:\n  - {name: a, when: {colour: red}, then: hold}", "3:22", "unknown key in when"),
            ("rules:\n  - {name: a, when: {state: lost}, then: hold}", "3:29", "unknown state"),
            ("rules:\n  - {name: a, when: {channel: fax}, then: hold}", "3:31", "unknown channel"),
            ("rules:\n  - {name: a, when: {keyword: \"!!\"}, then: hold}", "3:31", "no letter or digit"),
            ("rules:\n  - {name: a, when: {keyword: []}, then: hold}", "3:31", "empty list"),
            ("rules:\n  - {name: a, when: {keyword: {like: x}}, then: hold}", "3:32", "unknown key in keyword"),
            ("rules:\n  - {name: a, when: {time: {from: \"9:00\"}}, then: hold}", "3:28", "no zone"),
            ("rules:\n  - {name: a, when: {time: {zone: Mars/Base}}, then: hold}", "3:35", "not known"),
            (
                "rules:\n  - {name: a, when: {time: {zone: Europe/London, from: nine}}, then: hold}", "3:56",
                "no time of day"
            ),
            (
                "rules:\n  - {name: a, when: {time: {zone: Europe/London, days: [someday]}}, then: hold}", "3:57",
                "no weekday"
            ),
            ("rules:\n  - {name: a, then: hold, continue: perhaps}", "3:37", "true or false"),
            ("ladder: {after_timeout: guess}", "2:25", "after_timeout"),
            ("unknown_sender: {drop: true}", "2:18", "unknown key"),
        ])
    func `a mistake is named with its place`(text: String, place: String, words: String) throws {
        let error = try #require(throws: RulesErrors.self) { try Self.read("version: 1\n" + text) }
        let first = try #require(error.errors.first)
        #expect(first.description.hasPrefix("a.yaml:\(place): "), "\(error)")
        #expect(first.problem.contains(words), "\(error)")
    }
}
