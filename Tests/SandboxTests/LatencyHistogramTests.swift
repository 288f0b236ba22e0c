import Testing

@testable import Sandbox

@Suite struct LatencyHistogramTests {
    @Test("nothing counted has no percentiles")
    func empty() {
        let histogram = LatencyHistogram()
        #expect(histogram.percentile(50) == nil)
        #expect(histogram.maximum == 0)
    }

    @Test(
        "a duration comes back, at most a thousandth longer",
        arguments: [
            0, 1, 2047, 2048, 2049, 4095, 4096, 1_000_000, 123_456_789, 60_000_000_000, LatencyHistogram.longest,
        ])
    func precision(duration: Int64) throws {
        var histogram = LatencyHistogram()
        histogram.record(duration)
        histogram.record(LatencyHistogram.longest)
        let found = try #require(histogram.percentile(50))
        #expect(found >= duration && found - duration <= duration / 1000)
    }

    @Test("what is out of range counts at its edge")
    func edges() {
        var histogram = LatencyHistogram()
        histogram.record(-5)
        #expect(histogram.percentile(100) == 0)
        histogram.record(.max)
        #expect(histogram.percentile(100) == LatencyHistogram.longest)
    }

    @Test("percentiles are those of the sorted durations")
    func againstSorting() throws {
        let seed = UInt64.random(in: 0 ... .max)
        var random = LoadRandom(seed: seed)
        // From a nanosecond to minutes, each size as likely as the other.
        let durations = (0..<10_000).map { _ in Int64(random.next() >> (22 + random.next() % 41)) }
        var histogram = LatencyHistogram()
        for duration in durations { histogram.record(duration) }
        let sorted = durations.sorted()
        for percent in [0.0, 10, 50, 90, 99, 99.9, 100] {
            let rank = max(1, Int((Double(sorted.count) * percent / 100).rounded(.up)))
            let (wanted, found) = (sorted[rank - 1], try #require(histogram.percentile(percent)))
            #expect(found >= wanted && found - wanted <= wanted / 1000, "seed \(seed), \(percent) %")
        }
    }

    @Test("many at once count as many")
    func many() {
        var histogram = LatencyHistogram()
        histogram.record(10, times: 99)
        histogram.record(1000)
        #expect(histogram.count == 100)
        #expect(histogram.percentile(99) == 10)
        #expect(histogram.percentile(99.1) == 1000)
    }
}
