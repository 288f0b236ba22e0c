/// What a webhook was signed with: a header and its value.
public struct WebhookSignature: Hashable, Sendable {
    public enum Header: Sendable, CaseIterable {
        case hubSignature256
        case webhookHMAC

        public var name: String {
            switch self {
            case .hubSignature256: "X-Hub-Signature-256"
            case .webhookHMAC: "X-Webhook-Hmac"
            }
        }
    }

    public let header: Header
    /// As received, without the white space around it.
    public let value: [UInt8]

    public init(header: Header, value: [UInt8]) {
        self.header = header
        self.value = value
    }

    /// The header that the usual senders write such a value in: Meta puts `sha256=` before the digits, others nothing.
    private static func usualHeader(of value: some Collection<UInt8>) -> Header {
        value.starts(with: "sha256=".utf8) ? .hubSignature256 : .webhookHMAC
    }

    /// As an envelope, the journal and the log of webhooks keep it: the value, and `name: ` before it where the value
    /// stood in another header than the usual one.
    public var stored: [UInt8] {
        header == Self.usualHeader(of: value) ? value : Array("\(header.name): ".utf8) + value
    }

    /// Reads `stored`. No value has a colon in it: it is digits, perhaps with `sha256=` before them.
    public init(stored: [UInt8]) {
        for header in Header.allCases where stored.starts(with: "\(header.name): ".utf8) {
            self.init(header: header, value: Array(stored.dropFirst(header.name.utf8.count + 2)))
            return
        }
        self.init(header: Self.usualHeader(of: stored), value: stored)
    }
}
