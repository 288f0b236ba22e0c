/// When each request of a run is due: evenly spread, whatever the server does. All times are nanoseconds of one clock.
struct LoadSchedule: Hashable, Sendable {
    let start: Int64
    /// Requests a second.
    let rate: Int64
    /// Seconds whose requests only warm up.
    let warmUpSeconds: Int64
    /// Seconds whose requests are measured.
    let seconds: Int64

    init(start: Int64, rate: Int, warmUpSeconds: Int, seconds: Int) {
        // So that no product below overflows.
        precondition((1...1_000_000).contains(rate) && (1...3600).contains(seconds) && (0...60).contains(warmUpSeconds))
        self.start = start
        self.rate = Int64(rate)
        self.warmUpSeconds = Int64(warmUpSeconds)
        self.seconds = Int64(seconds)
    }

    /// Requests in all; they are numbered from 0.
    var count: Int64 { rate * (warmUpSeconds + seconds) }
    /// The first request that is measured.
    var firstMeasured: Int64 { rate * warmUpSeconds }
    var measuredFrom: Int64 { start + warmUpSeconds * 1_000_000_000 }
    var end: Int64 { measuredFrom + seconds * 1_000_000_000 }

    func due(_ number: Int64) -> Int64 { start + number * 1_000_000_000 / rate }

    func isMeasured(_ number: Int64) -> Bool { number >= firstMeasured }
}
