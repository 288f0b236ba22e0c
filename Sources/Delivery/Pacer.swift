package import Messaging

/// How fast each endpoint sends: a token bucket per endpoint (80 messages a second is what Meta gives a number).
///
/// Kept as the virtual scheduling form of the bucket: one time per endpoint, no timers. An endpoint that was told it
/// sends too fast halves its rate, and takes back one halving after each quiet half minute.
package struct Pacer: Sendable {
    private struct Bucket {
        /// When the next message would leave if they left evenly.
        var next: Duration
        /// The rate is divided by 2 to this power.
        var halvings = 0
        var throttledAt: Duration = .zero
    }

    /// Rate at most 16 times slower than set.
    private static let halvingsMax = 4
    private static let recovery: Duration = .seconds(30)
    /// Beyond this many endpoints those that are idle are forgotten.
    private static let endpointsMax = 4096

    private let interval: Duration
    private let burst: Int
    private var buckets: [EndpointReference: Bucket] = [:]

    /// - Parameters:
    ///   - perSecond: messages a second and endpoint.
    ///   - burst: how many may leave at once after a pause.
    package init(perSecond: Int = 80, burst: Int = 10) {
        precondition(perSecond > 0 && burst > 0, "a rate and a burst are at least one")
        self.interval = .seconds(1) / perSecond
        self.burst = burst
    }

    /// Takes the endpoint's next slot.
    /// - Parameter now: time since any fixed moment, the same for all calls.
    /// - Returns: how long to wait before sending.
    package mutating func reserve(_ endpoint: EndpointReference, at now: Duration) -> Duration {
        var bucket = buckets[endpoint] ?? Bucket(next: now)
        Self.recover(&bucket, at: now)
        let step = interval * (1 << bucket.halvings)
        let slot = max(bucket.next, now)
        bucket.next = slot + step
        if buckets.count >= Self.endpointsMax, buckets[endpoint] == nil { forgetIdle(at: now) }
        buckets[endpoint] = bucket
        // A slowed endpoint has no burst: it was too fast already.
        let tolerance = bucket.halvings == 0 ? interval * (burst - 1) : .zero
        return max(slot - tolerance - now, .zero)
    }

    /// The provider said that this endpoint sends too fast.
    package mutating func throttled(_ endpoint: EndpointReference, at now: Duration) {
        var bucket = buckets[endpoint] ?? Bucket(next: now)
        Self.recover(&bucket, at: now)
        bucket.halvings = min(bucket.halvings + 1, Self.halvingsMax)
        bucket.throttledAt = now
        bucket.next = max(bucket.next, now + interval * (1 << bucket.halvings))
        buckets[endpoint] = bucket
    }

    private static func recover(_ bucket: inout Bucket, at now: Duration) {
        while bucket.halvings > 0, now - bucket.throttledAt >= recovery {
            bucket.halvings -= 1
            bucket.throttledAt += recovery
        }
    }

    private mutating func forgetIdle(at now: Duration) {
        buckets = buckets.filter { $0.value.next > now || $0.value.halvings > 0 }
    }
}
