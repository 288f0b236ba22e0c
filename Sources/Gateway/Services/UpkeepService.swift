package import Logging
package import Operations
import ServiceLifecycle

/// Keeps the database up, at once and then now and again, beside everything else: partitions for the days to come, the
/// end of what has aged out, a comparison of the routes with the application's tables. How long that takes grows with the
/// tables, so nothing waits for it.
package struct UpkeepService: Service {
    package static let interval = Duration.seconds(6 * 3600)
    /// Until the next attempt after one that failed; twice as long after each further one, up to the limit.
    package static let firstPause = Duration.seconds(2)
    package static let pauseMax = Duration.seconds(300)

    private let clock: any Clock<Duration>
    private let health: HealthReporter
    private let logger: Logger
    private let upkeep: @Sendable () async throws -> Void

    package init(
        clock: any Clock<Duration>, health: HealthReporter, logger: Logger,
        upkeep: @escaping @Sendable () async throws -> Void
    ) {
        self.clock = clock
        self.health = health
        self.logger = logger
        self.upkeep = upkeep
    }

    /// Until shutdown. A step that is under way then is left to the database: calls to it are not cut short, and an end
    /// waits for none that may take minutes.
    package func run() async throws {
        let work = Task { await keepUp() }
        try? await gracefulShutdown()
        work.cancel()
    }

    private func keepUp() async {
        var pause = Self.firstPause
        while !Task.isCancelled {
            let next: Duration
            do {
                try await upkeep()
                health.report(.ok)
                (next, pause) = (Self.interval, Self.firstPause)
            } catch {
                guard !Task.isCancelled else { return }
                health.report(.degraded(reason: "upkeep of the database failed: \(error)"))
                logger.warning("upkeep of the database failed; tried again later", metadata: ["error": "\(error)"])
                (next, pause) = (pause, min(pause * 2, Self.pauseMax))
            }
            try? await clock.sleep(for: next)
        }
    }
}
