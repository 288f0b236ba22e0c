import Foundation
import Messaging
import Testing

@testable import Routing

@Suite struct ExplanationSubjectTests {
    static let cases: [(String, ExplanationSubject.Kind?, ExplanationSubject)] = [
        ("wamid.HBgMNDQ3OTExMTIzNDU2FQIAEhgg", nil, .providerMessage("wamid.HBgMNDQ3OTExMTIzNDU2FQIAEhgg")),
        ("true_447911123456@c.us_3EB0", nil, .providerMessage("true_447911123456@c.us_3EB0")),
        ("00000000-0000-0000-0000-000000000007", nil, .message(uid(7))),
        ("+44 7911 123456", nil, .phone(PhoneNumber(digits: 447_911_123_456)!)),
        ("(07911) 123-456", nil, .phone(PhoneNumber(digits: 447_911_123_456)!)),
        ("US.13491208655302741918", nil, .account("US.13491208655302741918")),
        ("US.ENT.11815799212886844830", nil, .account("US.ENT.11815799212886844830")),
        ("us.13491208655302741918", nil, .providerMessage("us.13491208655302741918")),
        ("US.", nil, .providerMessage("US.")),
        ("447911123456", .account, .account("447911123456")),
        ("447911123456", .message, .providerMessage("447911123456")),
    ]

    @Test("the form tells what a subject is, unless it is said", arguments: cases)
    func kinds(text: String, kind: ExplanationSubject.Kind?, expected: ExplanationSubject) throws {
        #expect(try ExplanationSubject(parsing: text, as: kind, defaultCountryCode: "44") == expected)
    }

    @Test(
        "what is nobody's id or number is refused, and not repeated",
        arguments: [
            ("", nil), (String(repeating: "x", count: 513), nil), ("a\u{0}b", nil), ("07911", nil), ("+44 79", nil),
            ("+44abc", nil), ("ask at the office", .phone),
        ] as [(String, ExplanationSubject.Kind?)])
    func refused(text: String, kind: ExplanationSubject.Kind?) {
        do throws(ExplanationError) {
            let subject = try ExplanationSubject(parsing: text, as: kind, defaultCountryCode: "44")
            Issue.record("\(subject)")
        } catch {
            guard case .invalid(.subject, let problem, let cure) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(!problem.isEmpty && !cure.isEmpty)
            #expect(text.isEmpty || !problem.contains(text))
        }
    }
}

@Suite struct LadderStepTests {
    private static let two = [makeLease(1), makeLease(2, landlord: 2)]
    private static let question = AskedQuestion(
        id: uid(70), isOpen: true,
        choices: [1, 2].map {
            .init(landlordID: uid($0), conversationID: nil, label: ChoiceLabel(property: "House \($0)", landlord: nil))
        })

    private static func trace(
        _ routes: [Route], _ message: InboundMessage = makeMessage(), threads: [ThreadReference] = [],
        questions: [AskedQuestion] = []
    ) -> DecisionTrace {
        DecisionTrace(
            message, at: .shared, table: makeTable(routes), rules: .none,
            facts: SenderFacts(threads: threads, questions: questions), now: noon)
    }

    static let scenes: [(String, DecisionTrace)] = [
        ("quoted", trace(two, makeMessage(quotes: "q"), threads: [makeThread(1, isQuoted: true)])),
        ("only_candidate", trace([makeLease(1)])),
        ("only_candidate", trace([makeLease(1)], makeMessage(quotes: "nothing of ours"))),
        ("only_thread", trace([], threads: [makeThread(1)])),
        ("landlord_spoke", trace(two, threads: [makeThread(1, spokeHoursAgo: 1)])),
        ("asked", trace(two, makeMessage(taps: ChoiceToken(question: uid(70), choice: 2)), questions: [question])),
        ("asked", trace(two, makeMessage(text: "house 2"), questions: [question])),
        ("none", trace(two)),
        ("none", trace([])),
    ]

    @Test("the last step is the one that decided, and the only one", arguments: scenes)
    func decides(rung: String, trace: DecisionTrace) {
        #expect(trace.resolution.decision.rung?.rawValue ?? "none" == rung)
        #expect(trace.steps.filter(\.decided).map(\.rung) == (rung == "none" ? [] : [rung]))
        #expect(rung == "none" || trace.steps.last?.decided == true)
        #expect(trace.steps.allSatisfy { !$0.reason.isEmpty })
    }

    @Test("a message that waits tells of each rung why it did not decide")
    func waits() {
        let threads = [makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2)]
        let trace = Self.trace(Self.two, threads: threads, questions: [Self.question])
        #expect(
            trace.steps.map(\.reason) == [
                "it taps nothing", "it quotes nothing", "2 landlords have a lease that counts",
                "the text names no option", "leases count", "one landlord spoke, but another has an open conversation",
            ])
        let both = Self.trace(Self.two, threads: [1, 2].map { makeThread($0, landlord: $0, spokeHoursAgo: 1) })
        #expect(both.steps.last?.reason == "2 landlords spoke within 24 hours")
        let late = Self.trace(Self.two, makeMessage(taps: ChoiceToken(question: uid(71), choice: 1)))
        #expect(late.steps.first?.reason == "no such question was asked of the sender")
    }

    @Test("leases that the database has and the table does not are asked for before somebody is a stranger")
    func freshLeases() {
        let lease = makeLease(1)
        let trace = DecisionTrace(
            makeMessage(), at: .shared, table: makeTable([]), rules: .none, facts: SenderFacts(), routes: [lease],
            now: noon)
        #expect(trace.resolution.decision == .lease(Candidate(lease), rung: .onlyCandidate))
        #expect(trace.leases.map(\.outcome) == [.candidate] && !trace.isByTableAlone)
    }
}

@Suite struct ExplanationTests {
    private static let masked = ExplanationMask(isUnmasked: false)
    private static let landlords = [
        Landlord(id: uid(1), name: "Ada\u{1B}[31m", isEnabled: true, signature: nil),
        Landlord(id: uid(2), name: "Ben", isEnabled: false, signature: nil),
    ]

    private static func record(_ lease: Route, _ tenant: UInt64, _ address: String) -> RouteRecord {
        RouteRecord(route: lease, tenantID: uid(tenant), leaseID: lease.leaseID, propertyAddress: address)
    }

    private static func decision(
        _ routes: [Route], _ rules: RulesInForce = .none, blocked: [BlockedThread] = [], text: String = "Hello"
    ) -> Explanation.Decision {
        let table = makeTable(routes, landlords: landlords)
        let trace = DecisionTrace(
            makeMessage(text: text), at: .shared, table: table, rules: rules, facts: SenderFacts(), now: noon)
        let records = routes.enumerated().map { record($1, 100 + UInt64($0), "\($0 + 1) High Street") }
        return Explanation.Decision(
            trace, table: table, rules: rules, records: records, blocked: blocked, mask: masked)
    }

    private static func explanation(_ decision: Explanation.Decision) -> Explanation {
        Explanation(
            hypothetical: makeMessage(), at: "cloud 1", now: decision, identities: [],
            table: .init(source: "of the test", generation: 5), rules: .init(source: "of the test", generation: 6),
            mask: masked)
    }

    private static func rules(_ rule: Rule) -> RulesInForce {
        var rules = RoutingRules()
        rules.rules = RuleSet([rule])
        return RulesInForce(rules: rules, generation: 6) { _, _ in nil }
    }

    @Test("the first lines say what, the rung and the reason; then the rest in order")
    func text() {
        let lines = Self.explanation(Self.decision([makeLease(1), makeLease(3, landlord: 3, from: 9)])).text
            .split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines[0] == "a message: text from +44…01, 2026-03-01T12:00:00.000000Z, at cloud 1")
        #expect(lines[1] == "routed: goes to Ada [31m (1 High Street)")
        #expect(lines[2] == "rung: only_candidate: exactly one landlord has a lease that counts for the sender")
        #expect(lines.contains("  * only_candidate: exactly one landlord has a lease that counts for the sender"))
        #expect(lines.contains { $0.hasPrefix("  * Ada") && $0.hasSuffix(": counts") })
        #expect(lines.contains { $0.hasPrefix("  - landlord") && $0.hasSuffix(": has not begun") })
        #expect(lines.last == "decided now by: table of the test, generation 5; rules of the test, generation 6")
        #expect(!lines.joined().contains("447911000001") && !lines.joined().contains("\u{1B}"))
    }

    @Test("what is withheld says why, as the commit decides it")
    func withheld() {
        #expect(Self.decision([makeLease(2, landlord: 2)]).withheld == "opted_out")
        let blocked = BlockedThread(landlordID: uid(2), tenantID: uid(100))
        #expect(Self.decision([makeLease(2, landlord: 2)], blocked: [blocked]).withheld == "blocked")
        let other = BlockedThread(landlordID: uid(1), tenantID: uid(999))
        #expect(Self.decision([makeLease(1)], blocked: [other]).verdict == "routed")
        let stop = Rule(name: "stop", condition: RuleCondition(), actions: [.withhold, .optOut], place: "a.yaml:3")
        let decision = Self.decision([makeLease(1)], Self.rules(stop))
        #expect(decision.verdict == "withheld" && decision.withheld == "by_rule")
        #expect(decision.rules == [.init(name: "stop", place: "a.yaml:3")])
        #expect(decision.orders == [.init(rule: "stop", action: "opt out")])
        #expect(decision.ladder.last?.reason == "stop matches, and leaves it where it goes")
    }

    @Test("a rule that says where a message goes is the rung that decides")
    func rule() {
        var condition = RuleCondition()
        condition.states = [.ambiguous]
        let assign = Rule(name: "ada", condition: condition, actions: [.assign(uid(1))], place: "a.yaml:1")
        let leases = [makeLease(1), makeLease(2, landlord: 2)]
        let decision = Self.decision(leases, Self.rules(assign))
        #expect(decision.rung == "rule" && decision.reason == "a rule gives it to this landlord: ada")
        #expect(decision.place?.lease == leases[0].leaseID && decision.verdict == "routed")
        let hold = Rule(name: "wait", condition: RuleCondition(), actions: [.hold], place: "a.yaml:1")
        let held = Self.decision([makeLease(1)], Self.rules(hold))
        #expect(held.verdict == "held" && held.rung == nil && held.reason == "a rule holds it: wait")
        let asked = Self.explanation(
            Self.decision(
                leases,
                Self.rules(
                    Rule(
                        name: "no", condition: condition, actions: [.tag("t")], place: "a.yaml:1"))))
        #expect(asked.summary == "held: waits, and could be for Ada\u{1B}[31m (1 High Street); Ben (2 High Street)")
        #expect(asked.text.contains("the sender is asked"))
    }

    @Test("numbers and account ids are whole only where that is asked for")
    func masks() {
        let phone = KnownIdentity(
            kind: "phone", value: "447911000001", personID: uid(9), firstSeen: noon, retiredAt: nil, retiredReason: nil)
        var account = phone
        (account.kind, account.value) = ("bsuid", "US.13491208655302741918")
        var short = account
        short.value = "12345678"
        let shown = [phone, account, short].map { Explanation.Identity($0, Self.masked).value }
        #expect(shown == ["+44…01", "…1918", "…"])
        let whole = ExplanationMask(isUnmasked: true)
        #expect(Explanation.Identity(phone, whole).value == "+447911000001")
        #expect(Explanation.Identity(account, whole).value == account.value)
    }

    private static func facts(_ status: String, rung: String?, isIncoming: Bool = true) -> RecordedFacts {
        var metadata = RecordedFacts.Metadata()
        metadata.rung = rung
        metadata.table = 17
        metadata.rules = 2
        metadata.matched = ["r"]
        return RecordedFacts(
            id: uid(8), isIncoming: isIncoming, endpointID: Endpoint.shared.id, type: "text", body: "Hello",
            quotedMessageID: nil, phone: PhoneNumber(digits: 447_911_000_001), accountID: nil, personID: uid(9),
            sentAt: noon, recordedAt: noon,
            place: status == "delivered" ? .init(landlord: uid(1), landlordName: "Ada", tenant: uid(100)) : nil,
            routingStatus: status, metadata: metadata,
            sent: .init(
                message: uid(8), status: "queued", outcome: nil, errorCode: nil, errorDetail: nil, deliveredAt: nil,
                readAt: nil, failedAt: nil, job: "ready", lastError: nil))
    }

    private static func recorded(_ facts: RecordedFacts, now: Explanation.Decision? = nil) -> Explanation {
        Explanation(
            recorded: facts, at: "cloud 1", now: now, identities: [], table: .init(source: "t", generation: nil),
            rules: .init(source: "r", generation: nil), mask: masked)
    }

    @Test("the record comes first, and the decision of today says whether it is the same")
    func recorded() {
        let now = Self.decision([makeLease(1)])
        let same = Self.recorded(Self.facts("delivered", rung: "only_candidate"), now: now)
        let lines = same.text.split(separator: "\n")
        #expect(lines[1] == "routed: goes to Ada")
        #expect(lines[2] == "rung: only_candidate: exactly one landlord had a lease that counted for the sender")
        #expect(lines[3] == "decided then with: table 17, rules 2")
        #expect(same.isUnchanged == true && same.text.contains("it would go the same way now"))
        let other = Self.recorded(Self.facts("unknown_sender", rung: "unclaimed"), now: now)
        #expect(other.then?.verdict == "unclaimed" && other.isUnchanged == false)
        #expect(other.text.contains("now it would be routed: goes to Ada"))
    }

    @Test(
        "every rung the record may hold is told in words",
        arguments: Rung.allCases.map(\.rawValue) + [
            "held", "unclaimed", "assigned", "reassigned", "timeout", "claimed",
        ])
    func words(rung: String) {
        let reason = Explanation.Then(Self.facts("delivered", rung: rung)).reason
        #expect(!reason.contains("decided by") && !reason.contains("does not say"))
    }

    @Test("a message of ours says why it was sent, and how it fares")
    func ours() {
        var facts = Self.facts("delivered", rung: nil, isIncoming: false)
        facts.metadata.rule = "r"
        facts.metadata.answers = uid(7)
        let answer = Self.recorded(facts)
        #expect(answer.then == nil && answer.now == nil && answer.ours?.answers == uid(7))
        #expect(answer.text.contains("why: the rule r answers a message of the tenant's with it"))
        #expect(answer.text.contains("queued, its job is ready"))
        facts.metadata.rule = nil
        #expect(Self.recorded(facts).ours?.reason == "a landlord wrote it")
    }

    @Test("as JSON it has ids and times as text, and no text of the message")
    func json() throws {
        let explanation = Self.recorded(Self.facts("delivered", rung: "rule"), now: Self.decision([makeLease(1)]))
        let json = String(decoding: try JSONEncoder().encode(explanation), as: UTF8.self)
        #expect(json.contains(#""id":"00000000-0000-0000-0000-000000000008""#))
        #expect(json.contains(#""sentAt":"2026-03-01T12:00:00.000000Z""#))
        #expect(!json.contains("Hello") && !json.contains("447911000001"))
    }
}
