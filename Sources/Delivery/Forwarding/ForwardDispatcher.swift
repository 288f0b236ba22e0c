package import Messaging
import Synchronization

/// The settings of a `ForwardDispatcher`.
package struct ForwardDispatcherConfiguration: Hashable, Sendable {
    /// Names this process; its claims are numbered.
    package var worker: String
    package var limit: ForwardLimit
    /// How long a claim holds; after half of it no further webhook of the run is sent. The forwarder's own time limit
    /// must fit into the other half.
    package var leaseSeconds: Int
    /// How long to wait for news of new jobs before asking by ourselves.
    package var idleSeconds: Int
    package var policy: ForwardPolicy
    /// Between attempts to reach the queue.
    package var queueBackoff: RetryPolicy

    package init(
        worker: String, limit: ForwardLimit = ForwardLimit(jobs: 200, bytes: 8 << 20), leaseSeconds: Int = 40,
        idleSeconds: Int = 5, policy: ForwardPolicy = ForwardPolicy(),
        queueBackoff: RetryPolicy = RetryPolicy(baseMilliseconds: 200, capMilliseconds: 20_000)
    ) {
        precondition(leaseSeconds > 1, "a lease has two halves")
        self.worker = worker
        self.limit = limit
        self.leaseSeconds = leaseSeconds
        self.idleSeconds = idleSeconds
        self.policy = policy
        self.queueBackoff = queueBackoff
    }
}

/// What a forward dispatcher tells whoever watches it: for logs and metrics. No content.
package enum ForwardEvent: Hashable, Sendable {
    /// A lane was looked at; the age of its oldest webhook, zero when there is none to send.
    case looked(WebhookSource, oldestSeconds: Int64)
    /// So many webhooks of a source were taken, and that is stored.
    case forwarded(WebhookSource, count: Int)
    /// The same webhook goes again later; the lane waits behind it.
    case failed(WebhookSource, attempt: Int, ageSeconds: Int64, error: String, pause: Duration)
    /// A webhook was given up; the lane goes on behind it.
    case setAside(WebhookSource, job: Int64, error: String)
    /// The queue failed at `claim` or `settle`; it is tried again.
    case queueFailed(operation: String, error: String)
    case drained
}

/// Passes webhooks on: each source by itself, oldest first, one after the other.
///
/// Rules it keeps: nothing of a source is sent before what stands in front of it was taken or set aside; a source that
/// does not get through holds up no other; a webhook may be sent again, always under the same id; after `drain()`
/// nothing new is sent, and `run()` returns once what was sent is stored.
package final class ForwardDispatcher<Time: Clock>: Sendable where Time.Duration == Duration {
    private struct State {
        var isDraining = false
        var claims = 0
        /// Pauses that `drain()` ends.
        var rests: [WebhookSource: Task<Void, Never>] = [:]
    }

    private let configuration: ForwardDispatcherConfiguration
    private let queue: any ForwardQueue
    private let forwarder: any WebhookForwarder
    private let clock: Time
    private let jitter: @Sendable (ClosedRange<Int64>) -> Int64
    private let observe: @Sendable (ForwardEvent) -> Void
    private let state = Mutex(State())
    /// Each holds at most one: many causes, one look.
    private let news: [WebhookSource: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)]

    /// - Parameters:
    ///   - jitter: draws a number out of a range.
    ///   - observe: called for every event, from any task; it must not block.
    package init(
        configuration: ForwardDispatcherConfiguration, queue: any ForwardQueue, forwarder: any WebhookForwarder,
        clock: Time, jitter: @escaping @Sendable (ClosedRange<Int64>) -> Int64,
        observe: @escaping @Sendable (ForwardEvent) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.queue = queue
        self.forwarder = forwarder
        self.clock = clock
        self.jitter = jitter
        self.observe = observe
        news = Dictionary(
            uniqueKeysWithValues: WebhookSource.allCases.map {
                ($0, AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1)))
            })
    }

    /// Stops sending. Safe to call from anywhere, any number of times, before `run()` too.
    package func drain() {
        let rests = state.withLock { state in
            state.isDraining = true
            return Array(state.rests.values)
        }
        for rest in rests { rest.cancel() }
        for lane in news.values { lane.continuation.finish() }
    }

    /// Works until `drain()` is called, or the task is cancelled. To be run once.
    package func run() async {
        await withDiscardingTaskGroup { watch in
            watch.addTask { await self.listen() }
            await withDiscardingTaskGroup { lanes in
                for source in WebhookSource.allCases { lanes.addTask { await self.work(source) } }
            }
            watch.cancelAll()
        }
        observe(.drained)
    }

    private var isDone: Bool { Task.isCancelled || state.withLock { $0.isDraining } }

    /// News wake every lane: they are told for the whole outbox.
    private func listen() async {
        while !isDone {
            await queue.jobsAvailable(atMostSeconds: configuration.idleSeconds)
            for lane in news.values { lane.continuation.yield() }
        }
    }
}

// One lane.
extension ForwardDispatcher {
    private func work(_ source: WebhookSource) async {
        var failures = 0
        while !isDone {
            do {
                let claim = name()
                let claimedAt = clock.now
                let jobs = try await queue.claim(
                    source, as: claim, limit: configuration.limit, leaseSeconds: configuration.leaseSeconds)
                failures = 0
                observe(.looked(source, oldestSeconds: jobs.first?.ageSeconds ?? 0))
                guard let head = jobs.first else {
                    await waitForNews(source)
                    continue
                }
                let settlement = await send(jobs, ForwardSettlement(claim: claim, head: head.id), claimedAt)
                await store(settlement, jobs, source)
                if case .again(let milliseconds, _)? = settlement.failed?.decision {
                    await rest(source, for: .milliseconds(milliseconds))
                }
            } catch {
                failures += 1
                observe(.queueFailed(operation: "claim", error: "\(error)"))
                let delay = configuration.queueBackoff.backoffMilliseconds(attempt: failures, jitter: jitter)
                await rest(source, for: .milliseconds(delay))
            }
        }
    }

    private func name() -> String {
        let number = state.withLock { state in
            state.claims += 1
            return state.claims
        }
        return "\(configuration.worker)/\(number)"
    }

    /// One after the other, as long as they are taken and there is time.
    private func send(
        _ jobs: [ForwardJob], _ begun: ForwardSettlement, _ claimedAt: Time.Instant
    ) async -> ForwardSettlement {
        var settlement = begun
        for job in jobs {
            // Whoever held a claim too long must not send: another may have taken the lane over.
            guard !isDone, claimedAt.duration(to: clock.now) < .seconds(configuration.leaseSeconds) / 2 else { break }
            guard let webhook = job.webhook else {
                let error = "the webhook is no longer in gateway.webhook_log (webhook_log_retention_days)"
                settlement.failed = .init(job: job.id, decision: .setAside(error: error))
                break
            }
            let outcome = await forwarder.forward(webhook)
            if let decision = configuration.policy.decision(after: outcome, of: job, jitter: jitter) {
                settlement.failed = .init(job: job.id, decision: decision)
                break
            }
            settlement.done.append(job.id)
        }
        return settlement
    }

    /// What was taken is worth keeping on trying for; after `drain()` once more, then it is sent again at the next start.
    private func store(_ settlement: ForwardSettlement, _ jobs: [ForwardJob], _ source: WebhookSource) async {
        var failures = 0
        while true {
            let isLast = isDone
            do {
                try await queue.settle(settlement)
                return report(settlement, jobs, source)
            } catch {
                failures += 1
                observe(.queueFailed(operation: "settle", error: "\(error)"))
                if isLast { return }
                let delay = configuration.queueBackoff.backoffMilliseconds(attempt: failures, jitter: jitter)
                await rest(source, for: .milliseconds(delay))
            }
        }
    }

    private func report(_ settlement: ForwardSettlement, _ jobs: [ForwardJob], _ source: WebhookSource) {
        if !settlement.done.isEmpty { observe(.forwarded(source, count: settlement.done.count)) }
        guard let failed = settlement.failed, let job = jobs.first(where: { $0.id == failed.job }) else { return }
        switch failed.decision {
        case .again(let milliseconds, let error):
            observe(
                .failed(
                    source, attempt: job.attempt, ageSeconds: job.ageSeconds, error: error,
                    pause: .milliseconds(milliseconds)))
        case .setAside(let error): observe(.setAside(source, job: job.id, error: error))
        }
    }
}

// Waiting.
extension ForwardDispatcher {
    private func waitForNews(_ source: WebhookSource) async {
        guard let news = news[source] else { return }
        for await _ in news.stream { return }
    }

    /// Until the time is over, whatever the news; ended by `drain()`.
    private func rest(_ source: WebhookSource, for duration: Duration) async {
        let rest = Task<Void, Never> { [clock] in
            try? await clock.sleep(until: clock.now.advanced(by: duration), tolerance: nil)
        }
        let isDraining = state.withLock { state in
            state.rests[source] = rest
            return state.isDraining
        }
        if isDraining { rest.cancel() }
        await withTaskCancellationHandler {
            await rest.value
        } onCancel: {
            rest.cancel()
        }
    }
}
