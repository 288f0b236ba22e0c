package import CoreMetrics
import Synchronization

/// Every metric of the process, in memory, as Prometheus reads them.
///
/// It is a factory of swift-metrics: rooms write `Counter(label: "gateway_webhooks_total")` with their dimensions, keep
/// the object, and an increment costs one atomic addition. Making the object takes a lock and builds text, so it does
/// not belong on a hot path.
///
/// - Names follow Prometheus: counters end in `_total`, timers in `_seconds`; what it does not allow becomes `_`.
/// - A timer is a histogram in seconds, a recorder that aggregates is a histogram of sizes, any other recorder a gauge.
/// - Everything is bounded (`Limits`): beyond it label values are folded into `other`, and new families are refused.
/// - A series lives as long as the process. `destroy` keeps it: a counter that starts again would read as a restart.
package final class PrometheusRegistry: MetricsFactory, Sendable {
    /// What keeps a flood of label values from filling the memory.
    package struct Limits: Sendable {
        package var familiesMax = 1_000
        /// Series of one name; the one that everything beyond is folded into is not counted.
        package var seriesPerFamilyMax = 256
        package var labelValueBytesMax = 128

        package init() {}
    }

    private struct State {
        var families: [String: MetricFamily] = [:]
        var collectors: [@Sendable () -> [MetricSample]] = []
    }

    private let limits: Limits
    private let descriptions: [String: MetricDescription]
    private let state = Mutex(State())
    /// Metrics that were asked for and cannot be shown: another kind has the name, or there are too many names.
    private let refused = PrometheusCounter()

    /// - Parameter descriptions: help texts, and buckets where the usual ones do not fit; the first of a name counts.
    package init(limits: Limits = Limits(), descriptions: [MetricDescription] = []) {
        self.limits = limits
        self.descriptions = Dictionary(
            descriptions.map { (PrometheusName.metric($0.name), $0) }, uniquingKeysWith: { first, _ in first })
    }

    /// Adds values that are read only when somebody asks. `read` runs on the operations listener's thread: no waiting.
    package func collect(_ read: @escaping @Sendable () -> [MetricSample]) {
        state.withLock { $0.collectors.append(read) }
    }

    package func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        counter(label, dimensions)
    }

    package func makeFloatingPointCounter(
        label: String, dimensions: [(String, String)]
    ) -> any FloatingPointCounterHandler {
        counter(label, dimensions)
    }

    package func makeMeter(label: String, dimensions: [(String, String)]) -> any MeterHandler {
        gauge(label, dimensions)
    }

    package func makeRecorder(
        label: String, dimensions: [(String, String)], aggregate: Bool
    ) -> any RecorderHandler {
        guard aggregate else { return gauge(label, dimensions) }
        return histogram(label, dimensions, usualBuckets: HistogramBuckets.sizes)
    }

    package func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler {
        histogram(label, dimensions, usualBuckets: HistogramBuckets.seconds)
    }

    package func destroyCounter(_ handler: any CounterHandler) {}
    package func destroyFloatingPointCounter(_ handler: any FloatingPointCounterHandler) {}
    package func destroyMeter(_ handler: any MeterHandler) {}
    package func destroyRecorder(_ handler: any RecorderHandler) {}
    package func destroyTimer(_ handler: any TimerHandler) {}

    /// Everything, in Prometheus' text format 0.0.4: families by name, series by labels.
    package func exposition() -> String {
        let (families, collectors) = state.withLock { ($0.families, $0.collectors) }
        var text = PrometheusText(labelValueBytesMax: limits.labelValueBytesMax)
        var samples: [String: [MetricSample]] = [:]
        let own = MetricSample("gateway_metrics_refused_total", .counter, value: refused.value)
        for sample in collectors.flatMap({ $0() }) + [own] {
            samples[PrometheusName.metric(sample.name), default: []].append(sample)
        }
        for name in Set(families.keys).union(samples.keys).sorted() {
            let kind = families[name]?.kind ?? samples[name]?.first?.kind
            guard let kind else { continue }
            text.beginFamily(name, kind, help: descriptions[name]?.help)
            for (labels, series) in (families[name]?.series ?? [:]).sorted(by: { $0.key < $1.key }) {
                text.append(series, name: name, labels: labels)
            }
            for sample in samples[name] ?? [] where sample.kind == kind {
                text.append(sample, name: name)
            }
        }
        return text.value
    }
}

extension PrometheusRegistry {
    private func counter(_ label: String, _ dimensions: [(String, String)]) -> PrometheusCounter {
        let series = series(label, dimensions) { _ in .counter(PrometheusCounter()) }
        guard case .counter(let counter) = series else { return PrometheusCounter() }
        return counter
    }

    private func gauge(_ label: String, _ dimensions: [(String, String)]) -> PrometheusGauge {
        let series = series(label, dimensions) { _ in .gauge(PrometheusGauge()) }
        guard case .gauge(let gauge) = series else { return PrometheusGauge() }
        return gauge
    }

    private func histogram(
        _ label: String, _ dimensions: [(String, String)], usualBuckets: [Double]
    ) -> PrometheusHistogram {
        let series = series(label, dimensions) { .histogram(PrometheusHistogram(buckets: $0 ?? usualBuckets)) }
        guard case .histogram(let histogram) = series else { return PrometheusHistogram(buckets: usualBuckets) }
        return histogram
    }

    /// The series of this name and these labels, made if there is none yet.
    /// - Returns: a series of another kind, or `nil`, if it cannot be shown: the caller then hands out a loose one.
    private func series(
        _ label: String, _ dimensions: [(String, String)], make: ([Double]?) -> MetricSeries
    ) -> MetricSeries? {
        let name = PrometheusName.metric(label)
        let labels = PrometheusText.labels(dimensions, valueBytesMax: limits.labelValueBytesMax)
        let made = make(descriptions[name]?.buckets)
        let found: MetricSeries? = state.withLock { state in
            if state.families[name] == nil {
                guard state.families.count < limits.familiesMax else { return nil }
                state.families[name] = MetricFamily(kind: made.kind)
            }
            guard state.families[name]?.kind == made.kind else { return nil }
            if let existing = state.families[name]?.series[labels] { return existing }
            var key = labels
            if state.families[name]?.series.count ?? 0 >= limits.seriesPerFamilyMax {
                key = PrometheusText.labels(dimensions.map { ($0.0, "other") }, valueBytesMax: 5)
                if let overflow = state.families[name]?.series[key] { return overflow }
            }
            state.families[name]?.series[key] = made
            return made
        }
        if found == nil { refused.increment(by: Int64(1)) }
        return found
    }
}

/// The series of one name.
struct MetricFamily: Sendable {
    let kind: MetricKind
    /// By their labels as they are printed, without the braces.
    var series: [String: MetricSeries] = [:]
}

enum MetricSeries: Sendable {
    case counter(PrometheusCounter)
    case gauge(PrometheusGauge)
    case histogram(PrometheusHistogram)

    var kind: MetricKind {
        switch self {
        case .counter: .counter
        case .gauge: .gauge
        case .histogram: .histogram
        }
    }
}

package enum MetricKind: String, Sendable {
    case counter
    case gauge
    case histogram
}

/// What a metric means, and for a histogram where its buckets end.
package struct MetricDescription: Sendable {
    package let name: String
    package let help: String
    /// Upper bounds, ascending; `nil` takes the usual ones.
    package let buckets: [Double]?

    package init(_ name: String, _ help: String, buckets: [Double]? = nil) {
        precondition(buckets.map { $0 == $0.sorted() && !$0.isEmpty } ?? true, "bucket bounds ascend")
        self.name = name
        self.help = help
        self.buckets = buckets
    }
}

/// A value read at the moment of a scrape.
package struct MetricSample: Sendable {
    package let name: String
    package let kind: MetricKind
    package let labels: [(String, String)]
    package let value: Double

    /// - Parameter kind: a counter or a gauge.
    package init(_ name: String, _ kind: MetricKind, labels: [(String, String)] = [], value: Double) {
        precondition(kind != .histogram, "a histogram is more than one value")
        self.name = name
        self.kind = kind
        self.labels = labels
        self.value = value
    }
}
