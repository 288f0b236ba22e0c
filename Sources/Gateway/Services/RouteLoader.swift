import Dispatch
package import Logging
import Messaging
import Metrics
package import Operations
package import Routing
import ServiceLifecycle
import Synchronization

/// Keeps the routing table as the database has it: everything at start and on demand, changes as soon as they are
/// hinted, and by asking now and then whether hinted or not.
///
/// Nothing large stands in the way of a small change: a full load on demand and a compaction happen beside the table in
/// use, which takes changes meanwhile; they catch up with it before they take its place.
package final class RouteLoader: Service {
    package struct Pace: Sendable {
        /// How often changes are asked for without a hint.
        package var poll: Duration
        /// From this age on the table is stale: who decides asks the database instead.
        package var staleAfter: Duration
        /// Between the beginnings of two refreshes: a landlord application that writes all the time costs no more.
        package var spacing = Duration.milliseconds(20)

        package init(poll: Duration, staleAfter: Duration) {
            self.poll = poll
            self.staleAfter = staleAfter
        }
    }

    package let table = LiveRoutingTable()
    /// Between two lines of the log about a load under way.
    private static let progressInterval = Duration.seconds(2)
    private let source: any RouteSource
    private let pace: Pace
    private let now: @Sendable () -> ContinuousClock.Instant
    private let began: ContinuousClock.Instant
    /// Asking for changes is what finds out that the database went away.
    private let database: HealthReporter
    private let logger: Logger
    private let published: @Sendable (RouteDelta?) -> Void
    private let state = Mutex(State())
    private let loading = AsyncLock()
    /// Held while the table in use is read, changed and replaced.
    private let publishing = AsyncLock()
    private let metrics = RouteLoaderMetrics()
    private let refreshes = SharedRun()

    private struct State {
        /// Why the last refresh failed; `nil` = it did not.
        var problem: String?
        /// Why hints cannot be received; `nil` = they can.
        var deafness: String?
        var compaction: Compaction?
    }

    /// A compaction under way, and what changed since it began.
    private struct Compaction {
        let base: RoutingTable
        var deltas: [RouteDelta] = []
    }

    /// - Parameters:
    ///   - now: for tests.
    ///   - published: told of each change once the table has it, and of `nil` once it was loaded whole.
    package init(
        source: any RouteSource, pace: Pace, database: HealthReporter, logger: Logger,
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
        published: @escaping @Sendable (RouteDelta?) -> Void = { _ in }
    ) {
        self.source = source
        self.pace = pace
        self.database = database
        self.logger = logger
        self.now = now
        self.published = published
        began = now()
    }

    /// Follows the database until shutdown. One that is away leaves the table as it is.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var pause = Duration.milliseconds(200)
            // Listening begins before the first load, so that nothing falls between the two.
            note(await source.changesAvailable(atMost: pause))
            while !Task.isCancelled {
                let started = ContinuousClock.now
                await refreshNow()
                pause = state.withLock { $0.problem } == nil ? pace.poll : min(pause * 2, .seconds(5))
                try? await Task.sleep(until: started + pace.spacing, clock: .continuous)
                note(await source.changesAvailable(atMost: pause))
            }
        }
    }

    /// Returns when the table holds all that was committed before the call, or when that could not be read; see
    /// `isStale`. Many callers share a refresh.
    package func refreshNow() async {
        await refreshes { [self] in await refreshAndReport() }
    }

    /// Whether the table is older than it may be. So it is until the first load is done.
    package var isStale: Bool { age > pace.staleAfter || table.snapshot == nil }

    /// How long ago the table was known to hold all that was committed; before the first load, how long there is none.
    package var age: Duration { (table.asOf ?? began).duration(to: now()) }

    /// Loads everything again and swaps the table.
    package func reload() async throws -> ReloadReceipt {
        let table = try await loading.withLock { [self] in try await loadAll() }
        return ReloadReceipt(generation: Int64(table.generation), summary: "\(table.routeCount) routes")
    }
}

// MARK: Refreshing

extension RouteLoader {
    private func refreshAndReport() async {
        do {
            try await refresh()
            state.withLock { $0.problem = nil }
            database.report(.ok)
        } catch {
            state.withLock { $0.problem = "\(error)" }
            database.report(.degraded(reason: "the database does not answer: \(error)"))
            logger.warning("routes not refreshed", metadata: ["error": "\(error)"])
        }
    }

    private func refresh() async throws {
        let expired = try await publishing.withLock { [self] in
            guard let current = table.snapshot else { return RoutingTable?.none }
            let asked = now()
            guard let delta = try await source.changes(since: current.cursor) else { return current }
            metrics.deltas.increment()
            publish(current.applying(delta), asOf: asked)
            compactIfWorthwhile(after: delta)
            published(delta)
            return nil
        }
        guard expired != nil || table.snapshot == nil else { return }
        try await loading.withLock { [self] in
            // Somebody else may have loaded everything while this waited.
            guard table.snapshot === expired else { return }
            if expired != nil {
                logger.notice("the change log does not reach back, or holds too much; loading all routes")
            }
            _ = try await loadAll()
        }
    }

    /// Beside the table in use, which takes changes meanwhile where it still can.
    private func loadAll() async throws -> RoutingTable {
        let started = now()
        var builder = RoutingTableBuilder()
        var progress = RouteLoadProgress(began: started, interval: Self.progressInterval)
        let cursor = try await source.loadAll { chunk in
            builder.add(chunk)
            guard progress.note(rows: builder.rowCount, expected: builder.expectedRowCount, at: now()) else { return }
            logger.info("\(progress.line)")
        }
        metrics.loads.increment()
        let unsorted = Mutex<RoutingTableBuilder?>(builder)
        builder = RoutingTableBuilder()
        let loaded = await Self.aside {
            let table = unsorted.withLock { $0.take() ?? RoutingTableBuilder() }.finish(cursor: cursor)
            FreedMemory.giveBack()
            return table
        }
        return try await publishing.withLock { [self] in
            // What was committed during the load may be in the table in use: the new one must not go back behind it.
            let asked = now()
            let delta = try await source.changes(since: cursor)
            let missed = delta ?? RouteDelta(cursor: cursor, settings: loaded.settings)
            let next = loaded.applying(missed, replacing: table.snapshot)
            state.withLock { $0.compaction = nil }
            publish(next, asOf: delta == nil ? started : asked)
            published(nil)
            let (took, rejected) = (now() - started, next.statistics.rejectedRoutes)
            metrics.loadSeconds.record(took / .seconds(1))
            metrics.rejected.record(rejected)
            logger.info(
                "routes loaded",
                metadata: [
                    "routes": "\(next.routeCount)", "rejected": "\(rejected)", "generation": "\(next.generation)",
                    "took": "\(took)",
                ])
            if rejected > 0 {
                logger.warning(
                    "leases whose telephone number is none were left out; `zenrent-gateway routes stats --rejected` lists them",
                    metadata: ["rejected": "\(rejected)"])
            }
            return next
        }
    }

    private func publish(_ next: RoutingTable, asOf: ContinuousClock.Instant) {
        table.publish(next, asOf: asOf)
        metrics.routes.record(next.routeCount)
        metrics.generation.record(next.generation)
    }

    private func note(_ hint: RouteHint) {
        let deafness: String? =
            switch hint {
            case .deaf(let reason): reason
            case .hinted, .quiet: nil
            }
        if case .hinted = hint { metrics.hints.increment() }
        let before = state.withLock { state in
            defer { state.deafness = deafness }
            return state.deafness
        }
        if let deafness, before == nil {
            logger.warning("changes of routes are not hinted for now", metadata: ["error": "\(deafness)"])
        } else if deafness == nil, before != nil {
            logger.notice("changes of routes are hinted again")
        }
    }
}

// MARK: Compacting

extension RouteLoader {
    /// Notes what changed since a compaction began, or begins one. Inside `publishing`.
    private func compactIfWorthwhile(after delta: RouteDelta) {
        guard let current = table.snapshot else { return }
        let begins = state.withLock { state in
            if state.compaction != nil {
                state.compaction?.deltas.append(delta)
                return false
            }
            if current.needsCompaction { state.compaction = Compaction(base: current) }
            return current.needsCompaction
        }
        guard begins else { return }
        Task {
            let compacted = await Self.aside { current.compacted() }
            try? await publishing.withLock { [self] in finish(compacted, of: current) }
        }
    }

    /// Puts a compacted table in use, with what changed while it was made. One that was overtaken by a full load is
    /// dropped. Inside `publishing`.
    private func finish(_ compacted: RoutingTable, of base: RoutingTable) {
        let deltas = state.withLock { state -> [RouteDelta]? in
            guard let compaction = state.compaction, compaction.base === base else { return nil }
            state.compaction = nil
            return compaction.deltas
        }
        guard let deltas, let asOf = table.asOf else { return }
        publish(deltas.reduce(compacted) { $0.applying($1) }, asOf: asOf)
        logger.info("routes compacted", metadata: ["routes": "\(compacted.routeCount)"])
    }

    /// Long computations have a thread of their own: the cooperative pool has as many as there are cores.
    private static func aside<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DispatchQueue.global(qos: .utility).async { continuation.resume(returning: body()) }
        }
    }
}

// MARK: Looking

extension RouteLoader {
    /// How the table is: failed without one, degraded when it is stale, not refreshed, or not hinted at.
    package var health: HealthState {
        let (problem, deafness) = state.withLock { ($0.problem, $0.deafness) }
        guard table.snapshot != nil else {
            return .failed(reason: problem.map { "routes cannot be read from the database: \($0)" } ?? "starting")
        }
        if isStale {
            return .degraded(
                reason: "routes are as the database had them \(age.components.seconds) s ago, longer than "
                    + "GATEWAY_ROUTES_STALE_AFTER allows: \(problem ?? "the database has not answered since")")
        }
        if let problem { return .degraded(reason: "routes cannot be read from the database: \(problem)") }
        if let deafness {
            return .degraded(reason: "changes of routes are asked for by the clock alone, not hinted: \(deafness)")
        }
        return .ok
    }

    /// Counts what is in use, for `gateway_generation`; 0 before the first load.
    package var liveGeneration: Int64 { Int64(table.snapshot?.generation ?? 0) }

    /// As a scrape sees it.
    package var samples: [MetricSample] {
        let seconds = Double(age.components.seconds) + Double(age.components.attoseconds) / 1e18
        return [MetricSample("gateway_routing_table_staleness_seconds", .gauge, value: max(0, seconds))]
    }
}

/// What is counted as it happens.
private struct RouteLoaderMetrics {
    let routes = Gauge(label: "gateway_routes")
    let generation = Gauge(label: "gateway_routing_table_generation")
    let rejected = Gauge(label: "gateway_routes_rejected")
    let loadSeconds = Gauge(label: "gateway_route_load_seconds")
    let loads = Counter(label: "gateway_route_loads_total", dimensions: [("kind", "full")])
    let deltas = Counter(label: "gateway_route_loads_total", dimensions: [("kind", "delta")])
    let hints = Counter(label: "gateway_route_hints_total")
}
