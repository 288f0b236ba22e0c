import HTTPTypes
import Hummingbird
import Logging
import Metrics

/// The outermost layer: gives every answer its id and security headers, logs a line and counts it.
///
/// The line has the path pattern instead of the path, and neither headers nor bodies: nothing a caller wrote gets in.
struct AccessMiddleware: RouterMiddleware {
    let logger: Logger

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        var response = try await next(request, context)
        if request.method == .head { response = response.createHeadResponse() }
        response.headers[.requestID] = context.id
        for (name, value) in Self.securityHeaders { response.headers[name] = value }
        report(request, context, response.status, ContinuousClock.now - start)
        return response
    }

    static let securityHeaders: [(HTTPField.Name, String)] = [
        (.cacheControl, "no-store"),
        (.xContentTypeOptions, "nosniff"),
        (.contentSecurityPolicy, "default-src 'none'; frame-ancestors 'none'"),
        (.referrerPolicy, "no-referrer"),
    ]

    private func report(
        _ request: Request, _ context: APIContext, _ status: HTTPResponse.Status, _ duration: Duration
    ) {
        let facts = context.trace.current
        let method = Self.methods.contains(request.method.rawValue) ? request.method.rawValue : "OTHER"
        let route = facts.route ?? "unknown"
        let dimensions = [("method", method), ("route", route)]
        let outcome = dimensions + [("status", "\(status.code)")]
        Counter(label: "gateway_api_requests_total", dimensions: outcome).increment()
        Timer(label: "gateway_api_request_duration", dimensions: dimensions).recordNanoseconds(
            Int64(duration / .nanoseconds(1)))
        var metadata: Logger.Metadata = [
            "request_id": "\(context.id)", "method": "\(method)", "route": "\(route)", "status": "\(status.code)",
            "duration_us": "\(Int64(duration / .microseconds(1)))",
        ]
        if let landlord = facts.landlord { metadata["landlord"] = "\(landlord)" }
        if let administrator = facts.administrator { metadata["administrator"] = "\(administrator)" }
        if let problem = facts.problem { metadata["code"] = "\(problem.rawValue)" }
        if let cause = facts.cause { metadata["cause"] = "\(cause)" }
        logger.log(level: status.kind == .serverError ? .error : .info, "request", metadata: metadata)
    }

    /// Other words are whatever a caller made up.
    private static let methods: Set<String> = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
}
