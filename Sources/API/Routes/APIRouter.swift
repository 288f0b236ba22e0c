import Conversations
import Hummingbird
import Logging
import Messaging
import Metrics

/// Puts endpoints behind the middleware and, where they are for somebody, behind their token.
struct APIRouter: Sendable {
    let groups: [any EndpointGroup]
    let verifier: TokenVerifier
    let clock: @Sendable () -> Timestamp
    let logger: Logger

    var endpoints: [Endpoint] { groups.flatMap(\.endpoints) }

    func responder() -> RouterResponder<APIContext> {
        let endpoints = endpoints
        let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
        router.add(middleware: AccessMiddleware(logger: logger))
        router.add(middleware: ProblemMiddleware(endpoints: endpoints))
        for endpoint in endpoints {
            router.on(RouterPath(endpoint.path), method: endpoint.method) { request, context in
                context.trace.note { $0.route = endpoint.path }
                return try await self.run(endpoint.handler, request, context)
            }
        }
        return router.buildResponder()
    }

    private func run(_ handler: Endpoint.Handler, _ request: Request, _ context: APIContext) async throws -> Response {
        switch handler {
        case .anyone(let operation): return try await operation(request, context)
        case .landlord(let operation):
            let principal = try await proven(request, verifier.verify)
            context.trace.note { $0.landlord = principal.userID }
            return try await operation(request, context, principal)
        case .administrator(let operation):
            let administrator = try await proven(request, verifier.verifyAdministrator)
            context.trace.note { $0.administrator = administrator.userID }
            return try await operation(request, context, administrator)
        }
    }

    private func proven<Caller>(
        _ request: Request, _ verify: (String, Timestamp) async throws(TokenRefusal) -> Caller
    ) async throws(TokenRefusal) -> Caller {
        do throws(TokenRefusal) {
            return try await verify(BearerToken.extract(from: request.headers), clock())
        } catch {
            Counter(label: "gateway_api_token_refusals_total", dimensions: [("reason", error.metricLabel)]).increment()
            throw error
        }
    }
}
