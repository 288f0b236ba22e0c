import Conversations
import HTTPTypes
import Hummingbird
import Messaging
import NIOCore

/// A failure as the caller reads it: RFC 9457, with a stable `code`, the cause, and the next thing to do.
struct Problem: Error {
    let code: ProblemCode
    /// What happened this time.
    let detail: String
    /// What to do about it.
    let next: String?
    let headers: HTTPFields

    init(_ code: ProblemCode, _ detail: String, next: String? = nil, headers: HTTPFields = [:]) {
        self.code = code
        self.detail = detail
        self.next = next
        self.headers = headers
    }

    /// The document. `type` leads to the code's entry in our OpenAPI document.
    var document: JSON {
        var members: [JSON.Member] = [
            JSON.Member(name: "type", value: .string("/api/openapi.json#/x-problems/\(code.rawValue)")),
            JSON.Member(name: "title", value: .string(code.title)),
            JSON.Member(name: "status", value: JSON(code.status.code)),
            JSON.Member(name: "code", value: .string(code.rawValue)),
            JSON.Member(name: "detail", value: .string(detail)),
        ]
        if let next { members.append(JSON.Member(name: "next", value: .string(next))) }
        return .object(members)
    }

    var response: Response {
        var headers = headers
        headers[.contentType] = Self.mediaType
        let body = ByteBuffer(bytes: document.bytes)
        return Response(status: code.status, headers: headers, body: .init(byteBuffer: body))
    }

    static let mediaType = "application/problem+json"
}

extension Problem {
    init(_ refusal: TokenRefusal) {
        let next = "Sign in again, and send the access token as: Authorization: Bearer <token>."
        switch refusal {
        case .missing:
            self.init(
                .unauthorized, refusal.explanation, next: next,
                headers: [.wwwAuthenticate: #"Bearer realm="zenrent""#])
        case .wrongRole:
            self.init(
                .forbidden, refusal.explanation, next: "Use the access token of a signed-in landlord.",
                headers: [.wwwAuthenticate: Self.challenge("insufficient_scope", refusal)])
        case .notAdministrator:
            self.init(
                .forbidden, refusal.explanation,
                next: "Use an administrator's access token; one that was issued after the role was given.",
                headers: [.wwwAuthenticate: Self.challenge("insufficient_scope", refusal)])
        case .keysUnavailable:
            self.init(
                .signingKeysUnavailable, refusal.explanation,
                next: "Try again in a few seconds; the token may be good.", headers: [.retryAfter: "5"])
        case .severalHeaders, .notBearer:
            self.init(
                .unauthorized, refusal.explanation, next: next,
                headers: [.wwwAuthenticate: Self.challenge("invalid_request", refusal)])
        default:
            self.init(
                .unauthorized, refusal.explanation, next: next,
                headers: [.wwwAuthenticate: Self.challenge("invalid_token", refusal)])
        }
    }

    private static func challenge(_ error: String, _ refusal: TokenRefusal) -> String {
        #"Bearer realm="zenrent", error="\#(error)", error_description="\#(refusal.explanation)""#
    }

    init(_ error: ConversationError) {
        switch error {
        case .notFound:
            self.init(
                .notFound, "You have no conversation with this id.",
                next: "GET /api/conversations lists the conversations you have.")
        case .windowClosed(let last):
            let since = last.map { "the tenant wrote last at \($0.rfc3339)" } ?? "the tenant has not written yet"
            self.init(
                .windowClosed, "WhatsApp takes free text only within 24 hours of the tenant's last message; \(since).",
                next: "Wait until the tenant writes, or reach them another way.")
        case .cannotSend:
            self.init(
                .cannotSend, "The number or account this conversation runs over can receive, but not send.",
                next: "Ask an administrator to connect it for sending.")
        case .conversationBlocked:
            self.init(
                .conversationBlocked, "You or an administrator blocked this conversation.",
                next: "Unblock it before you write.")
        case .recipientOptedOut:
            self.init(
                .recipientOptedOut, "The tenant asked not to be written to over this channel.",
                next: "Reach them another way; messages can be sent again once they opt in.")
        case .idempotencyMismatch:
            self.init(
                .idempotencyMismatch,
                "An earlier request with this Idempotency-Key had another conversation or message.",
                next: "Use a new key for a new message, and the same body for a repetition.")
        case .textTooLong(let units, let max):
            self.init(
                .textTooLong,
                "With its signature the text has \(units) UTF-16 code units; WhatsApp takes \(max).",
                next: "Shorten it by \(units - max), or send it in two messages.")
        case .unavailable:
            self.init(
                .databaseUnavailable, "The request was not carried out, or its outcome is not known.",
                next: "Try again in a few seconds, with the same Idempotency-Key if it sends something.",
                headers: [.retryAfter: "5"])
        }
    }

    init(_ refusal: ReplyRefusal) {
        switch refusal {
        case .emptyText:
            self.init(.invalidMessage, "The field text has nothing to read in it.", next: "Write something.")
        case .controlCharacter(let code, let position):
            let hex = String(code, radix: 16, uppercase: true)
            self.init(
                .invalidMessage,
                "The field text has the control character U+\(String(repeating: "0", count: 4 - hex.count))\(hex) "
                    + "as its character number \(position + 1).",
                next: "Remove it; of the control characters only line feed and tab can be sent.")
        case .textTooLong(let units, let max):
            self.init(
                .textTooLong,
                "The field text has \(units) UTF-16 code units; WhatsApp takes \(max), signature included.",
                next: "Shorten it, or send it in two messages.")
        case .invalidQuote:
            self.init(
                .invalidMessage, "The field quote is not a provider's message id.",
                next: "Take the provider_id of the message that is answered, or leave the field out.")
        }
    }
}

extension HTTPField.Name {
    static let idempotencyKey = named("Idempotency-Key")
    static let idempotencyReplayed = named("Idempotency-Replayed")
    static let referrerPolicy = named("Referrer-Policy")
    static let requestID = named("X-Request-Id")

    private static func named(_ text: String) -> HTTPField.Name {
        guard let name = HTTPField.Name(text) else { preconditionFailure("\(text) is no header name") }
        return name
    }
}
