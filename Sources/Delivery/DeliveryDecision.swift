/// What happens to a job next. Every claimed job gets exactly one.
package enum DeliveryDecision: Hashable, Sendable {
    /// The provider has it, under this id: the job is done.
    case accepted(providerID: String)
    /// Known not sent, and worth another attempt after this delay.
    case retry(code: Int32?, error: String, afterMilliseconds: Int64)
    /// Known not sent, and not tried again.
    case refused(code: Int32?, error: String)
    /// Not known whether sent: never repeated by itself; a status that carries our id settles it.
    case uncertain(error: String)

    /// A bounded word for metrics and logs.
    package var label: String {
        switch self {
        case .accepted: "accepted"
        case .retry: "retry"
        case .refused: "refused"
        case .uncertain: "uncertain"
        }
    }
}

extension RetryPolicy {
    /// What keeps a job from being sent at all: `nil` when it may go.
    package func decisionBeforeSending(_ job: OutboxJob) -> DeliveryDecision? {
        guard job.permission != "question_closed" else {
            return .refused(code: nil, error: "not sent: the question is answered or expired by now")
        }
        guard job.permission == "ok" else {
            return .refused(code: nil, error: "not sent: the recipient must not be written to (\(job.permission))")
        }
        guard job.message != nil else {
            return .refused(code: nil, error: "not sent: the job's payload cannot be read")
        }
        return nil
    }

    /// What follows from how an attempt ended.
    /// - Parameter jitter: draws a number out of a range.
    package func decision(
        after outcome: SendOutcome, of job: OutboxJob, jitter: (ClosedRange<Int64>) -> Int64
    ) -> DeliveryDecision {
        switch outcome {
        case .accepted(let providerID): return .accepted(providerID: providerID)
        case .uncertain(let detail): return .uncertain(error: detail)
        case .refused(let code, let detail, let advice):
            let rule = code.flatMap { GraphErrorRule.rule(code: $0) }
            let attemptsMax = min(job.attemptsMax, rule?.attemptsMax ?? job.attemptsMax)
            guard advice != .never else { return .refused(code: code, error: detail) }
            guard job.attempt < attemptsMax else {
                return .refused(code: code, error: "\(detail) (given up after \(job.attempt) attempts)")
            }
            let delay: Int64 =
                switch advice {
                case .after(let milliseconds): Self.atLeast(milliseconds, jitter: jitter)
                case .later where rule?.isPairRate == true:
                    Self.atLeast(Self.pairRateMilliseconds(attempt: job.attempt), jitter: jitter)
                case .later, .never: backoffMilliseconds(attempt: job.attempt, jitter: jitter)
                }
            return .retry(code: code, error: detail, afterMilliseconds: delay)
        }
    }

    /// `4^n` seconds with n counting from 0, at most an hour and eight minutes (n = 6): Meta's own advice.
    static func pairRateMilliseconds(attempt: Int) -> Int64 {
        1_000 << (2 * Int64(min(max(attempt, 1) - 1, 6)))
    }

    /// Not before the given time, and up to a tenth later.
    private static func atLeast(_ milliseconds: Int64, jitter: (ClosedRange<Int64>) -> Int64) -> Int64 {
        let floor = min(max(milliseconds, 0), 30 * 86_400_000)
        return floor + jitter(0...(floor / 10))
    }
}
