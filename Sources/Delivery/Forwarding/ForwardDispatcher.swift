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
package enum ForwardEvent<Lane: Hashable & Sendable>: Hashable, Sendable {
    /// A lane was looked at; the age of the oldest job there is to send, zero when there is none.
    case looked(Lane, oldestSeconds: Int64)
    /// So many of a lane were taken, and that is stored.
    case forwarded(Lane, count: Int)
    /// The same one goes again later; what is ordered after it waits behind it.
    case failed(Lane, attempt: Int, ageSeconds: Int64, error: String, pause: Duration)
    /// One was given up; the lane goes on behind it.
    case setAside(Lane, job: Int64, error: String)
    /// The queue failed at `claim` or `settle`; it is tried again.
    case queueFailed(operation: String, error: String)
    case drained
}

/// Passes on what the lanes of a queue hold: each lane by itself, oldest first, one after the other.
///
/// Rules it keeps: what a run holds is sent in its order, and nothing of it after a failure; a lane that does not get
/// through holds up no other; what was sent may be sent again, always under the same id; after `drain()` nothing new is
/// sent, and `run()` returns once what was sent is stored.
package final class ForwardDispatcher<Time: Clock, Queue: ForwardQueue>: Sendable where Time.Duration == Duration {
    package typealias Lane = Queue.Lane
    private typealias Job = ForwardJob<Queue.Content>

    private struct State {
        var isDraining = false
        var claims = 0
        /// Pauses that `drain()` ends.
        var rests: [Lane: Task<Void, Never>] = [:]
    }

    private let configuration: ForwardDispatcherConfiguration
    private let queue: Queue
    private let forwarder: any Forwarder<Queue.Content>
    private let clock: Time
    private let jitter: @Sendable (ClosedRange<Int64>) -> Int64
    private let observe: @Sendable (ForwardEvent<Lane>) -> Void
    private let state = Mutex(State())
    /// Each holds at most one: many causes, one look.
    private let news: [Lane: (stream: AsyncStream<Void>, continuation: AsyncStream<Void>.Continuation)]

    /// - Parameters:
    ///   - lanes: those to be worked on, each once.
    ///   - jitter: draws a number out of a range.
    ///   - observe: called for every event, from any task; it must not block.
    package init(
        configuration: ForwardDispatcherConfiguration, lanes: [Lane], queue: Queue,
        forwarder: any Forwarder<Queue.Content>, clock: Time, jitter: @escaping @Sendable (ClosedRange<Int64>) -> Int64,
        observe: @escaping @Sendable (ForwardEvent<Lane>) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.queue = queue
        self.forwarder = forwarder
        self.clock = clock
        self.jitter = jitter
        self.observe = observe
        news = Dictionary(
            uniqueKeysWithValues: lanes.map {
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
                for lane in self.news.keys { lanes.addTask { await self.work(lane) } }
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
    private func work(_ lane: Lane) async {
        var failures = 0
        while !isDone {
            do {
                let claim = name()
                let claimedAt = clock.now
                let jobs = try await queue.claim(
                    lane, as: claim, limit: configuration.limit, leaseSeconds: configuration.leaseSeconds)
                failures = 0
                observe(.looked(lane, oldestSeconds: jobs.first?.ageSeconds ?? 0))
                guard let head = jobs.first else {
                    await waitForNews(lane)
                    continue
                }
                let (settlement, pause) = await send(
                    jobs, ForwardSettlement(claim: claim, head: head.id), claimedAt)
                await store(settlement, jobs, lane)
                if let pause { await rest(lane, for: .milliseconds(pause)) }
            } catch {
                failures += 1
                observe(.queueFailed(operation: "claim", error: "\(error)"))
                let delay = configuration.queueBackoff.backoffMilliseconds(attempt: failures, jitter: jitter)
                await rest(lane, for: .milliseconds(delay))
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
    /// - Returns: also how many milliseconds the lane rests, if it does.
    private func send(
        _ jobs: [Job], _ begun: ForwardSettlement, _ claimedAt: Time.Instant
    ) async -> (ForwardSettlement, pause: Int64?) {
        var settlement = begun
        var pause: Int64?
        for job in jobs {
            // Whoever held a claim too long must not send: another may have taken the lane over.
            guard !isDone, claimedAt.duration(to: clock.now) < .seconds(configuration.leaseSeconds) / 2 else { break }
            guard let content = job.content else {
                let error = "the webhook is no longer in gateway.webhook_log (webhook_log_retention_days)"
                settlement.failed = .init(job: job.id, decision: .setAside(error: error))
                break
            }
            let outcome = await forwarder.forward(content)
            if let decision = configuration.policy.decision(after: outcome, of: job, jitter: jitter) {
                settlement.failed = .init(job: job.id, decision: decision)
                pause = configuration.policy.lanePause(after: outcome, decision)
                break
            }
            settlement.done.append(job.id)
        }
        return (settlement, pause)
    }

    /// What was taken is worth keeping on trying for; after `drain()` once more, then it is sent again at the next start.
    private func store(_ settlement: ForwardSettlement, _ jobs: [Job], _ lane: Lane) async {
        var failures = 0
        while true {
            let isLast = isDone
            do {
                try await queue.settle(settlement)
                return report(settlement, jobs, lane)
            } catch {
                failures += 1
                observe(.queueFailed(operation: "settle", error: "\(error)"))
                if isLast { return }
                let delay = configuration.queueBackoff.backoffMilliseconds(attempt: failures, jitter: jitter)
                await rest(lane, for: .milliseconds(delay))
            }
        }
    }

    private func report(_ settlement: ForwardSettlement, _ jobs: [Job], _ lane: Lane) {
        if !settlement.done.isEmpty { observe(.forwarded(lane, count: settlement.done.count)) }
        guard let failed = settlement.failed, let job = jobs.first(where: { $0.id == failed.job }) else { return }
        switch failed.decision {
        case .again(let milliseconds, let error):
            observe(
                .failed(
                    lane, attempt: job.attempt, ageSeconds: job.ageSeconds, error: error,
                    pause: .milliseconds(milliseconds)))
        case .setAside(let error): observe(.setAside(lane, job: job.id, error: error))
        }
    }
}

// Waiting.
extension ForwardDispatcher {
    private func waitForNews(_ lane: Lane) async {
        guard let news = news[lane] else { return }
        for await _ in news.stream { return }
    }

    /// Until the time is over, whatever the news; ended by `drain()`.
    private func rest(_ lane: Lane, for duration: Duration) async {
        let rest = Task<Void, Never> { [clock] in
            try? await clock.sleep(until: clock.now.advanced(by: duration), tolerance: nil)
        }
        let isDraining = state.withLock { state in
            state.rests[lane] = rest
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
