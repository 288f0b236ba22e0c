import Journal
import NIOCore

/// Every answer the ingress can give.
enum WebhookResponse: Sendable {
    /// 200. Takes the proof that the webhook is durable: there is no other way to make one.
    case acknowledged(DurabilityReceipt)
    /// 200 with the challenge, as `text/plain`.
    case challenge([UInt8])
    case badRequest
    case badSignature
    case forbidden
    case notFound
    case methodNotAllowed(allow: String)
    case timeout
    case bodyTooLarge
    case targetTooLong
    case unsupportedMediaType
    case expectationFailed
    case headersTooLarge
    case notImplemented
    /// 503; the sender is asked to come again after this many seconds.
    case unavailable(retryAfterSeconds: Int)
    case versionNotSupported

    init(_ error: FramingError) {
        switch error {
        case .badRequest: self = .badRequest
        case .targetTooLong: self = .targetTooLong
        case .headersTooLarge: self = .headersTooLarge
        case .bodyTooLarge: self = .bodyTooLarge
        case .unknownTransferCoding: self = .notImplemented
        case .unknownVersion: self = .versionNotSupported
        case .unknownExpectation: self = .expectationFailed
        }
    }

    var status: Int {
        switch self {
        case .acknowledged, .challenge: 200
        case .badRequest: 400
        case .badSignature: 401
        case .forbidden: 403
        case .notFound: 404
        case .methodNotAllowed: 405
        case .timeout: 408
        case .bodyTooLarge: 413
        case .targetTooLong: 414
        case .unsupportedMediaType: 415
        case .expectationFailed: 417
        case .headersTooLarge: 431
        case .notImplemented: 501
        case .unavailable: 503
        case .versionNotSupported: 505
        }
    }

    /// The status line with its reason phrase.
    private var statusLine: StaticString {
        switch self {
        case .acknowledged, .challenge: "HTTP/1.1 200 OK\r\n"
        case .badRequest: "HTTP/1.1 400 Bad Request\r\n"
        case .badSignature: "HTTP/1.1 401 Unauthorized\r\n"
        case .forbidden: "HTTP/1.1 403 Forbidden\r\n"
        case .notFound: "HTTP/1.1 404 Not Found\r\n"
        case .methodNotAllowed: "HTTP/1.1 405 Method Not Allowed\r\n"
        case .timeout: "HTTP/1.1 408 Request Timeout\r\n"
        case .bodyTooLarge: "HTTP/1.1 413 Content Too Large\r\n"
        case .targetTooLong: "HTTP/1.1 414 URI Too Long\r\n"
        case .unsupportedMediaType: "HTTP/1.1 415 Unsupported Media Type\r\n"
        case .expectationFailed: "HTTP/1.1 417 Expectation Failed\r\n"
        case .headersTooLarge: "HTTP/1.1 431 Request Header Fields Too Large\r\n"
        case .notImplemented: "HTTP/1.1 501 Not Implemented\r\n"
        case .unavailable: "HTTP/1.1 503 Service Unavailable\r\n"
        case .versionNotSupported: "HTTP/1.1 505 HTTP Version Not Supported\r\n"
        }
    }

    /// - Parameter date: a whole `Date` line, made once a second.
    func write(to buffer: inout ByteBuffer, date: String, closing: Bool) {
        buffer.writeStaticString(statusLine)
        buffer.writeString(date)
        if closing { buffer.writeStaticString("Connection: close\r\n") }
        switch self {
        case .challenge(let challenge):
            buffer.writeStaticString("Content-Type: text/plain\r\nX-Content-Type-Options: nosniff\r\nContent-Length: ")
            buffer.writeString("\(challenge.count)\r\n\r\n")
            buffer.writeBytes(challenge)
            return
        case .methodNotAllowed(let allow): buffer.writeString("Allow: \(allow)\r\n")
        case .unavailable(let seconds): buffer.writeString("Retry-After: \(seconds)\r\n")
        case .acknowledged, .badRequest, .badSignature, .forbidden, .notFound, .timeout, .bodyTooLarge, .targetTooLong,
            .unsupportedMediaType, .expectationFailed, .headersTooLarge, .notImplemented, .versionNotSupported:
            break
        }
        buffer.writeStaticString("Content-Length: 0\r\n\r\n")
    }
}
