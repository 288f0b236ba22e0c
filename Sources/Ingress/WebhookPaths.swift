package import Messaging

/// What the two paths need to know: by which secrets a webhook is judged. Given by the composition root.
package protocol WebhookVerification: Sendable {
    /// Whether a source is served at all. A source without a secret is not: its path does not exist.
    func serves(_ source: WebhookSource) -> Bool
    /// `nil` when the body is authentic, otherwise a bounded label of what is wrong.
    func rejection(of request: SignedRequest, source: WebhookSource, body: UnsafeRawBufferPointer) -> StaticString?
    /// The answer to a handshake: the challenge to echo, or `nil` to forbid.
    func challenge(query: String) -> String?
}

/// The signature headers of a request: how often each came, and its first value.
package struct SignedRequest {
    package var hubSignature256: (count: Int, first: UnsafeRawBufferPointer)
    package var hubSignatureCount: Int
    package var webhookHMAC: (count: Int, first: UnsafeRawBufferPointer)
}

/// The paths the ingress knows. Compared byte for byte: no decoding, no trailing slash.
enum WebhookPath {
    static let meta: StaticString = "/api/webhooks/meta"
    static let vps: StaticString = "/api/webhooks/vps"

    /// The source a target belongs to, and its query (without the question mark).
    static func find(_ target: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> (source: WebhookSource, query: Range<Int>)? {
        var end = target.lowerBound
        while end < target.upperBound, bytes[end] != UInt8(ascii: "?") { end += 1 }
        let path = target.lowerBound..<end
        let query = min(end + 1, target.upperBound)..<target.upperBound
        if HTTPHeadParser.equal(path, bytes, meta) { return (.meta, query) }
        if HTTPHeadParser.equal(path, bytes, vps) { return (.vps, query) }
        return nil
    }

    static func allow(_ source: WebhookSource) -> String {
        switch source {
        case .meta: "GET, POST"
        case .vps: "POST"
        }
    }
}
