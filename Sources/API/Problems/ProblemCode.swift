import Hummingbird

/// Every way a request can fail, as the stable `code` of its problem document. Clients branch on it: a case may be
/// added, never renamed.
package enum ProblemCode: String, CaseIterable, Sendable {
    case malformedRequest = "malformed-request"
    case malformedJSON = "malformed-json"
    case invalidID = "invalid-id"
    case invalidLimit = "invalid-limit"
    case invalidCursor = "invalid-cursor"
    case invalidIdempotencyKey = "invalid-idempotency-key"
    case invalidParameter = "invalid-parameter"
    case unauthorized = "unauthorized"
    case forbidden = "forbidden"
    case notFound = "not-found"
    case messageNotFound = "message-not-found"
    case unknownRoute = "unknown-route"
    case methodNotAllowed = "method-not-allowed"
    case windowClosed = "window-closed"
    case cannotSend = "cannot-send"
    case conversationBlocked = "conversation-blocked"
    case recipientOptedOut = "recipient-opted-out"
    case bodyTooLarge = "body-too-large"
    case targetTooLong = "target-too-long"
    case unsupportedMediaType = "unsupported-media-type"
    case expectationFailed = "expectation-failed"
    case idempotencyMismatch = "idempotency-mismatch"
    case textTooLong = "text-too-long"
    case invalidMessage = "invalid-message"
    case invalidRules = "invalid-rules"
    case headersTooLarge = "headers-too-large"
    case internalError = "internal-error"
    case databaseUnavailable = "database-unavailable"
    case signingKeysUnavailable = "signing-keys-unavailable"

    var status: HTTPResponse.Status {
        switch self {
        case .malformedRequest, .malformedJSON, .invalidID, .invalidLimit, .invalidCursor, .invalidIdempotencyKey,
            .invalidParameter:
            .badRequest
        case .unauthorized: .unauthorized
        case .forbidden: .forbidden
        case .notFound, .messageNotFound, .unknownRoute: .notFound
        case .methodNotAllowed: .methodNotAllowed
        case .windowClosed, .cannotSend, .conversationBlocked, .recipientOptedOut: .conflict
        case .bodyTooLarge: .contentTooLarge
        case .targetTooLong: .uriTooLong
        case .unsupportedMediaType: .unsupportedMediaType
        case .expectationFailed: .expectationFailed
        case .idempotencyMismatch, .textTooLong, .invalidMessage, .invalidRules: .unprocessableContent
        case .headersTooLarge: .requestHeaderFieldsTooLarge
        case .internalError: .internalServerError
        case .databaseUnavailable, .signingKeysUnavailable: .serviceUnavailable
        }
    }

    /// The same for every occurrence; the document's `detail` tells the particular case.
    var title: String {
        switch self {
        case .malformedRequest: "The request is not well-formed HTTP"
        case .malformedJSON: "The body is not JSON"
        case .invalidID: "The id is not a UUID"
        case .invalidLimit: "The limit is not a number from 1 to 200"
        case .invalidCursor: "The cursor is not one of ours"
        case .invalidIdempotencyKey: "The idempotency key cannot be used"
        case .invalidParameter: "A query parameter cannot be used"
        case .unauthorized: "The token does not prove who asks"
        case .forbidden: "The token's role may not do this"
        case .notFound: "There is no such conversation"
        case .messageNotFound: "There is no such message"
        case .unknownRoute: "There is nothing at this path"
        case .methodNotAllowed: "The path does not take this method"
        case .windowClosed: "The 24-hour window is closed"
        case .cannotSend: "The conversation's number cannot send"
        case .conversationBlocked: "The conversation is blocked"
        case .recipientOptedOut: "The tenant does not want messages"
        case .bodyTooLarge: "The body is too large"
        case .targetTooLong: "The address is too long"
        case .unsupportedMediaType: "The body is not of a type that is read here"
        case .expectationFailed: "The expectation cannot be met"
        case .idempotencyMismatch: "The idempotency key was used for something else"
        case .textTooLong: "The text is too long"
        case .invalidMessage: "The message cannot be sent as it is"
        case .invalidRules: "The rules cannot be used"
        case .headersTooLarge: "The headers are too large"
        case .internalError: "Something went wrong on our side"
        case .databaseUnavailable: "The database cannot be reached"
        case .signingKeysUnavailable: "Tokens cannot be checked right now"
        }
    }
}
