import Conversations
import Hummingbird
import NIOCore

/// Turns everything that goes wrong into a problem document.
struct ProblemMiddleware: RouterMiddleware {
    let endpoints: [Endpoint]

    func handle(
        _ request: Request, context: APIContext, next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let problem: Problem
        do {
            return try await next(request, context)
        } catch let error as Problem {
            problem = error
        } catch let error as TokenRefusal {
            problem = Problem(error)
        } catch let error as ConversationError {
            problem = Problem(error)
            if case .unavailable(let cause) = error { context.trace.note { $0.cause = cause } }
        } catch let error as HTTPError where error.status == .notFound {
            problem = unrouted(request)
        } catch {
            problem = Problem(
                .internalError, "The request failed in a way that was not foreseen.",
                next: "Try again; if it fails again, tell us the X-Request-Id of this answer.")
            // The type alone: what else an unforeseen error carries is not known to be fit for a log.
            context.trace.note { $0.cause = "\(type(of: error))" }
        }
        context.trace.note { $0.problem = problem.code }
        return problem.response
    }

    private func unrouted(_ request: Request) -> Problem {
        let methods = endpoints.filter { $0.matches(path: request.uri.path) }.map(\.method.rawValue).sorted()
        guard !methods.isEmpty else {
            return Problem(
                .unknownRoute, "No operation of this API has this path.",
                next: "GET /api/openapi.json describes the operations there are.")
        }
        let allow = (methods.contains("GET") ? methods + ["HEAD"] : methods).joined(separator: ", ")
        return Problem(
            .methodNotAllowed, "This path is for \(allow).", next: "Use one of these methods.",
            headers: [.allow: allow])
    }
}
