import CoreMetrics
import Synchronization

/// A number that only grows. Whole steps are one atomic addition.
final class PrometheusCounter: CounterHandler, FloatingPointCounterHandler {
    private let whole = Atomic<Int64>(0)
    /// The bit pattern of what was added in fractions.
    private let fraction = Atomic<UInt64>(0)

    /// Negative steps are left out: a counter that falls reads as a restart.
    func increment(by amount: Int64) {
        guard amount > 0 else { return }
        whole.wrappingAdd(amount, ordering: .relaxed)
    }

    func increment(by amount: Double) {
        guard amount > 0, amount.isFinite else { return }
        fraction.addDouble(amount)
    }

    func reset() {
        whole.store(0, ordering: .relaxed)
        fraction.store(0, ordering: .relaxed)
    }

    var value: Double {
        Double(whole.load(ordering: .relaxed)) + Double(bitPattern: fraction.load(ordering: .relaxed))
    }
}

/// A number that goes up and down.
final class PrometheusGauge: MeterHandler, RecorderHandler {
    private let bits = Atomic<UInt64>(0)

    func set(_ value: Int64) { set(Double(value)) }
    func set(_ value: Double) { bits.store(value.bitPattern, ordering: .relaxed) }
    func increment(by amount: Double) { bits.addDouble(amount) }
    func decrement(by amount: Double) { bits.addDouble(-amount) }
    func record(_ value: Int64) { set(value) }
    func record(_ value: Double) { set(value) }

    var value: Double { Double(bitPattern: bits.load(ordering: .relaxed)) }
}

/// How values are spread over fixed buckets.
final class PrometheusHistogram: TimerHandler, RecorderHandler {
    struct Snapshot: Sendable {
        /// How many values fell into each bucket; one more than there are bounds, the last has no bound.
        var counts: [UInt64]
        var sum = 0.0
    }

    /// Upper bounds, ascending.
    let buckets: [Double]
    private let state: Mutex<Snapshot>

    init(buckets: [Double]) {
        self.buckets = buckets
        self.state = Mutex(Snapshot(counts: Array(repeating: 0, count: buckets.count + 1)))
    }

    func recordNanoseconds(_ duration: Int64) { record(Double(duration) / 1e9) }
    func record(_ value: Int64) { record(Double(value)) }

    func record(_ value: Double) {
        guard !value.isNaN else { return }
        let index = buckets.firstIndex { value <= $0 } ?? buckets.count
        state.withLock {
            $0.counts[index] += 1
            $0.sum += value
        }
    }

    var snapshot: Snapshot { state.withLock { $0 } }
}

/// Where buckets end unless a metric says otherwise.
enum HistogramBuckets {
    /// From a lookup in memory to a time-out.
    static let seconds: [Double] = [
        0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
    ]
    /// Rows of a batch, bytes of a body.
    static let sizes: [Double] = [1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304]
}

extension Atomic where Value == UInt64 {
    /// Adds to a `Double` that is kept as its bit pattern.
    fileprivate borrowing func addDouble(_ amount: Double) {
        var old = load(ordering: .relaxed)
        while true {
            let new = (Double(bitPattern: old) + amount).bitPattern
            let (exchanged, original) = weakCompareExchange(expected: old, desired: new, ordering: .relaxed)
            if exchanged { return }
            old = original
        }
    }
}
