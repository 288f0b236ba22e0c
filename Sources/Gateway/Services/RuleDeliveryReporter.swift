import Delivery
import Logging
import Metrics
import Operations
import PostgresClient
import PostgresStore
import ServiceLifecycle
import Synchronization

/// Turns what becomes of rules' deliveries into metrics, log lines and health.
final class RuleDeliveryReporter: Sendable {
    private let logger: Logger
    private let health: HealthReporter
    /// Endpoints that do not take what they are to be told, and why.
    private let failing = Mutex<[String: String]>([:])

    init(logger: Logger, health: HealthReporter) {
        self.logger = logger
        self.health = health
    }

    @Sendable
    func observe(_ event: ForwardEvent<String>) {
        switch event {
        case .looked: break
        case .forwarded(let endpoint, let count):
            counter(endpoint, "accepted").increment(by: count)
            report(endpoint, nil)
        case .failed(let endpoint, let attempt, let age, let error, let pause):
            counter(endpoint, "retry").increment()
            report(endpoint, "what rules order for \(endpoint) is not taken: \(error)")
            // Once when it begins, then rarely: an outage may last for days.
            logger.log(
                level: attempt == 1 || attempt % 10 == 0 ? .warning : .debug,
                "an endpoint did not take what a rule ordered; tried again",
                metadata: [
                    "endpoint": "\(endpoint)", "attempt": "\(attempt)", "oldest_seconds": "\(age)",
                    "error": "\(error)", "pause": "\(pause)",
                ])
        case .setAside(let endpoint, let job, let error):
            counter(endpoint, "dead").increment()
            report(endpoint, nil)
            logger.error(
                "an endpoint does not get what a rule ordered; it is set aside in gateway.outbox_dead, see inbox notices",
                metadata: ["endpoint": "\(endpoint)", "job": "\(job)", "error": "\(error)"])
        case .queueFailed(let operation, let error):
            logger.warning(
                "the queue of what rules order is out of reach",
                metadata: ["operation": "\(operation)", "error": "\(error)"])
        case .drained: logger.info("rule deliveries drained")
        }
    }

    private func counter(_ endpoint: String, _ outcome: String) -> Counter {
        Counter(label: "gateway_rule_deliveries_total", dimensions: [("endpoint", endpoint), ("outcome", outcome)])
    }

    private func report(_ endpoint: String, _ trouble: String?) {
        let troubles = failing.withLock { failing in
            failing[endpoint] = trouble
            return failing.sorted { $0.key < $1.key }.map(\.value)
        }
        health.report(troubles.isEmpty ? .ok : .degraded(reason: troubles.joined(separator: "; ")))
    }
}

extension RuleDeliveryReporter {
    /// Says every now and then what waits, also for endpoints that no setting defines any more.
    static func watching(_ pool: PostgresPool, _ endpoints: Set<String>, logger: Logger) -> any Service {
        let shown = Mutex(endpoints)
        return RepeatingService(every: .seconds(15)) {
            do {
                let standing = try await RuleStanding.read(pool)
                Gauge(label: "gateway_notices_waiting").record(standing.notices)
                let names = shown.withLock { names in
                    names.formUnion(standing.deliveries.keys)
                    return names
                }
                for name in names {
                    let waiting = standing.deliveries[name]
                    let dimensions = [("endpoint", name)]
                    Gauge(label: "gateway_rule_deliveries_waiting", dimensions: dimensions).record(waiting?.count ?? 0)
                    Gauge(label: "gateway_rule_deliveries_oldest_seconds", dimensions: dimensions)
                        .record(waiting?.oldestSeconds ?? 0)
                }
            } catch {
                logger.debug("what waits because of rules was not counted", metadata: ["error": "\(error)"])
            }
        }
    }
}
