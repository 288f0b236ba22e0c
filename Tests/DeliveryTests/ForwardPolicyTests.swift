import Delivery
import Messaging
import Testing

@Suite struct ForwardPolicyTests {
    enum Expected: Sendable { case success, again, setAside }

    static let patienceTable: [(ForwardOutcome, Int, Int64, Expected)] = [
        (answered(500), 29, 0, .again), (answered(500), 30, 0, .setAside), (answered(302), 30, 0, .setAside),
        (answered(401), 30, 0, .setAside), (answered(500), 1, 30 * 86_400, .again),
        (answered(503), 3_000, 7 * 86_400 - 1, .again), (answered(503), 1, 7 * 86_400, .setAside),
        (answered(429), 3_000, 0, .again), (.unanswered("no connection"), 3_000, 7 * 86_400 - 1, .again),
        (.unanswered("no connection"), 1, 7 * 86_400, .setAside),
    ]

    static func answered(_ status: Int) -> ForwardOutcome { .answered(status: status, retryAfterSeconds: nil) }

    static func job(attempt: Int = 1, ageSeconds: Int64 = 0) -> ForwardJob<ForwardedWebhook> {
        ForwardJob(id: 1, attempt: attempt, ageSeconds: ageSeconds, content: nil)
    }

    static func decide(
        _ outcome: ForwardOutcome, _ job: ForwardJob<ForwardedWebhook> = job(), policy: ForwardPolicy = ForwardPolicy()
    ) -> ForwardDecision? {
        policy.decision(after: outcome, of: job, jitter: \.upperBound)
    }

    static func sort(_ decision: ForwardDecision?) -> Expected {
        switch decision {
        case nil: .success
        case .again: .again
        case .setAside: .setAside
        }
    }

    @Test(
        "decides by the status alone",
        arguments: [
            (200, Expected.success), (202, .success), (204, .success), (299, .success),
            (301, .again), (302, .again), (307, .again), (304, .again),
            (400, .setAside), (413, .setAside), (415, .setAside), (422, .setAside),
            (401, .again), (403, .again), (404, .again), (408, .again), (409, .again), (410, .again), (425, .again),
            (429, .again), (500, .again), (501, .again), (502, .again), (503, .again), (504, .again), (199, .again),
        ])
    func statuses(status: Int, expected: Expected) {
        #expect(Self.sort(Self.decide(Self.answered(status))) == expected)
    }

    @Test(
        "an answer that may be about the webhook is tried so often; a receiver that is not there, for days",
        arguments: patienceTable)
    func patience(outcome: ForwardOutcome, attempt: Int, age: Int64, expected: Expected) {
        #expect(Self.sort(Self.decide(outcome, Self.job(attempt: attempt, ageSeconds: age))) == expected)
    }

    @Test(
        "the pause doubles up to five minutes",
        arguments: [(1, 1_000), (2, 2_000), (3, 4_000), (9, 256_000), (10, 300_000), (29, 300_000)])
    func pauses(attempt: Int, milliseconds: Int64) {
        #expect(
            Self.decide(.unanswered("x"), Self.job(attempt: attempt))
                == .again(afterMilliseconds: milliseconds, error: "no answer: x"))
    }

    @Test(
        "what the receiver asks for counts, within the longest pause",
        arguments: [(nil, 1_000), (0, 1_000), (-5, 1_000), (30, 30_000), (86_400, 300_000), (.max, 300_000)])
    func retryAfter(seconds: Int64?, milliseconds: Int64) {
        #expect(
            Self.decide(.answered(status: 503, retryAfterSeconds: seconds))
                == .again(afterMilliseconds: milliseconds, error: "the receiver answered 503"))
    }

    @Test("two workers that failed together do not come back together")
    func jitter() {
        let policy = ForwardPolicy()
        let least = policy.decision(after: .unanswered("x"), of: Self.job(attempt: 5), jitter: \.lowerBound)
        #expect(least == .again(afterMilliseconds: 0, error: "no answer: x"))
    }

    @Test(
        "behind what one sender's message failed over the others go on soon; a receiver that is not there stops them all",
        arguments: [
            (answered(500), true, 16_000), (answered(500), false, 1_000), (answered(401), false, 1_000),
            (answered(503), false, 16_000), (.unanswered("x"), false, 16_000), (answered(422), false, nil),
            (answered(422), true, nil),
        ])
    func lanePause(outcome: ForwardOutcome, isOneOrder: Bool, pause: Int64?) throws {
        let policy = ForwardPolicy(isOneOrder: isOneOrder)
        let decision = try #require(Self.decide(outcome, Self.job(attempt: 5), policy: policy))
        #expect(policy.lanePause(after: outcome, decision) == pause)
    }
}
