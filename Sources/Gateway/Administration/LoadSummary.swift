import Sandbox

/// What came of a load, in the units people think in.
package struct LoadSummary: Encodable, Hashable, Sendable {
    package let url: String
    package let rate: Int
    package let connections: Int
    package let seconds: Int
    package let sent: UInt64
    package let acknowledged: UInt64
    /// Answers with 200 a second.
    package let acknowledgedPerSecond: Double
    /// Other answers, by status.
    package let refused: [String: UInt64]
    package let broken: UInt64
    package let unanswered: UInt64
    package let unsent: UInt64
    package let reconnections: UInt64
    package let firstFailure: String?
    /// From the time a request was due to its 200.
    package let latency: Milliseconds
    package let generator: Generator
    /// Every request was sent and answered with 200.
    package let isFlawless: Bool

    package struct Milliseconds: Encodable, Hashable, Sendable {
        package let p50Ms: Double?
        package let p90Ms: Double?
        package let p99Ms: Double?
        package let p999Ms: Double?
        package let maxMs: Double?

        init(_ histogram: LatencyHistogram) {
            func milliseconds(_ percent: Double) -> Double? { histogram.percentile(percent).map { Double($0) / 1e6 } }
            p50Ms = milliseconds(50)
            p90Ms = milliseconds(90)
            p99Ms = milliseconds(99)
            p999Ms = milliseconds(99.9)
            maxMs = milliseconds(100)
        }
    }

    /// What the measuring itself cost, and whether it can be believed.
    package struct Generator: Encodable, Hashable, Sendable {
        package let keptSchedule: Bool
        /// How late a free connection got its request.
        package let lateness: Milliseconds
        package let processorUsPerRequest: Double
        package let processorShare: Double
        /// Of the time, in which other programs had its processor.
        package let waitingShare: Double?
    }

    init(_ report: LoadReport, of configuration: LoadConfiguration) {
        url = configuration.url
        rate = configuration.rate
        connections = configuration.connections
        seconds = configuration.seconds
        sent = report.sent
        acknowledged = report.acknowledged
        acknowledgedPerSecond = report.acknowledgedPerSecond
        refused = Dictionary(uniqueKeysWithValues: report.refused.map { ("\($0.key)", $0.value) })
        broken = report.broken
        unanswered = report.unanswered
        unsent = report.unsent
        reconnections = report.reconnections
        firstFailure = report.firstFailure
        latency = Milliseconds(report.latency)
        generator = Generator(
            keptSchedule: report.isScheduleKept, lateness: Milliseconds(report.lateness),
            processorUsPerRequest: report.generator.nanosecondsPerRequest / 1000,
            processorShare: report.generator.processorShare, waitingShare: report.generator.waitingShare)
        isFlawless = report.isFlawless
    }

    /// The same for people.
    package var text: String {
        var lines = [
            "\(acknowledged) of \(sent) webhooks acknowledged, \(Int(acknowledgedPerSecond.rounded()))/s of \(rate)/s, "
                + "\(connections) connections, \(seconds) s",
            "latency from the time each was due: " + latency.text,
        ]
        if !refused.isEmpty {
            let statuses = refused.sorted { $0.key < $1.key }.map { "\($0.value) with \($0.key)" }
            lines.append("refused: " + statuses.joined(separator: ", "))
        }
        if broken > 0 || reconnections > 0 {
            lines.append(
                "connections: \(reconnections) made again, \(broken) webhooks lost their answer"
                    + (firstFailure.map { "; the first ended because \($0)" } ?? ""))
        }
        if unanswered > 0 { lines.append("unanswered: \(unanswered), in the latency with the time they waited") }
        if unsent > 0 {
            lines.append(
                "never sent: \(unsent), all connections were waiting: the server is slower than \(rate)/s; in the "
                    + "latency with the time they waited")
        }
        lines.append(generator.text)
        return lines.joined(separator: "\n")
    }
}

extension LoadSummary.Milliseconds {
    var text: String {
        [("p50", p50Ms), ("p90", p90Ms), ("p99", p99Ms), ("p99.9", p999Ms), ("max", maxMs)].map { name, value in
            "\(name) \(value.map { "\(($0 * 1000).rounded() / 1000) ms" } ?? "–")"
        }.joined(separator: ", ")
    }
}

extension LoadSummary.Generator {
    var text: String {
        let verdict =
            keptSchedule
            ? "the generator kept its schedule"
            : "THE GENERATOR DID NOT KEEP ITS SCHEDULE: the latencies hold its own delay; lower --rate, or give it a "
                + "processor of its own"
        let waiting = waitingShare.map { ", waited for one \(Self.percent($0))" } ?? ""
        return "\(verdict) (late by \(lateness.text); \((processorUsPerRequest * 10).rounded() / 10) µs of processor a "
            + "request, \(Self.percent(processorShare)) of one\(waiting))"
    }

    private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
}
