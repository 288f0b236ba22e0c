package import Intake
import Journal
package import Logging
import Messaging
import Metrics
package import Operations

/// Turns what intake tells into metrics, log lines and health.
package struct IntakeReporter: IntakeObserver {
    private let logger: Logger
    private let health: HealthReporter
    private let verdicts: [Verdict: Counter]
    private let redriven = Counter(label: "gateway_updates_redriven_total")
    private let replayed = Counter(label: "gateway_webhooks_replayed_total")
    private let webhooks = Counter(label: "gateway_webhooks_recorded_total")
    private let batches = Counter(label: "gateway_record_batches_total")
    private let retries = Counter(label: "gateway_record_retries_total")
    private let stale = Counter(label: "gateway_stale_routes_total")
    private let conflicts = Counter(label: "gateway_identity_conflicts_total")
    private let fences = Counter(label: "gateway_fences_total")
    private let ignoredLabels = LabelLimit(countMax: 200)
    private let lag = Gauge(label: "gateway_recorded_received_seconds")

    package init(logger: Logger, health: HealthReporter) {
        self.logger = logger
        self.health = health
        var verdicts: [Verdict: Counter] = [:]
        for verdict in Verdict.allCases {
            verdicts[verdict] = Counter(label: "gateway_updates_total", dimensions: [("verdict", verdict.rawValue)])
        }
        self.verdicts = verdicts
    }

    package func observe(_ event: IntakeEvent) {
        switch event {
        case .recorded(webhooks: 0, let counts, _, let outcome):
            // Parked updates tried again: they were counted when they came.
            redriven.increment(by: counts.total - counts.parked)
            conflicts.increment(by: outcome.identityConflicts)
            health.report(.ok)
        case .recorded(let count, let counts, let receivedAt, let outcome):
            webhooks.increment(by: count)
            batches.increment()
            for (verdict, counter) in verdicts where counts[verdict] > 0 { counter.increment(by: counts[verdict]) }
            conflicts.increment(by: outcome.identityConflicts)
            lag.record(Double(receivedAt.microseconds) / 1_000_000)
            health.report(.ok)
        case .ignored(let updates): tell(updates)
        case .replayed(let outcome):
            replayed.increment(by: outcome.webhooks)
            health.report(.ok)
            if outcome.refused > 0 {
                logger.warning("replay left webhooks as they were", metadata: ["refused": "\(outcome.refused)"])
            }
        case .retrying(let reason, let delay):
            retries.increment()
            health.report(.degraded(reason: "recording waits: \(reason)"))
            logger.warning("recording waits", metadata: ["reason": "\(reason)", "delay": "\(delay)"])
        case .recovered: health.report(.ok)
        case .redrivesUnread(let reason):
            logger.warning("parked updates cannot be read; tried again", metadata: ["reason": "\(reason)"])
        case .parked(let position, let index, let sqlState):
            logger.warning(
                "update parked",
                metadata: [
                    "position": "\(position.value)", "index": "\(index)", "sqlstate": "\(sqlState)",
                    "next": "zenrent-gateway inbox parked",
                ])
        case .stopped(let refusals, let sqlState):
            let reason =
                "the database refused \(refusals) webhooks in a row (SQLSTATE \(sqlState)); the journal holds them. "
                + "Mend the cause, then send SIGHUP"
            health.report(.failed(reason: reason))
            logger.critical("recording stopped", metadata: ["reason": "\(reason)"])
        case .resumed: logger.notice("recording tries again")
        case .staleRoutes(let messages): stale.increment(by: messages)
        case .fenced:
            fences.increment()
            logger.warning("recording was fenced off; journal and checkpoint are compared again")
        case .reconciled(let reconciliation):
            health.report(.ok)
            log(reconciliation)
        }
    }

    private func tell(_ ignored: IgnoredUpdates) {
        for (what, count) in ignored.counts {
            let dimensions = [("what", ignoredLabels.bounded(what))]
            Counter(label: "gateway_updates_ignored_total", dimensions: dimensions).increment(by: count)
        }
        guard let errors = ignored.counts["errors"] else { return }
        logger.warning(
            "Meta reports trouble with the account or the app",
            metadata: [
                "webhooks": "\(errors)",
                "next": "look in gateway.webhook_log_text where event in ('errors', 'mixed')",
            ])
    }

    private func log(_ reconciliation: JournalReconciliation) {
        switch reconciliation {
        case .begin: logger.notice("a new journal begins")
        case .goOn(let from): logger.info("recording goes on", metadata: ["after": "\(from.value)"])
        case .replay(let from, let to, let lost):
            logger.error(
                "the database is behind the journal; recording again",
                metadata: [
                    "after": "\(from.value)", "through": "\(to.value)", "trimmed_and_lost": "\(lost)",
                ])
        case .replayUnknown(let from, let to):
            logger.critical(
                "the database does not know this journal any more; recording everything kept again",
                metadata: ["after": "\(from.value)", "through": "\(to.value)"])
        case .renew(let from):
            logger.error(
                "another process records under this journal's name, or its directory is a copy; it gets a new identity",
                metadata: ["recording_again_after": "\(from.value)"])
        }
    }
}
