package import Messaging

/// Where webhooks are passed on to, and how.
package struct DownstreamConfiguration: Sendable {
    /// `https://handler.example/webhooks`. May hold a key in its path or query, so it is never shown.
    package let url: Secret
    /// By source, what it always sends beside its signature.
    package var companionHeaders: [WebhookSource: [String: String]] = [:]
    package let userAgent: String
    package var timing = DownstreamTiming()

    package init(url: Secret, userAgent: String) throws(DownstreamConfigurationError) {
        try DownstreamAddress.check(url.reveal())
        self.url = url
        self.userAgent = userAgent
    }
}

/// How long a handler is waited for.
package struct DownstreamTiming: Hashable, Sendable {
    package var connectMilliseconds: Int64 = 5_000
    /// For one whole call. A claim has to hold more than twice as long.
    package var callMilliseconds: Int64 = 15_000

    package init() {}
}

/// The endpoints that rules name, and what their deliveries are signed with.
package struct DownstreamEndpoints: Sendable {
    /// By name. An address may hold a key in its path or query, so it is never shown.
    package private(set) var addresses: [String: Secret] = [:]
    /// Without it nothing is signed.
    package var secret: Secret?
    package let userAgent: String
    package var timing = DownstreamTiming()

    package init(userAgent: String) { self.userAgent = userAgent }

    package mutating func add(_ name: String, _ address: Secret) throws(DownstreamConfigurationError) {
        try DownstreamAddress.check(address.reveal())
        addresses[name] = address
    }
}

/// Addresses that may be posted to: over TLS, or on this machine.
private enum DownstreamAddress {
    static func check(_ text: String) throws(DownstreamConfigurationError) {
        let isPlain = text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"#\\\"<>".utf8.contains($0) }
        let isEncrypted = text.hasPrefix("https://")
        guard isPlain, isEncrypted || text.hasPrefix("http://") else { throw .badURL }
        let authority = text.dropFirst(isEncrypted ? 8 : 7).prefix { $0 != "/" && $0 != "?" }
        guard !authority.contains("@") else { throw .hasCredentials }
        let (host, port) = split(authority)
        guard !host.isEmpty, let port, port.isEmpty || UInt16(port).map({ $0 > 0 }) == true else { throw .badURL }
        guard isEncrypted || ["127.0.0.1", "localhost", "[::1]"].contains(host.lowercased()) else { throw .inClear }
    }

    /// Host and digits of the port; `nil` for a port that is none.
    private static func split(_ authority: Substring) -> (host: String, port: String?) {
        let end = authority.hasPrefix("[") ? authority.firstIndex(of: "]").map { authority.index(after: $0) } : nil
        let colon = end ?? authority.firstIndex(of: ":") ?? authority.endIndex
        let host = String(authority[..<colon])
        let rest = authority[colon...]
        if rest.isEmpty { return (host, "") }
        let digits = rest.dropFirst()
        let isPort = rest.first == ":" && !digits.isEmpty && digits.allSatisfy { ("0"..."9").contains($0) }
        return (host, isPort ? String(digits) : nil)
    }
}

/// An address that cannot be used. Its description says what to do, and never shows the address: it may hold a key.
package enum DownstreamConfigurationError: Error, Hashable, CustomStringConvertible {
    case badURL
    case hasCredentials
    case inClear

    package var description: String {
        switch self {
        case .badURL: "is not an address such as https://handler.example/webhooks"
        case .hasCredentials:
            "has a user or password before the host; take them out, and let the handler check the signature instead"
        case .inClear: "would be sent to unencrypted; use https:// (http:// is for 127.0.0.1 alone)"
        }
    }
}
