package import Delivery
package import Logging
package import Messaging
import Metrics
package import Operations
import Synchronization

/// Turns what forwarding tells into metrics, log lines and health.
package final class ForwardReporter: Sendable {
    private let logger: Logger
    private let health: HealthReporter
    /// Sources whose oldest webhook does not get through, and why.
    private let failing = Mutex<[WebhookSource: String]>([:])

    package init(logger: Logger, health: HealthReporter) {
        self.logger = logger
        self.health = health
    }

    @Sendable
    package func observe(_ event: ForwardEvent<WebhookSource>) {
        switch event {
        case .looked(let source, let seconds):
            Gauge(label: "gateway_forward_oldest_seconds", dimensions: [("source", source.name)]).record(seconds)
        case .forwarded(let source, let count):
            counter(source, "accepted").increment(by: count)
            report(source, nil)
        case .failed(let source, let attempt, let age, let error, let pause):
            counter(source, "retry").increment()
            report(source, "\(source.name) webhooks are not passed on: \(error)")
            // Once when it begins, then rarely: an outage may last for days.
            logger.log(
                level: attempt == 1 || attempt % 10 == 0 ? .warning : .debug,
                "a webhook was not passed on; tried again",
                metadata: [
                    "source": "\(source.name)", "attempt": "\(attempt)", "oldest_seconds": "\(age)",
                    "error": "\(error)", "pause": "\(pause)",
                ])
        case .setAside(let source, let job, let error):
            counter(source, "dead").increment()
            report(source, nil)
            logger.error(
                "a webhook is not passed on any more; it is set aside in gateway.outbox_dead",
                metadata: ["source": "\(source.name)", "job": "\(job)", "error": "\(error)"])
        case .queueFailed(let operation, let error):
            logger.warning(
                "the queue of webhooks to pass on is out of reach",
                metadata: ["operation": "\(operation)", "error": "\(error)"])
        case .drained: logger.info("forwarding drained")
        }
    }

    private func counter(_ source: WebhookSource, _ outcome: String) -> Counter {
        Counter(label: "gateway_forwards_total", dimensions: [("source", source.name), ("outcome", outcome)])
    }

    private func report(_ source: WebhookSource, _ trouble: String?) {
        let troubles = failing.withLock { failing in
            failing[source] = trouble
            return failing.sorted { $0.key.rawValue < $1.key.rawValue }.map(\.value)
        }
        health.report(troubles.isEmpty ? .ok : .degraded(reason: troubles.joined(separator: "; ")))
    }
}
