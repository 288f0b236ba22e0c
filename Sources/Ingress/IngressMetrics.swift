import Metrics
import Synchronization

/// What the ingress counts. The one answer that matters for speed has its counter at hand.
final class IngressMetrics: Sendable {
    private let acknowledged = Counter(
        label: "gateway_ingress_responses_total", dimensions: [("status", "200"), ("reason", "acknowledged")])
    private let failures = Counter(label: "gateway_ingress_connection_failures_total")
    private let refusedConnections = Counter(label: "gateway_ingress_connections_refused_total")
    private let connections = Gauge(label: "gateway_ingress_connections")
    private let others = Mutex<[String: Counter]>([:])
    private let open = Atomic<Int>(0)

    func answered(_ status: Int, _ reason: String) {
        if status == 200, reason == "acknowledged" { return acknowledged.increment() }
        let key = "\(status) \(reason)"
        let counter = others.withLock { counters in
            if let counter = counters[key] { return counter }
            let counter = Counter(
                label: "gateway_ingress_responses_total", dimensions: [("status", "\(status)"), ("reason", reason)])
            counters[key] = counter
            return counter
        }
        counter.increment()
    }

    func connectionFailed() { failures.increment() }

    /// - Returns: connections now, this one included.
    func connectionOpened() -> Int {
        let count = open.add(1, ordering: .relaxed).newValue
        connections.record(count)
        return count
    }

    func connectionClosed() { connections.record(open.subtract(1, ordering: .relaxed).newValue) }
    func connectionRefused() { refusedConnections.increment() }
}
