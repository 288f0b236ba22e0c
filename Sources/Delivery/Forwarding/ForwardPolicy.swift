/// What follows from an attempt that was no success.
package enum ForwardDecision: Hashable, Sendable {
    /// It rests for so long, and what is ordered after it, too; then it goes first.
    case again(afterMilliseconds: Int64, error: String)
    /// Set aside for a person (`gateway.outbox_dead`); the lane goes on.
    case setAside(error: String)
}

/// When a webhook is passed on again, and when it is set aside so that it does not hold up those behind it.
///
/// Nobody there, or nobody able (no answer, 408, 425, 429, 502, 503, 504): that is the receiver's trouble, not the
/// webhook's, and the lane waits for it for days. A refusal of the webhook itself (400, 413, 415, 422) is final. Any
/// other answer may be either: a wrong address or a handler that fails over this one webhook; it is tried often enough
/// for a person to hear the alarm, then set aside. Redirects are not followed.
package struct ForwardPolicy: Hashable, Sendable {
    package var backoff: RetryPolicy
    /// For answers that may be about the webhook: about an hour with the usual back-off.
    package var refusalsMax: Int
    /// For a receiver that is not there. Must be shorter than the webhook log is kept.
    package var ageSecondsMax: Int64
    /// Whether the whole lane keeps one order, so that all of it waits for what failed. Else each sender has an order of
    /// their own, and only a receiver that is not there holds up everybody.
    package var isOneOrder: Bool

    package init(
        backoff: RetryPolicy = RetryPolicy(baseMilliseconds: 1_000, capMilliseconds: 300_000), refusalsMax: Int = 30,
        ageSecondsMax: Int64 = 7 * 86_400, isOneOrder: Bool = true
    ) {
        self.backoff = backoff
        self.refusalsMax = refusalsMax
        self.ageSecondsMax = ageSecondsMax
        self.isOneOrder = isOneOrder
    }

    /// - Parameter jitter: draws a number out of a range.
    /// - Returns: `nil` for a success.
    package func decision(
        after outcome: ForwardOutcome, of job: ForwardJob<some Hashable & Sendable>,
        jitter: (ClosedRange<Int64>) -> Int64
    ) -> ForwardDecision? {
        switch outcome {
        case .answered(200...299, _): return nil
        case .answered(let status, let retryAfter):
            let error = "the receiver answered \(status)"
            switch status {
            case 400, 413, 415, 422: return .setAside(error: error)
            case _ where outcome.isReceiversTrouble:
                return patient(error, job.attempt, job.ageSeconds, retryAfter, jitter)
            default:
                guard job.attempt < refusalsMax else {
                    return .setAside(error: "\(error) (given up after \(job.attempt) attempts)")
                }
                return again(error, job.attempt, retryAfter, jitter)
            }
        case .unanswered(let reason): return patient("no answer: \(reason)", job.attempt, job.ageSeconds, nil, jitter)
        }
    }

    /// How many milliseconds the lane rests after a failure, if it does. Behind what may fail alone the others go on; not
    /// at once, for a receiver that refuses everything would be asked about each of them without end.
    package func lanePause(after outcome: ForwardOutcome, _ decision: ForwardDecision) -> Int64? {
        guard case .again(let milliseconds, _) = decision else { return nil }
        return isOneOrder || outcome.isReceiversTrouble ? milliseconds : min(milliseconds, backoff.baseMilliseconds)
    }

    private func patient(
        _ error: String, _ attempt: Int, _ ageSeconds: Int64, _ retryAfter: Int64?,
        _ jitter: (ClosedRange<Int64>) -> Int64
    ) -> ForwardDecision {
        guard ageSeconds < ageSecondsMax else {
            return .setAside(error: "\(error) (given up after \(ageSeconds / 86_400) days)")
        }
        return again(error, attempt, retryAfter, jitter)
    }

    /// What the receiver asks for counts as far as the longest back-off goes.
    private func again(
        _ error: String, _ attempt: Int, _ retryAfter: Int64?, _ jitter: (ClosedRange<Int64>) -> Int64
    ) -> ForwardDecision {
        let asked = min(max(retryAfter ?? 0, 0), backoff.capMilliseconds / 1000) * 1000
        return .again(
            afterMilliseconds: max(asked, backoff.backoffMilliseconds(attempt: attempt, jitter: jitter)), error: error)
    }
}

extension ForwardOutcome {
    /// Nobody there, or nobody able: whatever was to be handed over.
    fileprivate var isReceiversTrouble: Bool {
        switch self {
        case .answered(let status, _): [408, 425, 429, 502, 503, 504].contains(status)
        case .unanswered: true
        }
    }
}
