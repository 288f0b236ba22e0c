/// Who posted a webhook: which of the two paths of the ingress it came in by.
public enum WebhookSource: UInt8, Sendable, CaseIterable {
    case meta = 1
    case vps = 2

    /// As it stands in `webhook_log.source` and in metric labels.
    public var name: String {
        switch self {
        case .meta: "meta"
        case .vps: "vps"
        }
    }
}

/// A webhook as it was received and found authentic: the bytes, untouched, and what a reader must know beside them.
public struct Envelope: Hashable, Sendable {
    public let source: WebhookSource
    public let receivedAt: Timestamp
    /// The signature header as received, so that the webhook can be passed on as it came; see `WebhookSignature.stored`.
    /// Empty where it is not known.
    public let signature: [UInt8]
    /// The request body, byte for byte.
    public let body: [UInt8]

    public init(source: WebhookSource, receivedAt: Timestamp, signature: [UInt8], body: [UInt8]) {
        self.source = source
        self.receivedAt = receivedAt
        self.signature = signature
        self.body = body
    }
}
