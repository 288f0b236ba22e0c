/// Where the parts of a request's head lie in the bytes it was read from, and what its framing headers said.
///
/// Ranges count from the first byte of the request line.
struct HTTPRequestHead: Equatable, Sendable {
    enum Method: Equatable, Sendable {
        case get
        case post
        case other
    }

    enum Framing: Equatable, Sendable {
        case length(Int)
        case chunked
    }

    var method = Method.other
    var target = 0..<0
    var minorVersion = 1
    var framing = Framing.length(0)
    var keepsAlive = true
    /// The sender waits for `100 Continue` before it sends the body.
    var expectsContinue = false
    var contentType: Range<Int>?
    /// A `Content-Encoding` other than `identity`.
    var hasContentEncoding = false
    /// `X-Hub-Signature-256`: how often, and the first.
    var hubSignature256 = HeaderValue()
    /// `X-Hub-Signature`, the SHA-1 of former days: only noticed.
    var hubSignature = HeaderValue()
    /// `X-Webhook-Hmac`, as session servers sign.
    var webhookHMAC = HeaderValue()

    struct HeaderValue: Equatable, Sendable {
        var count = 0
        var first = 0..<0

        mutating func add(_ range: Range<Int>) {
            if count == 0 { first = range }
            count += 1
        }
    }
}

/// Why a request cannot be framed: what follows on the connection cannot be trusted any more.
enum FramingError: Error, Equatable, Sendable {
    case badRequest(String)
    case targetTooLong
    case headersTooLarge
    case bodyTooLarge
    case unknownTransferCoding
    case unknownVersion
    case unknownExpectation
}
