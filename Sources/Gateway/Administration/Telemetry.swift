package import Logging
import Metrics
package import Operations

/// The process' log and metrics, set up once.
package enum Telemetry {
    /// Every logger of the process writes JSON lines to standard error from here on.
    /// - Parameter fallback: the level where `GATEWAY_LOG_LEVEL` is not set.
    /// - Returns: the gateway's own.
    package static func bootstrapLogging(_ settings: SettingsReader, fallback: Logger.Level) throws -> Logger {
        let level = try settings.logLevel(fallback: fallback)
        LoggingSystem.bootstrap { JSONLogHandler(label: $0, level: level) }
        return Logger(label: "zenrent-gateway")
    }

    /// Every metric of the process is counted in the returned registry from here on.
    package static func bootstrapMetrics() -> PrometheusRegistry {
        let registry = PrometheusRegistry(
            descriptions: ProcessMetrics.descriptions + ReloadCoordinator.descriptions + HealthBoard.descriptions)
        registry.collect { ProcessMetrics.read() }
        MetricsSystem.bootstrap(registry)
        return registry
    }
}
