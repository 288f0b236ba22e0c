import Conversations
import Hummingbird
import Logging
import Messaging
import Metrics

/// Puts endpoints behind the middleware and, where they are for landlords, behind the token.
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
            let principal = try await principal(of: request)
            context.trace.note { $0.landlord = principal.userID }
            return try await operation(request, context, principal)
        }
    }

    private func principal(of request: Request) async throws(TokenRefusal) -> Principal {
        do throws(TokenRefusal) {
            return try await verifier.verify(BearerToken.extract(from: request.headers), at: clock())
        } catch {
            Counter(label: "gateway_api_token_refusals_total", dimensions: [("reason", error.metricLabel)]).increment()
            throw error
        }
    }
}
