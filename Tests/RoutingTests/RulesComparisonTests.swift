import Messaging
import Testing

@testable import Routing

/// What another set of rules would change, found out without a database.
@Suite struct RulesComparisonTests {
    private static let landlords = [
        Landlord(id: uid(1), name: "Ann", isEnabled: true, signature: nil),
        Landlord(id: uid(2), name: "Bob", isEnabled: true, signature: nil),
    ]

    private static func rule(
        _ name: String, _ actions: [RuleAction], word: String? = nil, state: RouteState? = nil, continues: Bool = false,
        place: String = "a.yaml:1"
    ) -> Rule {
        var condition = RuleCondition()
        if let word, let keyword = Keyword(.word, word) { condition.keywords = [keyword] }
        if let state { condition.states = [state] }
        return Rule(name: name, condition: condition, actions: actions, continues: continues, place: place)
    }

    private static func rules(_ rules: [Rule], _ change: (inout RoutingRules) -> Void = { _ in }) -> RulesInForce {
        var set = RoutingRules()
        set.rules = RuleSet(rules)
        change(&set)
        return RulesInForce(rules: set, generation: 1) { _, _ in 0 }
    }

    /// Replays messages of a sender with these leases.
    private func diff(
        _ before: RulesInForce, _ after: RulesInForce, _ leases: [Route] = [makeLease(1)],
        messages: [InboundMessage] = [makeMessage()], threads: [ThreadReference] = [], changesMax: Int = 10
    ) -> RulesDiff {
        let table = makeTable(leases, landlords: Self.landlords)
        var comparison = RulesComparison(from: before, to: after, now: noon, changesMax: changesMax)
        for (number, message) in messages.enumerated() {
            guard let (endpoint, pass) = comparison.firstPass(message, table: table) else { continue }
            comparison.compare(
                RecordedInbound(id: uid(UInt64(700 + number)), message: message), at: endpoint, pass,
                facts: SenderFacts(threads: threads), table: table)
        }
        return comparison.diff
    }

    @Test("the same rules change nothing, wherever they stand in the files")
    func same() {
        let before = Self.rules([Self.rule("drip", [.tag("t")], word: "drips")])
        let after = Self.rules([Self.rule("drip", [.tag("t")], word: "drips", place: "b.yaml:9")])
        let diff = diff(before, after)
        #expect(diff.isEmpty && diff.replayed == 1 && diff.changed == 0 && diff.changes.isEmpty)
        #expect(diff.rulesAdded.isEmpty && diff.rulesRemoved.isEmpty && diff.rulesEdited.isEmpty && !diff.isReordered)
        #expect(diff.oldest == makeMessage().sentAt)
    }

    @Test("a new rule changes what is done, and says by which rule before and after")
    func actions() throws {
        let old = Self.rule("old", [.tag("boiler"), .notify("look")], word: "kettle")
        let new = Self.rule("new", [.tag("boiler"), .raisePriority, .withhold], word: "kettle")
        let diff = diff(Self.rules([old]), Self.rules([new, old]), messages: [makeMessage(text: "The kettle")])
        let change = try #require(diff.changes.first)
        #expect(change.message == uid(700) && change.before.rules == ["old"] && change.after.rules == ["new"])
        #expect(change.actionsAdded == ["withhold", "priority: high"] && change.actionsRemoved == ["notify: \"look\""])
        #expect(change.before.destination == .landlord(uid(1)) && change.after.destination == .landlord(uid(1)))
        #expect(diff.counts == [.actions: 1, .rules: 1] && !diff.isEmpty && diff.rulesAdded == ["new"])
    }

    @Test("a renamed rule changes the rule alone")
    func renamed() {
        let diff = diff(Self.rules([Self.rule("a", [.tag("t")])]), Self.rules([Self.rule("b", [.tag("t")])]))
        #expect(diff.changed == 1 && diff.counts == [.rules: 1])
        #expect(diff.rulesAdded == ["b"] && diff.rulesRemoved == ["a"])
    }

    @Test("a rule that assigns or holds changes where a message goes")
    func destination() throws {
        let both = [makeLease(1), makeLease(2, landlord: 2)]
        let assigned = diff(Self.rules([]), Self.rules([Self.rule("r", [.assign(uid(2))])]), both)
        let change = try #require(assigned.changes.first)
        #expect(change.before.destination == .held && change.after.destination == .landlord(uid(2)))
        #expect(change.actionsRemoved == ["ask"] && assigned.counts == [.destination: 1, .actions: 1, .rules: 1])
        let held = diff(Self.rules([]), Self.rules([Self.rule("r", [.hold])]))
        #expect(held.changes.first?.after.destination == .held)
    }

    @Test("the ladder's window counts, too: the landlord who spoke is found by the one and not by the other")
    func window() {
        let both = [makeLease(1), makeLease(2, landlord: 2)]
        let diff = diff(
            Self.rules([]) { $0.landlordSpokeHours = 24 }, Self.rules([]) { $0.landlordSpokeHours = 5 }, both,
            threads: [makeThread(1, spokeHoursAgo: 10)])
        #expect(diff.changes.first?.before.destination == .landlord(uid(1)))
        #expect(diff.changes.first?.after.destination == .held)
        #expect(
            diff.settings == [
                .init(name: "ladder.landlord_spoke_hours", before: "\"24\"", after: "\"5\"")
            ])
    }

    @Test("what unknown senders hear is a change of actions and of a setting")
    func unknownSender() {
        let diff = diff(Self.rules([]), Self.rules([]) { $0.unknownSenderReply = "Who are you?" }, [])
        #expect(diff.counts == [.actions: 1, .rules: 1] && diff.changes.first?.after.rules == ["unknown_sender"])
        #expect(diff.changes.first?.actionsAdded == ["reply: \"Who are you?\""])
        #expect(diff.settings.map(\.name) == ["unknown_sender.reply"])
    }

    @Test("a setting alone is a change, and rules that no message meets are none")
    func settings() {
        let signature = diff(
            Self.rules([]), Self.rules([]) { $0.signature = LandlordSignature(template: "{landlord}")! })
        #expect(!signature.isEmpty && signature.changed == 0 && signature.settings.map(\.name) == ["signature"])
        let unmet = diff(Self.rules([]), Self.rules([Self.rule("r", [.hold], word: "gas")]))
        #expect(unmet.isEmpty && unmet.rulesAdded == ["r"])
    }

    @Test("rules that were edited or moved are named")
    func files() {
        let (a, b) = (Self.rule("a", [.tag("x")], word: "one"), Self.rule("b", [.tag("x")], word: "two"))
        let diff = diff(Self.rules([a, b]), Self.rules([b, Self.rule("a", [.tag("y")], word: "one")]))
        #expect(diff.rulesEdited == ["a"] && diff.isReordered && diff.rulesAdded.isEmpty && diff.rulesRemoved.isEmpty)
    }

    @Test("all changes are counted, and as many kept as are asked for")
    func bounded() {
        let messages = (0..<5).map { _ in makeMessage() }
        let diff = diff(Self.rules([]), Self.rules([Self.rule("r", [.hold])]), messages: messages, changesMax: 2)
        #expect(diff.changed == 5 && diff.replayed == 5 && diff.changes.map(\.message) == [uid(700), uid(701)])
    }

    @Test("says what it cannot tell: threads that went on, texts without words, endpoints nobody knows")
    func caveats() {
        let both = [makeLease(1), makeLease(2, landlord: 2)]
        let later = makeThread(1, lastHoursAgo: -1)
        var silent = makeMessage()
        silent.body = nil
        var stray = makeMessage()
        stray.endpoint = EndpointReference(kind: .cloud, providerID: "gone")
        let diff = diff(
            Self.rules([]), Self.rules([]), both, messages: [makeMessage(), silent, stray], threads: [later])
        #expect(diff.threadsMovedOn == 2 && diff.withoutText == 1 && diff.skipped == 1 && diff.replayed == 2)
        let report = RulesDiffReport(
            diff, before: .init(.standard, from: "a"), after: .init(.standard, from: "b"))
        #expect(report.caveats.count == 4)
    }

    @Test("long texts that differ at their end read differently, and none reads whole")
    func longTexts() {
        let text = String(repeating: "kettle ", count: 20)
        let (one, two) = (RuleAction.reply(text + "a").text, RuleAction.reply(text + "b").text)
        #expect(one != two && one.count < 110)
        #expect(RuleAction.reply("line\nbreak").text == "reply: \"line\\nbreak\"")
    }
}
