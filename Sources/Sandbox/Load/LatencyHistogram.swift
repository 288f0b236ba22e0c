/// Counts durations to three significant digits, however many there are: the log-linear buckets of HdrHistogram.
///
/// Up to 2,047 ns every nanosecond has its bucket; from there on every doubling has 1,024, so that a duration is known
/// to one part in 1,024.
package struct LatencyHistogram: Sendable {
    /// Longer ones count as this: 73 minutes, in nanoseconds.
    package static let longest: Int64 = 1 << 42 - 1
    private static let bitsPerDoubling = 10

    private var counts = [UInt64](repeating: 0, count: Self.bucket(of: Self.longest) + 1)
    /// How many were counted.
    package private(set) var count: UInt64 = 0
    /// The longest that was counted, in nanoseconds; 0 when there is none.
    package private(set) var maximum: Int64 = 0

    package init() {}

    /// - Parameter nanoseconds: what is below zero counts as zero.
    package mutating func record(_ nanoseconds: Int64, times: UInt64 = 1) {
        let value = min(max(nanoseconds, 0), Self.longest)
        counts[Self.bucket(of: value)] += times
        count += times
        maximum = max(maximum, value)
    }

    /// The duration that this share of all does not exceed, in nanoseconds, at most a thousandth too long; `nil` when
    /// nothing was counted.
    /// - Parameter percent: from 0 to 100.
    package func percentile(_ percent: Double) -> Int64? {
        guard count > 0 else { return nil }
        let rank = max(1, UInt64((Double(count) * min(max(percent, 0), 100) / 100).rounded(.up)))
        var passed: UInt64 = 0
        for (bucket, inBucket) in counts.enumerated() where inBucket > 0 {
            passed += inBucket
            if passed >= rank { return min(Self.upperEnd(of: bucket), maximum) }
        }
        return maximum
    }

    private static func bucket(of value: Int64) -> Int {
        let doublings = max(0, 63 - bitsPerDoubling - (value | 1).leadingZeroBitCount)
        return doublings << bitsPerDoubling + Int(value >> Int64(doublings))
    }

    /// The longest duration that falls into a bucket.
    private static func upperEnd(of bucket: Int) -> Int64 {
        let doublings = max(0, bucket >> bitsPerDoubling - 1)
        return (Int64(bucket - doublings << bitsPerDoubling) + 1) << Int64(doublings) - 1
    }
}
