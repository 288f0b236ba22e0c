import Foundation
import Messaging
import Reporting
import Webhooks

/// Webhooks from bytes to events, beside Foundation's two readers of JSON, in one run.
@main
struct DecodeBenchmark {
    static let help = """
        Measures decoding: webhooks to events with all their fields, beside JSONSerialization and JSONDecoder.

        usage: decode-benchmark [--rounds N]
          --rounds  how often all take turns; the best turn counts; default 15
        example: swift run -c release decode-benchmark --rounds 30
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
        var report = Report(name: "decode")
        report.results += measure("text", Workload.texts(count: 1000), rounds: rounds)
        report.results += measure("status", Workload.statuses(count: 1000), rounds: rounds)
        report.results += measure("mixed", Workload.samples(), rounds: rounds)
        print(report.json)
    }

    private static func refuse(_ problem: String) -> Never {
        print("decode-benchmark: \(problem)\n\n\(help)")
        exit(2)
    }

    /// Nanoseconds a webhook.
    static func measure(_ name: String, _ bodies: [[UInt8]], rounds: Int) -> [Result] {
        let texts = bodies.map { Data($0) }
        let decoder = JSONDecoder()
        var events = Times()
        var serialization = Times()
        var codable = Times()
        for _ in 0..<rounds {
            events.take(bodies) {
                MetaWebhookDecoder().decode($0, receivedAt: Timestamp(seconds: 1_800_000_000)).updates.count
            }
            serialization.take(texts) { (try? JSONSerialization.jsonObject(with: $0)) == nil ? 0 : 1 }
            codable.take(texts) { (try? decoder.decode(CodableWebhook.self, from: $0))?.entry.count ?? 0 }
        }
        precondition(events.sum >= bodies.count, "a webhook has no update")
        let mean = bodies.reduce(0) { $0 + $1.count } / max(1, bodies.count)
        let title = "\(name), \(mean) B"
        return [
            Result(name: "\(title): events", value: events.best, unit: "ns", reference: serialization.best),
            Result(name: "\(title): JSONDecoder", value: codable.best, unit: "ns", reference: serialization.best),
        ]
    }
}
