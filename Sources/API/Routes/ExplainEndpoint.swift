import Conversations
import FoundationEssentials
import Hummingbird
import NIOCore
import Routing

/// Why a message went where it went, or where one would go: for administrators.
struct ExplainEndpoint: EndpointGroup {
    let explainer: any MessageExplainer

    static let path = "/api/admin/explain"

    var endpoints: [Endpoint] {
        [Endpoint(method: .get, path: Self.path, handler: .administrator(explain))]
    }

    private func explain(
        _ request: Request, _ context: APIContext, _ administrator: Administrator
    ) async throws -> Response {
        let wanted = try Self.read(request)
        let reader = ExplanationReader(id: administrator.userID, role: Administrator.role)
        let explanation: Explanation
        do throws(ExplanationError) {
            explanation = try await explainer.explain(wanted, for: reader)
        } catch {
            if case .unavailable(let cause) = error { context.trace.note { $0.cause = cause } }
            throw Problem(error)
        }
        return try Response(encoding: explanation)
    }

    /// `?of=…&as=…&to=…&text=…&type=…&at=…&quote=…&tap=…&unmasked=true`
    private static func read(_ request: Request) throws -> ExplanationRequest {
        var values: [String: String] = [:]
        for (name, value) in request.uri.queryParameters {
            guard values.updateValue(String(value), forKey: String(name)) == nil else {
                throw invalid("A query parameter is given twice.", next: "Give each once.")
            }
        }
        func take(_ parameter: ExplanationError.Parameter) -> String? {
            values.removeValue(forKey: parameter.rawValue)
        }
        guard let subject = take(.subject) else {
            throw invalid(
                "The query parameter of is missing.",
                next: "Give a message's id, a telephone number or an account id, as ?of=…; a plus sign is written %2B.")
        }
        var wanted = ExplanationRequest(subject)
        if let kind = take(.kind) {
            wanted.kind = ExplanationSubject.Kind(rawValue: kind)
            guard wanted.kind != nil else {
                throw invalid("The query parameter as is not message, phone or account.", next: "Correct it.")
            }
        }
        wanted.endpoint = take(.endpoint)
        wanted.text = take(.text)
        wanted.type = take(.type)
        wanted.at = take(.at)
        wanted.quoted = take(.quoted)
        wanted.tapped = take(.tapped)
        if let unmasked = values.removeValue(forKey: "unmasked") {
            guard unmasked == "true" || unmasked == "false" else {
                throw invalid("The query parameter unmasked is not true or false.", next: "Correct it.")
            }
            wanted.isUnmasked = unmasked == "true"
        }
        guard values.isEmpty else {
            throw invalid(
                "There is a query parameter that this operation does not have.",
                next: "GET /api/openapi.json describes those it has.")
        }
        return wanted
    }

    private static func invalid(_ detail: String, next: String) -> Problem {
        Problem(.invalidParameter, detail, next: next)
    }
}

extension Problem {
    init(_ error: ExplanationError) {
        switch error {
        case .invalid(let parameter, let problem, let cure):
            self.init(
                .invalidParameter, "The query parameter \(parameter.rawValue) cannot be used: \(problem).",
                next: cure.prefix(1).uppercased() + cure.dropFirst() + ".")
        case .unknownMessage:
            self.init(
                .messageNotFound, "No message with this id is recorded.",
                next: "Take the id from a webhook, or a message's id of ours.")
        case .notReady:
            self.init(
                .databaseUnavailable, "The routing table was not loaded yet.",
                next: "Try again in a few seconds; /readyz says what is amiss.", headers: [.retryAfter: "5"])
        case .unavailable:
            self.init(
                .databaseUnavailable, "The database could not be asked.", next: "Try again in a few seconds.",
                headers: [.retryAfter: "5"])
        }
    }
}
