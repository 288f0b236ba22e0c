import NIOHTTP1

/// What is answered to which request: paths, methods and texts, without a socket.
struct OperationsPages: Sendable {
    let registry: PrometheusRegistry
    let board: HealthBoard

    struct Answer: Sendable, Equatable {
        var status: HTTPResponseStatus
        var contentType = "text/plain; charset=utf-8"
        var body: String
        /// For 405 alone.
        var allow: String?
    }

    /// - Parameter target: the request target as received; a query is left out of the comparison.
    func answer(to method: HTTPMethod, target: String) -> Answer {
        let path = target.prefix { $0 != "?" }
        guard path == "/healthz" || path == "/readyz" || path == "/metrics" else {
            return Answer(status: .notFound, body: "not found: there are /healthz, /readyz and /metrics\n")
        }
        guard method == .GET || method == .HEAD else {
            return Answer(status: .methodNotAllowed, body: "method not allowed: use GET or HEAD\n", allow: "GET, HEAD")
        }
        switch path {
        case "/healthz":
            return Answer(status: .ok, contentType: "application/json", body: "{\"status\":\"alive\"}\n")
        case "/readyz":
            let report = board.report()
            return Answer(
                status: report.canAcknowledge ? .ok : .serviceUnavailable, contentType: "application/json",
                body: report.json)
        default:
            return Answer(status: .ok, contentType: PrometheusText.contentType, body: registry.exposition())
        }
    }
}
