import Conversations
import Hummingbird

/// One operation of the API: a method on a path, who may call it, and what it does.
struct Endpoint: Sendable {
    typealias Open = @Sendable (Request, APIContext) async throws -> Response
    typealias ForLandlords = @Sendable (Request, APIContext, Principal) async throws -> Response
    typealias ForAdministrators = @Sendable (Request, APIContext, Administrator) async throws -> Response

    /// Who may call, and what runs then. An operation for landlords cannot be written without the landlord, nor one for
    /// administrators without the administrator.
    enum Handler: Sendable {
        case anyone(Open)
        case landlord(ForLandlords)
        case administrator(ForAdministrators)
    }

    let method: HTTPRequest.Method
    /// As the OpenAPI document writes it: `/api/conversations/{id}/messages`.
    let path: String
    let handler: Handler

    /// Whether this is the endpoint's path; names in braces stand for any one segment.
    func matches(path other: String) -> Bool {
        let pattern = path.split(separator: "/")
        let segments = other.split(separator: "/")
        return pattern.count == segments.count
            && zip(pattern, segments).allSatisfy { $0.first == "{" || $0 == $1 }
    }
}

/// Operations that belong together. The server takes any number of these.
protocol EndpointGroup: Sendable {
    var endpoints: [Endpoint] { get }
}
