import Glibc
package import Messaging

/// What a load met.
package struct LoadReport: Sendable {
    /// Requests of the measured time that were sent.
    package let sent: UInt64
    /// Of these, answered with 200.
    package let acknowledged: UInt64
    /// Answers with 200 a second, while it was measured.
    package let acknowledgedPerSecond: Double
    /// Other answers, by status; the warm-up's too.
    package let refused: [Int: UInt64]
    /// Requests whose connection ended before their answer; the warm-up's too.
    package let broken: UInt64
    /// Requests without an answer some seconds after the end.
    package let unanswered: UInt64
    /// Requests that were due and never sent, because no connection became free: the server is slower than the rate.
    package let unsent: UInt64
    /// Connections made again during the run.
    package let reconnections: UInt64
    /// What ended the first connection that ended.
    package let firstFailure: String?
    /// From the time a request was due to its 200. What was unanswered or unsent is in it with the time it waited.
    package let latency: LatencyHistogram
    /// How late a free connection got its request: the generator's own fault.
    package let lateness: LatencyHistogram
    package let generator: GeneratorCost
    /// The ids of the acknowledged messages and the times of their 200, if asked for.
    package let receipts: [Receipt]

    package struct Receipt: Sendable {
        package let messageID: String
        package let at: Timestamp
    }

    /// The longest lateness of 99 of 100 requests, and the largest share of a processor, with which latencies are still
    /// the server's.
    private static let latenessMax: Int64 = 1_000_000
    private static let processorShareMax = 0.9

    /// Whether the requests left when they were due. If not, the latencies hold the generator's own delay, too.
    package var isScheduleKept: Bool {
        lateness.percentile(99) ?? 0 <= Self.latenessMax && generator.processorShare <= Self.processorShareMax
    }

    /// Every request of the run was sent, and answered with 200.
    package var isFlawless: Bool { refused.isEmpty && broken == 0 && unanswered == 0 && unsent == 0 }
}

/// What the generator's thread spent during a run.
package struct GeneratorCost: Hashable, Sendable {
    /// Nanoseconds of processor time for one request.
    package let nanosecondsPerRequest: Double
    /// Of the run's time on one processor.
    package let processorShare: Double
    /// Of the run's time in which it could have run, and another program had the processor; `nil` where the kernel does
    /// not tell.
    package let waitingShare: Double?

    init(from start: ThreadUsage, to end: ThreadUsage, requests: UInt64) {
        let wall = max(1, Double(end.at - start.at))
        nanosecondsPerRequest = Double(end.processor - start.processor) / Double(max(1, requests))
        processorShare = Double(end.processor - start.processor) / wall
        if let before = start.waiting, let after = end.waiting {
            waitingShare = Double(after - before) / wall
        } else {
            waitingShare = nil
        }
    }
}

/// What the calling thread has spent so far, in nanoseconds.
struct ThreadUsage: Hashable, Sendable {
    let at: Int64
    let processor: Int64
    /// Ready to run, but not running.
    let waiting: Int64?

    static func now() -> ThreadUsage {
        ThreadUsage(
            at: clock(CLOCK_MONOTONIC), processor: clock(CLOCK_THREAD_CPUTIME_ID), waiting: waitingOfThisThread())
    }

    private static func clock(_ clock: clockid_t) -> Int64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }

    /// The second number of the kernel's line: running, waiting, turns.
    private static func waitingOfThisThread() -> Int64? {
        let descriptor = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 128)
        let count = read(descriptor, &bytes, bytes.count)
        guard count > 0 else { return nil }
        let words = String(decoding: bytes[..<count], as: UTF8.self).split { $0 == " " || $0 == "\n" }
        return words.count == 3 ? Int64(words[1]) : nil
    }
}
