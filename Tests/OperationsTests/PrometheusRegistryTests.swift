import CoreMetrics
import Testing

@testable import Operations

@Suite struct PrometheusRegistryTests {
    @Test func showsCountersWithHelpTypeAndSortedLabels() {
        let registry = PrometheusRegistry(descriptions: [MetricDescription("gateway_webhooks_total", "Webhooks\nseen.")]
        )
        let ok = Counter(
            label: "gateway_webhooks_total", dimensions: [("source", "meta"), ("result", "ok")], factory: registry)
        ok.increment(by: 41)
        ok.increment()
        let text = registry.exposition()
        #expect(
            text.contains(
                """
                # HELP gateway_webhooks_total Webhooks\\nseen.
                # TYPE gateway_webhooks_total counter
                gateway_webhooks_total{result="ok",source="meta"} 42

                """))
    }

    @Test func givesTheSameSeriesToEverybodyWhoAsksForIt() {
        let registry = PrometheusRegistry()
        Counter(label: "a_total", dimensions: [("x", "1"), ("y", "2")], factory: registry).increment()
        Counter(label: "a_total", dimensions: [("y", "2"), ("x", "1")], factory: registry).increment()
        FloatingPointCounter(label: "a_total", dimensions: [("x", "1"), ("y", "2")], factory: registry)
            .increment(by: 0.5)
        #expect(registry.lines("a_total") == ["a_total{x=\"1\",y=\"2\"} 2.5"])
    }

    @Test func aCounterNeverFalls() {
        let registry = PrometheusRegistry()
        let counter = Counter(label: "a_total", factory: registry)
        counter.increment(by: 3)
        counter.increment(by: -2)
        FloatingPointCounter(label: "a_total", factory: registry).increment(by: -1.5)
        FloatingPointCounter(label: "a_total", factory: registry).increment(by: Double.nan)
        #expect(registry.lines("a_total") == ["a_total 3"])
    }

    @Test func countsFromManyThreadsAtOnce() async {
        let registry = PrometheusRegistry()
        let counter = Counter(label: "a_total", factory: registry)
        let fractions = FloatingPointCounter(label: "b_total", factory: registry)
        let meter = Meter(label: "c", factory: registry)
        await withTaskGroup(of: Void.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    for _ in 0..<50_000 {
                        counter.increment()
                        fractions.increment(by: 0.25)
                        meter.increment()
                    }
                }
            }
        }
        #expect(registry.lines("a_total") == ["a_total 400000"])
        #expect(registry.lines("b_total") == ["b_total 100000"])
        #expect(registry.lines("c") == ["c 400000"])
    }

    @Test func aTimerIsACumulativeHistogramInSeconds() {
        let description = MetricDescription("wait_seconds", "Waiting.", buckets: [0.01, 1])
        let registry = PrometheusRegistry(descriptions: [description])
        let timer = Timer(label: "wait_seconds", dimensions: [("leg", "a")], factory: registry)
        timer.recordMilliseconds(5)
        timer.recordMilliseconds(10)
        timer.recordMilliseconds(500)
        timer.recordSeconds(2)
        #expect(
            registry.lines("wait_seconds") == [
                "wait_seconds_bucket{leg=\"a\",le=\"0.01\"} 2",
                "wait_seconds_bucket{leg=\"a\",le=\"1\"} 3",
                "wait_seconds_bucket{leg=\"a\",le=\"+Inf\"} 4",
                "wait_seconds_sum{leg=\"a\"} 2.515",
                "wait_seconds_count{leg=\"a\"} 4",
            ])
        #expect(registry.exposition().contains("# TYPE wait_seconds histogram\n"))
    }

    @Test func aRecorderIsAHistogramWhenItAggregatesAndAGaugeWhenNot() {
        let registry = PrometheusRegistry()
        Recorder(label: "batch_rows", dimensions: [], aggregate: true, factory: registry).record(17)
        Recorder(label: "depth", dimensions: [], aggregate: false, factory: registry).record(17)
        #expect(registry.lines("batch_rows").contains("batch_rows_bucket{le=\"16\"} 0"))
        #expect(registry.lines("batch_rows").contains("batch_rows_bucket{le=\"64\"} 1"))
        #expect(registry.lines("depth") == ["depth 17"])
    }

    @Test(arguments: [
        ("gateway.webhooks-total", "gateway_webhooks_total"), ("9lives", "_9lives"), ("", "_"), ("é", "__"),
        ("a:b", "a:b"),
    ])
    func fitsMetricNames(name: String, fitted: String) {
        #expect(PrometheusName.metric(name) == fitted)
    }

    @Test(arguments: [("le", "exported_le"), ("__name__", "exported___name__"), ("a:b", "a_b"), ("kind", "kind")])
    func fitsLabelNames(name: String, fitted: String) {
        #expect(PrometheusName.label(name) == fitted)
    }

    @Test(arguments: [
        ("a\"b", "a\\\"b"), ("a\\b", "a\\\\b"), ("a\nb", "a\\nb"), ("a\u{0}\u{1B}b", "ab"), ("ü", "ü"),
        (String(repeating: "é", count: 100), String(repeating: "é", count: 64)),
    ])
    func escapesAndShortensLabelValues(value: String, shown: String) {
        let registry = PrometheusRegistry()
        Counter(label: "a_total", dimensions: [("v", value)], factory: registry).increment()
        #expect(registry.lines("a_total") == ["a_total{v=\"\(shown)\"} 1"])
    }

    @Test(arguments: [
        (0.0, "0"), (-3, "-3"), (1.5, "1.5"), (.infinity, "+Inf"), (-.infinity, "-Inf"), (.nan, "NaN"),
        (0.000_025, "2.5e-05"), (1e15, "1000000000000000"),
    ])
    func writesNumbersAsPrometheusReadsThem(value: Double, text: String) {
        #expect(PrometheusText.number(value) == text)
    }

    @Test func foldsLabelValuesBeyondTheBoundIntoOther() {
        var limits = PrometheusRegistry.Limits()
        limits.seriesPerFamilyMax = 3
        let registry = PrometheusRegistry(limits: limits)
        for value in 0..<100 {
            Counter(label: "a_total", dimensions: [("v", String(value))], factory: registry).increment()
        }
        #expect(
            registry.lines("a_total") == [
                "a_total{v=\"0\"} 1", "a_total{v=\"1\"} 1", "a_total{v=\"2\"} 1", "a_total{v=\"other\"} 97",
            ])
    }

    @Test func refusesASecondKindUnderOneNameAndTooManyNamesAndSaysSo() {
        var limits = PrometheusRegistry.Limits()
        limits.familiesMax = 2
        let registry = PrometheusRegistry(limits: limits)
        Counter(label: "a_total", factory: registry).increment()
        Meter(label: "a_total", factory: registry).set(7)
        Counter(label: "b_total", factory: registry).increment()
        Counter(label: "c_total", factory: registry).increment()
        #expect(registry.lines("a_total") == ["a_total 1"])
        #expect(registry.lines("c_total").isEmpty)
        #expect(registry.lines("gateway_metrics_refused_total") == ["gateway_metrics_refused_total 2"])
    }

    @Test func readsCollectedValuesAtTheMomentOfTheScrape() {
        let registry = PrometheusRegistry(descriptions: ProcessMetrics.descriptions)
        let backlog = Meter(label: "source", factory: registry)
        registry.collect { [MetricSample("backlog_bytes", .gauge, labels: [("b", "1")], value: 5)] }
        registry.collect { [MetricSample("source", .counter, value: 1)] }
        registry.collect(ProcessMetrics.read)
        backlog.set(3)
        #expect(registry.lines("backlog_bytes") == ["backlog_bytes{b=\"1\"} 5"])
        #expect(registry.lines("source") == ["source 3"], "a collected value does not join a family of another kind")
        #expect(registry.exposition().contains("# TYPE process_cpu_seconds_total counter\n"))
    }

    @Test func everyLineHasTheShapeOfTheFormat() throws {
        let registry = PrometheusRegistry(descriptions: ProcessMetrics.descriptions)
        registry.collect(ProcessMetrics.read)
        Timer(label: "wait.seconds", dimensions: [("päth", "/a\"b\\c\nd")], factory: registry).recordSeconds(1)
        let label = #"[a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*""#
        let pattern = #"[a-zA-Z_:][a-zA-Z0-9_:]*(\{\#(label)(,\#(label))*\})? (NaN|[+-]Inf|[-+0-9.e]+)"#
        let sample = try Regex(pattern)
        for line in registry.exposition().split(separator: "\n") where !line.hasPrefix("#") {
            #expect(line.wholeMatch(of: sample) != nil, "\(line)")
        }
        #expect(registry.exposition().hasSuffix("\n"))
    }
}

@Suite struct ProcessMetricsTests {
    @Test func readsThisProcess() throws {
        let samples = Dictionary(uniqueKeysWithValues: ProcessMetrics.read().map { ($0.name, $0.value) })
        #expect(Set(samples.keys) == Set(ProcessMetrics.descriptions.map(\.name)))
        #expect(try #require(samples["process_resident_memory_bytes"]) > 1_000_000)
        #expect(try #require(samples["process_open_fds"]) >= 3)
        #expect(try #require(samples["process_threads"]) >= 1)
        #expect(try #require(samples["process_start_time_seconds"]) > 1_600_000_000)
    }

    @Test func readsTheLineOfAProcessWithBlanksAndBracketsInItsName() throws {
        let text = "42 (a) b (c)) S 1 42 42 0 -1 4194560 1 2 3 4 250 150 0 0 20 0 7 0 5000 4096000 100 184467"
        let status = try #require(ProcessMetrics.status(parsing: text, ticksPerSecond: 100, pageBytes: 4096))
        #expect(status.cpuSeconds == 4)
        #expect(status.threads == 7)
        #expect(status.startSecondsAfterBoot == 50)
        #expect(status.virtualBytes == 4_096_000)
        #expect(status.residentBytes == 409_600)
    }

    @Test(arguments: ["", "42", "42 (a", "42 (a) S 1 2"])
    func readsNothingFromABrokenLine(text: String) {
        #expect(ProcessMetrics.status(parsing: text, ticksPerSecond: 100, pageBytes: 4096) == nil)
    }
}

extension PrometheusRegistry {
    /// The samples of one family, in order.
    func lines(_ name: String) -> [String] {
        exposition().split(separator: "\n").map(String.init).filter { line in
            !line.hasPrefix("#") && line.prefix { $0 != "{" && $0 != " " }.wholeMatchOfFamily(name)
        }
    }
}

extension Substring {
    fileprivate func wholeMatchOfFamily(_ name: String) -> Bool {
        [name, "\(name)_bucket", "\(name)_sum", "\(name)_count"].contains(String(self))
    }
}
