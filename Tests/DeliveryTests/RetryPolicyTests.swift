import Delivery
import GatewayTesting
import Messaging
import Testing

@Suite struct GraphErrorRuleTests {
    /// Every code of the platform's table, and what it asks for.
    static let table: [(codes: [Int32], advice: RetryAdvice?)] = [
        (
            [
                0, 3, 10, 33, 100, 190, 200, 250, 299, 368, 130472, 130497, 131005, 131008, 131009, 131020, 131021,
                131026, 131030, 131031, 131037, 131041, 131042, 131045, 131047, 131050, 131051, 131052, 131053, 131055,
                131062,
                131063, 131200, 131207, 131209, 132000, 132001, 132005, 132007, 132008, 132012, 132015, 132016, 132068,
                133000, 133005, 133006, 133008, 133009, 133010, 134100, 134102, 135000, 137000,
            ], .never
        ),
        ([1, 2, 130429, 131000, 131016, 131056, 131208, 133004], .later),
        ([131057, 2_494_100], .after(milliseconds: 60_000)),
        ([80007], .after(milliseconds: 120_000)),
        ([4, 133015], .after(milliseconds: 300_000)),
        ([134101], .after(milliseconds: 600_000)),
        ([131064, 132069], .after(milliseconds: 3_600_000)),
        ([131048], .after(milliseconds: 4 * 3_600_000)),
        ([131049], .after(milliseconds: 24 * 3_600_000)),
        ([133016], .after(milliseconds: 72 * 3_600_000)),
        ([5, 199, 300, 131001, 999_999, -1], nil),
    ]

    @Test("every code of the table gets its advice, and no other code any", arguments: table)
    func advice(codes: [Int32], advice: RetryAdvice?) {
        for code in codes { #expect(GraphErrorRule.rule(code: code)?.advice == advice, "code \(code)") }
    }

    @Test("only limits of the whole endpoint slow it")
    func slowing() {
        let slowing = (Self.table.flatMap(\.codes)).filter { GraphErrorRule.rule(code: $0)?.slowsEndpoint == true }
        #expect(slowing.sorted() == [4, 80007, 130429])
    }
}

@Suite struct RetryPolicyTests {
    let policy = RetryPolicy(baseMilliseconds: 1_000, capMilliseconds: 300_000)

    func job(attempt: Int = 1, attemptsMax: Int = 8, permission: String = "ok", hasMessage: Bool = true) -> OutboxJob {
        OutboxJob(
            id: 1, attempt: attempt, attemptsMax: attemptsMax, message: hasMessage ? .sample() : nil,
            permission: permission)
    }

    func decision(_ outcome: SendOutcome, _ job: OutboxJob) -> DeliveryDecision {
        policy.decision(after: outcome, of: job, jitter: \.upperBound)
    }

    @Test(
        "the back-off doubles up to the cap",
        arguments: [
            (1, 1_000), (2, 2_000), (3, 4_000), (8, 128_000), (9, 256_000), (10, 300_000), (64, 300_000),
            (10_000, 300_000),
            (0, 1_000),
        ] as [(Int, Int64)])
    func backoff(attempt: Int, expected: Int64) {
        var range: ClosedRange<Int64>?
        let drawn = policy.backoffMilliseconds(attempt: attempt) { drawn in
            range = drawn
            return drawn.upperBound
        }
        #expect(drawn == expected)
        #expect(range == 0...expected, "the jitter is full: from nothing to the bound")
    }

    @Test("a cap near the largest number does not overflow")
    func hugeBackoff() {
        let policy = RetryPolicy(baseMilliseconds: .max / 2, capMilliseconds: .max)
        #expect(policy.backoffMilliseconds(attempt: 50, jitter: \.upperBound) == .max)
    }

    @Test("accepted and uncertain pass unchanged: neither leads to another attempt")
    func finalOutcomes() {
        #expect(decision(.accepted(providerID: "wamid.1"), job()) == .accepted(providerID: "wamid.1"))
        #expect(decision(.uncertain(detail: "no answer"), job()) == .uncertain(error: "no answer"))
    }

    @Test("a refusal for good is final at the first attempt")
    func never() {
        #expect(
            decision(.refused(code: 131047, detail: "closed", retry: .never), job())
                == .refused(code: 131047, error: "closed"))
    }

    @Test(
        "attempts end where the job says, or earlier where the code says",
        arguments: [
            (131016, 7, true), (131016, 8, false), (131016, 9, false), (1, 2, true), (1, 3, false), (131000, 3, true),
            (131000, 4, false),
        ] as [(Int32, Int, Bool)])
    func attempts(code: Int32, attempt: Int, goesOn: Bool) {
        switch decision(.refused(code: code, detail: "x", retry: .later), job(attempt: attempt)) {
        case .retry: #expect(goesOn)
        case .refused(_, let error):
            #expect(!goesOn)
            #expect(error == "x (given up after \(attempt) attempts)")
        case .accepted, .uncertain: Issue.record("a refusal is neither")
        }
    }

    @Test(
        "the pair rate waits 1, 4, 16, 64 s and never less",
        arguments: [
            (1, 1_000), (2, 4_000), (3, 16_000), (4, 64_000), (7, 4_096_000), (30, 4_096_000),
        ] as [(Int, Int64)])
    func pairRate(attempt: Int, floor: Int64) {
        let job = job(attempt: attempt, attemptsMax: 99)
        let outcome = SendOutcome.refused(code: 131056, detail: "pair", retry: .later)
        let least = policy.decision(after: outcome, of: job, jitter: \.lowerBound)
        #expect(least == .retry(code: 131056, error: "pair", afterMilliseconds: floor))
        #expect(decision(outcome, job) == .retry(code: 131056, error: "pair", afterMilliseconds: floor + floor / 10))
    }

    @Test("a time the provider names is kept, whatever the attempt", arguments: [1, 5])
    func named(attempt: Int) {
        let outcome = SendOutcome.refused(code: 131049, detail: "x", retry: .after(milliseconds: 86_400_000))
        let least = policy.decision(after: outcome, of: job(attempt: attempt), jitter: \.lowerBound)
        #expect(least == .retry(code: 131049, error: "x", afterMilliseconds: 86_400_000))
    }

    @Test(
        "nothing is sent to somebody who must not be written to",
        arguments: [
            "stopped_all", "stopped_landlord", "revoked", "no_opt_in", "",
        ])
    func permission(word: String) {
        let decision = policy.decisionBeforeSending(job(permission: word))
        #expect(
            decision == .refused(code: nil, error: "not sent: the recipient must not be written to (\(word))"))
    }

    @Test("a job that cannot be read is refused, any other may go")
    func readable() {
        #expect(
            policy.decisionBeforeSending(job(hasMessage: false))
                == .refused(code: nil, error: "not sent: the job's payload cannot be read"))
        #expect(policy.decisionBeforeSending(job()) == nil)
    }
}
