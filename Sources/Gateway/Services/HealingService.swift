package import Intake
package import Logging
import Metrics
package import Routing
import ServiceLifecycle
import Synchronization

/// Lets messages go on once what they waited for has come true: at each change of the routing table, and now and then
/// all of them, so that nothing hangs on a change having been seen.
package final class HealingService: Service {
    private let healing: Healing
    private let hints: HealingQueue
    private let clock: any Clock<Duration>
    private let logger: Logger
    private let claimed = Counter(label: "gateway_messages_healed_total", dimensions: [("kind", "claimed")])
    private let held = Counter(label: "gateway_messages_healed_total", dimensions: [("kind", "held")])
    private let released = Counter(label: "gateway_messages_healed_total", dimensions: [("kind", "released")])

    /// How often what failed is tried again, and what was looked at is due for its second look.
    package static let tick = Duration.seconds(5)

    package init(_ healing: Healing, hints: HealingQueue, clock: any Clock<Duration>, logger: Logger) {
        self.healing = healing
        self.hints = hints
        self.clock = clock
        self.logger = logger
    }

    /// Heals until shutdown.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            await withTaskGroup(of: Void.self) { group in
                group.addTask { [clock, hints] in
                    while (try? await clock.sleep(for: Self.tick)) != nil { hints.tick() }
                }
                hints.add(.everything)
                for await _ in hints.wakeUps { await heal() }
                group.cancelAll()
            }
        }
    }

    private func heal() async {
        let work = hints.take()
        guard !work.isEmpty else { return }
        do throws(RecorderError) {
            report(try await healing.heal(work))
        } catch {
            hints.putBack(work)
            logger.warning("waiting messages are not looked at; tried again", metadata: ["error": "\(error)"])
        }
    }

    private func report(_ outcome: Healing.Outcome) {
        if let failure = outcome.failure {
            logger.warning(
                "some waiting messages stay where they are; tried again later",
                metadata: ["senders_and_threads": "\(outcome.failed)", "error": "\(failure)"])
        }
        guard outcome.claimed + outcome.held + outcome.released > 0 else { return }
        claimed.increment(by: outcome.claimed)
        held.increment(by: outcome.held)
        released.increment(by: outcome.released)
        logger.info(
            "messages went on",
            metadata: [
                "claimed": "\(outcome.claimed)", "held": "\(outcome.held)", "released": "\(outcome.released)",
            ])
    }
}

/// What is to be looked at, gathered while something else is.
///
/// A hint is looked at twice: at once, and again one or two ticks later. A batch that was under way when the change came
/// may have decided by the former table and committed after the first look.
package final class HealingQueue: Sendable {
    private struct State {
        var due = HealingHints()
        /// New since the last look.
        var fresh = HealingHints()
        /// Looked at once, since the last tick and before it.
        var seen = HealingHints()
        var seenEarlier = HealingHints()
        var ticks = 0
        /// As the last change of the table told them.
        var settings: RouteSettings?
    }

    private let state = Mutex(State())
    private let signal: AsyncStream<Void>.Continuation
    /// One element for whatever was added since the last one.
    let wakeUps: AsyncStream<Void>

    /// Ticks from one look at everything to the next: five minutes.
    static let sweepTicks = 60

    package init() {
        (wakeUps, signal) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    package func add(_ hints: HealingHints) {
        guard !hints.isEmpty else { return }
        state.withLock { $0.fresh.formUnion(hints) }
        signal.yield()
    }

    /// - Parameter delta: what changed in the routing table; `nil` = it was loaded whole.
    package func add(_ delta: RouteDelta?) {
        var hints = HealingHints(delta)
        if let settings = delta?.settings {
            // What counts as a candidate at all has changed.
            let isChange = state.withLock { state in
                defer { state.settings = settings }
                return state.settings.map { $0 != settings } ?? false
            }
            if isChange { hints.isEverything = true }
        }
        add(hints)
    }

    func take() -> HealingHints {
        state.withLock { state in
            var work = state.due
            work.formUnion(state.fresh)
            state.seen.formUnion(state.fresh)
            state.due = HealingHints()
            state.fresh = HealingHints()
            return work
        }
    }

    /// For the next tick.
    func putBack(_ hints: HealingHints) { state.withLock { $0.due.formUnion(hints) } }

    func tick() {
        let isDue = state.withLock { state in
            state.ticks += 1
            state.due.formUnion(state.seenEarlier)
            state.seenEarlier = state.seen
            state.seen = HealingHints()
            if state.ticks % Self.sweepTicks == 0 { state.due.isEverything = true }
            return !state.due.isEmpty
        }
        if isDue { signal.yield() }
    }
}
