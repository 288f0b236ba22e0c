/// Whether and when a send that the provider refused is tried again: by Meta's error code where there is one, with
/// exponential back-off and full jitter otherwise.
///
/// The table follows Meta's page of error codes and decides by code alone: neither the HTTP status nor the title of an
/// error is dependable (`130429` comes with status 400).
package struct RetryPolicy: Hashable, Sendable {
    /// The upper bound of the first delay; it doubles with every attempt.
    package var baseMilliseconds: Int64
    /// No back-off is longer than this. What the provider asks for by itself may be.
    package var capMilliseconds: Int64

    package init(baseMilliseconds: Int64 = 1_000, capMilliseconds: Int64 = 300_000) {
        precondition(baseMilliseconds > 0 && capMilliseconds >= baseMilliseconds, "a back-off grows from base to cap")
        self.baseMilliseconds = baseMilliseconds
        self.capMilliseconds = capMilliseconds
    }

    /// A random delay between nothing and `base × 2^(attempt − 1)`, at most the cap. Full jitter: many jobs that failed
    /// together do not come back together.
    /// - Parameters:
    ///   - attempt: how many attempts were made, from 1.
    ///   - jitter: draws a number out of a range.
    package func backoffMilliseconds(attempt: Int, jitter: (ClosedRange<Int64>) -> Int64) -> Int64 {
        let doublings = min(max(attempt, 1) - 1, 40)
        let (grown, overflow) = baseMilliseconds.multipliedReportingOverflow(by: 1 << Int64(doublings))
        return jitter(0...(overflow ? capMilliseconds : min(grown, capMilliseconds)))
    }
}

/// What one of Meta's error codes means for another attempt.
package struct GraphErrorRule: Hashable, Sendable {
    package let advice: RetryAdvice
    /// Fewer attempts than the job allows, where more would only repeat the answer.
    package var attemptsMax: Int?
    /// The pair rate: 1, 4, 16, 64 s between attempts. Other recipients may go on.
    package var isPairRate = false
    /// The whole endpoint sends too fast: it is slowed, not just this job.
    package var slowsEndpoint = false

    private static let minute: Int64 = 60_000
    private static let hour: Int64 = 3_600_000

    /// The rule for a code; `nil` for a code that is not in the table.
    package static func rule(code: Int32) -> GraphErrorRule? {
        switch code {
        case 1: Self(advice: .later, attemptsMax: 3)
        case 131000: Self(advice: .later, attemptsMax: 4)
        case 2, 131016, 133004, 131208: Self(advice: .later)
        case 130429: Self(advice: .later, slowsEndpoint: true)
        case 131056: Self(advice: .later, isPairRate: true)
        case 4: Self(advice: .after(milliseconds: 5 * minute), slowsEndpoint: true)
        case 80007: Self(advice: .after(milliseconds: 2 * minute), slowsEndpoint: true)
        case 131057, 2_494_100: Self(advice: .after(milliseconds: minute))
        case 133015: Self(advice: .after(milliseconds: 5 * minute))
        case 134101: Self(advice: .after(milliseconds: 10 * minute))
        case 131064, 132069: Self(advice: .after(milliseconds: hour))
        case 131048: Self(advice: .after(milliseconds: 4 * hour))
        case 131049: Self(advice: .after(milliseconds: 24 * hour))
        case 133016: Self(advice: .after(milliseconds: 72 * hour))
        default: refusesForGood(code) ? Self(advice: .never) : nil
        }
    }

    /// Token and permission (0, 3, 10, 190, 200–299, 131005), parameters (33, 100, 131008, 131009), the account
    /// (368, 131031, 131042, 131045), the recipient (131021, 131026, 131030, 131050), the window (131047), media
    /// (131051–131053), templates (1320xx), registration (1330xx), groups (1312xx): the same message gets the same
    /// answer until a person changes something.
    private static func refusesForGood(_ code: Int32) -> Bool {
        switch code {
        case 0, 3, 10, 33, 100, 190, 200...299, 368,
            130472, 130497,
            131005, 131008, 131009, 131020, 131021, 131026, 131030, 131031, 131037, 131041, 131042, 131045, 131047,
            131050, 131051, 131052, 131053, 131055, 131062, 131063, 131200...131299,
            132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068,
            133000, 133005, 133006, 133008, 133009, 133010,
            134100, 134102, 135000, 137000:
            true
        default: false
        }
    }
}
