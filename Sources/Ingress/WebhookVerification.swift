import Messaging
package import Webhooks

/// By which secrets the webhooks of each source are judged. A source without any is not served: its path does not exist.
package struct WebhookVerification: Sendable {
    private let meta: WebhookAuthenticator?
    private let vps: WebhookAuthenticator?
    private let handshake: WebhookHandshake

    package init(meta: WebhookAuthenticator?, vps: WebhookAuthenticator?, handshake: WebhookHandshake) {
        self.meta = meta
        self.vps = vps
        self.handshake = handshake
    }

    func authenticator(for source: WebhookSource) -> WebhookAuthenticator? {
        switch source {
        case .meta: meta
        case .vps: vps
        }
    }

    /// The answer to a handshake's query.
    func answer(handshake query: some Sequence<UInt8>) -> (response: WebhookResponse, label: String) {
        do throws(HandshakeFault) {
            return (.challenge(try handshake.answer(query: query)), "handshake")
        } catch {
            return (.forbidden, "handshake_\(error.rawValue)")
        }
    }
}

/// The paths the ingress knows. Compared byte for byte: no decoding, no trailing slash.
enum WebhookPath {
    static let meta: StaticString = "/api/webhooks/meta"
    static let vps: StaticString = "/api/webhooks/vps"

    /// The source a target belongs to, and its query (without the question mark).
    static func find(_ target: Range<Int>, _ bytes: UnsafeRawBufferPointer) -> (
        source: WebhookSource, query: Range<Int>
    )? {
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
