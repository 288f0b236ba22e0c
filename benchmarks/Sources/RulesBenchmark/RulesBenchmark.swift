import Glibc
import Messaging
import Reporting
import Routing

/// Messages against rules, found by their indexes, beside trying every rule in turn, in one run.
@main
struct RulesBenchmark {
    static let help = """
        Measures rules: which of them apply to a message, beside trying them one after the other.

        usage: rules-benchmark [--rounds N]
          --rounds  how often all take turns; the best turn counts; default 15
        example: swift run -c release rules-benchmark --rounds 30
        """

    static func main() {
        var rounds = 15
        var arguments = CommandLine.arguments.dropFirst()
        while let argument = arguments.popFirst() {
            switch argument {
            case "--rounds":
                guard let count = arguments.popFirst().flatMap({ Int($0) }), count > 0 else {
                    refuse("--rounds needs a number, as in --rounds 30")
                }
                rounds = count
            case "-h", "--help": return print(help)
            default: refuse("there is no option '\(argument)'")
            }
        }
        var report = Report(name: "rules")
        for count in [10, 100, 1_000, 10_000] { report.results.append(measure(count, rounds: rounds)) }
        print(report.json)
    }

    private static func refuse(_ problem: String) -> Never {
        print("rules-benchmark: \(problem)\n\n\(help)")
        exit(2)
    }

    /// Nanoseconds a message.
    static func measure(_ count: Int, rounds: Int) -> Result {
        let workload = Workload(rules: count)
        let set = RuleSet(workload.rules)
        // Trying them all takes long: a part of the messages serves for it.
        let some = Array(workload.subjects.prefix(max(20, 100_000 / count)))
        var indexed = Times()
        var inTurn = Times(inputsMin: some.count)
        for _ in 0..<rounds {
            indexed.take(workload.subjects) { set.matches($0) { _ in 0 }.count }
            inTurn.take(some) { subject in
                let text = FoldedText(subject.text ?? "")
                var matched = 0
                for rule in workload.rules where rule.condition.holds(for: subject, text, secondsFromUTC: { _ in 0 }) {
                    matched += 1
                    if !rule.continues { break }
                }
                return matched
            }
        }
        precondition(indexed.sum > 0, "no rule ever matched")
        return Result(name: "\(count) rules", value: indexed.best, unit: "ns", reference: inTurn.best)
    }
}
