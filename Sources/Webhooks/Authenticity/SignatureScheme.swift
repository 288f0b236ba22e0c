/// How a sender of webhooks signs: over which hash, in which header, written how.
public enum SignatureScheme: String, Sendable, CaseIterable {
    /// `X-Hub-Signature-256: sha256=<64 hex digits>`, HMAC-SHA256 with the app secret.
    case meta
    /// `X-Webhook-Hmac: <128 hex digits>`, HMAC-SHA512, as WAHA sends it.
    case waha
    /// HMAC-SHA256, as servers without a standard sign: `X-Webhook-Hmac` or `X-Hub-Signature-256`, one of the two, with
    /// 64 hex digits, `sha256=` before them or not.
    case sha256

    /// The headers' names in lower case, as a parser of header fields compares them.
    public var headerNames: [String] {
        switch self {
        case .meta: ["x-hub-signature-256"]
        case .waha: ["x-webhook-hmac"]
        case .sha256: ["x-webhook-hmac", "x-hub-signature-256"]
        }
    }

    /// The header of the scheme's abandoned SHA-1 form, in lower case. Seen alone it is told apart in the metrics; it
    /// is never checked.
    public var legacyHeaderName: String? {
        switch self {
        case .meta: "x-hub-signature"
        case .waha, .sha256: nil
        }
    }

    /// What stands before the hex digits.
    var prefix: StaticString {
        switch self {
        case .meta, .sha256: "sha256="
        case .waha: ""
        }
    }

    /// Whether the prefix must be there.
    var needsPrefix: Bool { self == .meta }

    /// Bytes of the code.
    var codeLength: Int {
        switch self {
        case .meta, .sha256: 32
        case .waha: 64
        }
    }
}

/// The signature header of one request, as the ingress found it among the header fields.
public struct SignatureHeader: Sendable {
    /// Fields of the scheme's name. More than one is refused: which of them a proxy in between has read is anybody's
    /// guess.
    public var occurrences = 0
    /// The value of the first, without the white space around it.
    public var value: [UInt8] = []
    /// Whether the SHA-1 header was there.
    public var hasLegacy = false

    public init() {}

    /// Counts a field of the scheme's name.
    public mutating func add(_ field: some Sequence<UInt8>) {
        if occurrences == 0 { value = Array(field) }
        occurrences += 1
    }
}

/// Why a webhook is not authentic. The raw value is a bounded label for metrics.
public enum SignatureFault: String, Error, Sendable, CaseIterable {
    /// No signature header.
    case missing
    /// Only the SHA-1 header, which proves nothing any more.
    case sha1Only = "sha1_only"
    /// The header stands there twice.
    case duplicated
    /// Not the prefix and the right number of hex digits.
    case malformed
    /// Made with another secret, or over other bytes.
    case mismatch
}
