import Delivery
import Logging
import Metrics

/// Turns what delivery tells into metrics and log lines.
struct DeliveryReporter: Sendable {
    private let logger: Logger
    private let claimed = Counter(label: "gateway_outbox_claimed_total")

    init(logger: Logger) { self.logger = logger }

    @Sendable
    func observe(_ event: DispatchEvent) {
        switch event {
        case .claimed(let count): claimed.increment(by: count)
        case .recorded(let job, let decision):
            Counter(label: "gateway_sends_total", dimensions: [("outcome", decision.label)]).increment()
            logger.info(
                "send settled",
                metadata: ["job": "\(job.id)", "attempt": "\(job.attempt)", "outcome": "\(decision.label)"])
        case .unrecorded(let job, let decision):
            logger.error(
                "the outcome of a send could not be recorded; it counts as uncertain and is not repeated",
                metadata: ["job": "\(job.id)", "outcome": "\(decision.label)"])
        case .storeFailed(let operation, let error):
            logger.warning("the outbox is out of reach", metadata: ["operation": "\(operation)", "error": "\(error)"])
        case .swept(let count):
            if count > 0 {
                logger.warning("uncertain sends without a receipt were set aside", metadata: ["count": "\(count)"])
            }
        case .drained: logger.info("delivery drained")
        }
    }
}
