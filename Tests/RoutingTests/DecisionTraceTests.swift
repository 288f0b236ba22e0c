import Messaging
import Testing

@testable import Routing

@Suite struct DecisionTraceTests {
    @Test("a trace holds what decided: leases with their reasons, rung, rules, orders, generations")
    func trace() {
        var rules = RoutingRules()
        var condition = RuleCondition()
        condition.states = [.ambiguous]
        rules.rules = RuleSet([Rule(name: "r", condition: condition, actions: [.tag("t")], place: "a.yaml:1")])
        let table = makeTable([makeLease(1), makeLease(2, landlord: 2), makeLease(3, landlord: 3, from: 9)])
        let trace = DecisionTrace(
            makeMessage(), at: .shared, table: table, rules: RulesInForce(rules: rules, generation: 4) { _, _ in nil },
            facts: SenderFacts(threads: [makeThread(1)]), now: noon)
        #expect(trace.phone == .ann && trace.account == nil && !trace.isByTableAlone)
        #expect(trace.leases.map(\.outcome) == [.candidate, .candidate, .notBegun])
        #expect(trace.resolution.decision == .held([Candidate(makeLease(1)), Candidate(makeLease(2, landlord: 2))]))
        #expect(trace.ruling.matched == ["r"] && trace.ruling.asks && trace.ruling.orders.map(\.action) == [.tag("t")])
        #expect(trace.rulesGeneration == 4 && trace.tableGeneration == table.generation)
    }

    @Test("a message that the table alone decides says so")
    func known() {
        let trace = DecisionTrace(
            makeMessage(), at: .shared, table: makeTable([makeLease(1)]), rules: .none, facts: SenderFacts(), now: noon)
        #expect(trace.isByTableAlone && trace.ruling.decision == .lease(Candidate(makeLease(1)), rung: .onlyCandidate))
    }
}
