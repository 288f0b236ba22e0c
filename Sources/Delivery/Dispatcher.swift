import Messaging
import Synchronization

/// The settings of a `Dispatcher`.
package struct DispatcherConfiguration: Hashable, Sendable {
    package var kind: OutboxKind
    /// Names this process in the claims it holds.
    package var worker: String
    /// Jobs claimed and not yet recorded, at most.
    package var inFlightMax: Int
    /// How long a claim holds. A job that was not sent within half of it is given back: the sender's own time limit
    /// must fit into the other half.
    package var leaseSeconds: Int
    /// How long to wait for news of new jobs before asking by ourselves.
    package var idleSeconds: Int
    package var sweepSeconds: Int
    /// How often recording one outcome is tried while the store is away, before the lease is left to lapse.
    package var recordAttemptsMax: Int
    package var retryPolicy: RetryPolicy
    /// Between attempts to reach the store.
    package var storeBackoff: RetryPolicy

    package init(
        kind: OutboxKind, worker: String, inFlightMax: Int = 32, leaseSeconds: Int = 120, idleSeconds: Int = 5,
        sweepSeconds: Int = 60, recordAttemptsMax: Int = 30, retryPolicy: RetryPolicy = RetryPolicy(),
        storeBackoff: RetryPolicy = RetryPolicy(baseMilliseconds: 200, capMilliseconds: 20_000)
    ) {
        precondition(inFlightMax > 0 && leaseSeconds > 1 && recordAttemptsMax > 0, "limits are at least one")
        self.kind = kind
        self.worker = worker
        self.inFlightMax = inFlightMax
        self.leaseSeconds = leaseSeconds
        self.idleSeconds = idleSeconds
        self.sweepSeconds = sweepSeconds
        self.recordAttemptsMax = recordAttemptsMax
        self.retryPolicy = retryPolicy
        self.storeBackoff = storeBackoff
    }
}

/// What a dispatcher tells whoever watches it: for logs and metrics.
package enum DispatchEvent: Sendable {
    case claimed(count: Int)
    /// The outcome of a job is recorded.
    case recorded(job: OutboxJob, decision: DeliveryDecision)
    /// The outcome could not be recorded: the lease lapses, and the store counts the job as uncertain.
    case unrecorded(job: OutboxJob, decision: DeliveryDecision)
    /// The store failed at `claim`, `record` or `sweep`; it is tried again.
    case storeFailed(operation: String, error: any Error)
    /// So many uncertain jobs were buried without a status.
    case swept(count: Int)
    case drained
}

/// Claims the jobs of one kind, paces them per endpoint, sends them, and records what became of each.
///
/// Rules it keeps: an uncertain send is never repeated; what was claimed is sent or given back; after `drain()` nothing
/// new is claimed, and `run()` returns when the last send in flight is recorded. That no two jobs of one order key
/// leave at once, the store's claim vouches for.
package final class Dispatcher<Time: Clock>: Sendable where Time.Duration == Duration {
    private struct State {
        var inFlight = 0
        /// Somebody waits for the store to tell of new jobs, or for a back-off to end.
        var isWatching = false
        var isDraining = false
        var pacer: Pacer
    }

    private let configuration: DispatcherConfiguration
    private let store: any OutboxStore
    private let sender: any Sender
    private let clock: Time
    private let start: Time.Instant
    private let jitter: @Sendable (ClosedRange<Int64>) -> Int64
    private let observe: @Sendable (DispatchEvent) -> Void
    private let state: Mutex<State>
    /// Holds at most one wake-up: many causes, one look.
    private let wakeUps: AsyncStream<Void>
    private let wake: AsyncStream<Void>.Continuation

    /// - Parameters:
    ///   - jitter: draws a number out of a range.
    ///   - observe: called for every event, from any task; it must not block.
    package init(
        configuration: DispatcherConfiguration, store: any OutboxStore, sender: any Sender, pacer: Pacer = Pacer(),
        clock: Time, jitter: @escaping @Sendable (ClosedRange<Int64>) -> Int64,
        observe: @escaping @Sendable (DispatchEvent) -> Void = { _ in }
    ) {
        self.configuration = configuration
        self.store = store
        self.sender = sender
        self.clock = clock
        self.start = clock.now
        self.jitter = jitter
        self.observe = observe
        self.state = Mutex(State(pacer: pacer))
        (self.wakeUps, self.wake) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Jobs claimed and not yet recorded.
    package var inFlight: Int { state.withLock { $0.inFlight } }

    /// Stops claiming. Safe to call from anywhere, any number of times, before `run()` too.
    package func drain() {
        state.withLock { $0.isDraining = true }
        wake.yield()
    }

    /// Works until `drain()` is called, or the task is cancelled. To be run once.
    package func run() async {
        wake.yield()
        await withDiscardingTaskGroup { sends in
            await withDiscardingTaskGroup { watches in
                watches.addTask { await self.sweepRegularly() }
                await self.claimUntilDrained(sends: &sends, watches: &watches)
                watches.cancelAll()
            }
        }
        observe(.drained)
    }
}

// Claiming.
extension Dispatcher {
    private func claimUntilDrained(
        sends: inout DiscardingTaskGroup, watches: inout DiscardingTaskGroup
    ) async {
        var failures = 0
        for await _ in wakeUps {
            while true {
                let (free, isDraining) = state.withLock { (configuration.inFlightMax - $0.inFlight, $0.isDraining) }
                if isDraining { return }
                // With nothing free, a send that ends wakes us.
                guard free > 0 else { break }
                do {
                    let jobs = try await store.claim(
                        kind: configuration.kind, worker: configuration.worker, limit: free,
                        leaseSeconds: configuration.leaseSeconds)
                    failures = 0
                    if !jobs.isEmpty { observe(.claimed(count: jobs.count)) }
                    for job in jobs { begin(job, in: &sends) }
                    guard jobs.count < free else { continue }
                    watch(in: &watches) { await $0.store.jobsAvailable(atMostSeconds: $0.configuration.idleSeconds) }
                } catch {
                    failures += 1
                    observe(.storeFailed(operation: "claim", error: error))
                    let delay = configuration.storeBackoff.backoffMilliseconds(attempt: failures, jitter: jitter)
                    watch(in: &watches) { _ = await $0.pause(.milliseconds(delay)) }
                }
                break
            }
        }
    }

    /// Wakes the claiming after something else; at most one such wait at a time.
    private func watch(
        in watches: inout DiscardingTaskGroup, for something: @escaping @Sendable (Dispatcher) async -> Void
    ) {
        let isFirst = state.withLock { state in
            defer { state.isWatching = true }
            return !state.isWatching
        }
        guard isFirst else { return }
        watches.addTask {
            await something(self)
            self.state.withLock { $0.isWatching = false }
            self.wake.yield()
        }
    }

    private func sweepRegularly() async {
        while await pause(.seconds(configuration.sweepSeconds)) {
            do {
                let count = try await store.sweep()
                if count > 0 { observe(.swept(count: count)) }
            } catch {
                observe(.storeFailed(operation: "sweep", error: error))
            }
        }
    }

    /// - Returns: `false` when the task was cancelled meanwhile.
    private func pause(_ duration: Duration) async -> Bool {
        do {
            try await clock.sleep(until: clock.now.advanced(by: duration), tolerance: nil)
            return true
        } catch {
            return false
        }
    }
}

// The life of one job.
extension Dispatcher {
    /// Slots are taken here, in the order of the claim, so that messages leave in that order.
    private func begin(_ job: OutboxJob, in sends: inout DiscardingTaskGroup) {
        let claimedAt = clock.now
        let wait = state.withLock { state -> Duration in
            state.inFlight += 1
            guard job.permission == "ok", let message = job.message else { return .zero }
            return state.pacer.reserve(message.endpoint, at: start.duration(to: claimedAt))
        }
        sends.addTask {
            let decision = await self.carryOut(job, claimedAt: claimedAt, wait: wait)
            await self.record(decision, of: job)
            self.state.withLock { $0.inFlight -= 1 }
            self.wake.yield()
        }
    }

    private func carryOut(_ job: OutboxJob, claimedAt: Time.Instant, wait: Duration) async -> DeliveryDecision {
        let policy = configuration.retryPolicy
        if let decision = policy.decisionBeforeSending(job) { return decision }
        guard let message = job.message else { preconditionFailure("a job without a message was let through") }
        if wait > .zero, await !pause(wait) {
            return .retry(code: nil, error: "not sent: the gateway was stopped", afterMilliseconds: 0)
        }
        // Whoever held a claim too long (a suspended machine, say) must not send: the store may count it as uncertain.
        guard claimedAt.duration(to: clock.now) < .seconds(configuration.leaseSeconds) / 2 else {
            return .retry(code: nil, error: "not sent: the claim was about to lapse", afterMilliseconds: 0)
        }
        let outcome = await sender.send(message)
        if case .refused(let code?, _, _) = outcome, GraphErrorRule.rule(code: code)?.slowsEndpoint == true {
            let now = start.duration(to: clock.now)
            state.withLock { $0.pacer.throttled(message.endpoint, at: now) }
        }
        return policy.decision(after: outcome, of: job, jitter: jitter)
    }

    /// An outcome is worth keeping on trying for: an answer that comes after the lease is still an answer.
    private func record(_ decision: DeliveryDecision, of job: OutboxJob) async {
        for attempt in 1...configuration.recordAttemptsMax {
            do {
                switch decision {
                case .accepted(let providerID):
                    try await store.accepted(job, providerID: providerID)
                case .retry(let code, let error, let milliseconds):
                    try await store.refused(job, code: code, error: error, retryAfterMilliseconds: milliseconds)
                case .refused(let code, let error):
                    try await store.refused(job, code: code, error: error, retryAfterMilliseconds: nil)
                case .uncertain(let error):
                    try await store.uncertain(job, error: error)
                }
                observe(.recorded(job: job, decision: decision))
                return
            } catch {
                observe(.storeFailed(operation: "record", error: error))
                let delay = configuration.storeBackoff.backoffMilliseconds(attempt: attempt, jitter: jitter)
                guard attempt < configuration.recordAttemptsMax, await pause(.milliseconds(delay)) else { break }
            }
        }
        observe(.unrecorded(job: job, decision: decision))
    }
}
