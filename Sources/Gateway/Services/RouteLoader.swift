package import Logging
import Messaging
import Metrics
package import Operations
package import Routing
import ServiceLifecycle
import Synchronization

/// Keeps the routing table as the database has it: everything at start and on demand, changes by polling.
package final class RouteLoader: Service {
    package let table = LiveRoutingTable()
    private let source: any RouteSource
    private let pollInterval: Duration
    private let health: HealthReporter
    /// The poll is what finds out that the database went away.
    private let database: HealthReporter
    private let logger: Logger
    private let published: @Sendable (RouteDelta?) -> Void
    private let loading = AsyncLock()
    private let routes = Gauge(label: "gateway_routes")
    private let generation = Gauge(label: "gateway_routing_table_generation")
    private let loads = Counter(label: "gateway_route_loads_total", dimensions: [("kind", "full")])
    private let deltas = Counter(label: "gateway_route_loads_total", dimensions: [("kind", "delta")])

    /// - Parameter published: told of each change once the table has it, and of `nil` once it was loaded whole.
    package init(
        source: any RouteSource, pollSeconds: Int64, health: HealthReporter, database: HealthReporter, logger: Logger,
        published: @escaping @Sendable (RouteDelta?) -> Void = { _ in }
    ) {
        self.source = source
        pollInterval = .seconds(pollSeconds)
        self.health = health
        self.database = database
        self.logger = logger
        self.published = published
    }

    /// Polls until shutdown. A database that is away leaves the table as it is.
    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var pause = Duration.milliseconds(200)
            while !Task.isCancelled {
                do {
                    try await refresh()
                    pause = pollInterval
                } catch {
                    pause = min(pause * 2, .seconds(5))
                    report(error)
                }
                try? await Task.sleep(for: pause)
            }
        }
    }

    /// Loads everything again and swaps the table.
    package func reload() async throws -> ReloadReceipt {
        let table = try await loading.withLock { [self] in try await loadAll() }
        return ReloadReceipt(generation: Int64(table.generation), summary: "\(table.routeCount) routes")
    }

    private func refresh() async throws {
        try await loading.withLock { [self] in
            guard let current = table.snapshot else {
                _ = try await loadAll()
                return
            }
            guard let delta = try await source.changes(since: current.cursor) else {
                logger.notice("the change log no longer reaches back; loading all routes")
                _ = try await loadAll()
                return
            }
            let next = current.applying(delta)
            deltas.increment()
            publish(next.needsCompaction ? next.compacted() : next)
            published(delta)
        }
        health.report(.ok)
        database.report(.ok)
    }

    private func loadAll() async throws -> RoutingTable {
        let started = ContinuousClock.now
        var builder = RoutingTableBuilder()
        let cursor = try await source.loadAll { builder.add($0) }
        let next = builder.finish(cursor: cursor, replacing: table.snapshot)
        loads.increment()
        publish(next)
        published(nil)
        health.report(.ok)
        logger.info(
            "routes loaded",
            metadata: [
                "routes": "\(next.routeCount)", "generation": "\(next.generation)",
                "took": "\(ContinuousClock.now - started)",
            ])
        return next
    }

    private func publish(_ next: RoutingTable) {
        table.publish(next)
        routes.record(next.routeCount)
        generation.record(next.generation)
    }

    private func report(_ error: any Error) {
        let reason = "routes cannot be read from the database: \(error)"
        database.report(.degraded(reason: "the database does not answer: \(error)"))
        health.report(table.snapshot == nil ? .failed(reason: reason) : .degraded(reason: reason))
        logger.warning("routes not refreshed", metadata: ["error": "\(error)"])
    }
}

/// One at a time, in the order of arrival.
actor AsyncLock {
    private var isHeld = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    nonisolated func withLock<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        await acquire()
        do {
            let value = try await body()
            await release()
            return value
        } catch {
            await release()
            throw error
        }
    }

    private func acquire() async {
        guard isHeld else {
            isHeld = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func release() {
        if waiting.isEmpty { isHeld = false } else { waiting.removeFirst().resume() }
    }
}
