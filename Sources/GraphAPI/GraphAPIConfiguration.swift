package import Messaging

/// Where and as whom messages are sent.
package struct GraphAPIConfiguration: Sendable {
    /// `https://graph.facebook.com`, or the twin's `http://127.0.0.1:8445`; without a slash at the end.
    package let baseURL: String
    /// `v24.0`. Meta keeps each version about two years.
    package let version: String
    package let accessToken: Secret
    /// When given, every call carries `appsecret_proof`: a stolen token alone is then of no use.
    package let appSecret: Secret?
    package var connectTimeoutMilliseconds: Int64
    /// For one whole call. An outbox claim has to hold more than twice as long.
    package var callTimeoutMilliseconds: Int64
    /// A PEM file with an authority to trust beside the system's, for a sandbox with TLS.
    package var trustRootFile: String?
    /// Connections kept to the API at once; calls beyond it wait.
    package var connectionsMax: Int

    package init(
        baseURL: String, version: String, accessToken: Secret, appSecret: Secret? = nil,
        connectTimeoutMilliseconds: Int64 = 5_000, callTimeoutMilliseconds: Int64 = 30_000,
        trustRootFile: String? = nil, connectionsMax: Int = 64
    ) throws(GraphAPIConfigurationError) {
        self.baseURL = try Self.checked(baseURL: baseURL)
        guard version.first == "v", version.dropFirst().allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }),
            version.count > 1
        else { throw .badVersion(version) }
        self.version = version
        self.accessToken = accessToken
        self.appSecret = appSecret
        self.connectTimeoutMilliseconds = connectTimeoutMilliseconds
        self.callTimeoutMilliseconds = callTimeoutMilliseconds
        self.trustRootFile = trustRootFile
        self.connectionsMax = connectionsMax
    }

    private static func checked(baseURL text: String) throws(GraphAPIConfigurationError) -> String {
        var text = text
        while text.hasSuffix("/") { text.removeLast() }
        let rest = text.hasPrefix("https://") ? text.dropFirst(8) : text.hasPrefix("http://") ? text.dropFirst(7) : ""
        let isPlain = rest.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && !"?#@\\\"<>".utf8.contains($0) }
        guard let first = rest.first, first != "/", first != ":", isPlain else { throw .badURL(text) }
        guard text.hasPrefix("https://") || isLoopback(rest) else { throw .tokenInClear(text) }
        return text
    }

    /// Only this machine may be spoken to without TLS: the access token travels in every call.
    private static func isLoopback(_ authority: Substring) -> Bool {
        let host = authority.split(separator: "/", maxSplits: 1)[0]
        return ["127.0.0.1", "localhost", "[::1]"].contains { host == $0 || host.hasPrefix($0 + ":") }
    }
}

/// A setting of the Graph API that cannot be used; its description says what to do.
package enum GraphAPIConfigurationError: Error, Hashable, CustomStringConvertible {
    case badURL(String)
    case tokenInClear(String)
    case badVersion(String)
    case badTrustRoot(file: String)

    package var description: String {
        switch self {
        case .badURL(let text):
            "META_GRAPH_URL is \"\(text)\"; it must be an address such as https://graph.facebook.com, without a query"
        case .tokenInClear(let text):
            "META_GRAPH_URL is \"\(text)\": the access token would travel unencrypted; use https:// "
                + "(http:// is for 127.0.0.1 alone)"
        case .badVersion(let text):
            "WHATSAPP_CLOUD_API_VERSION is \"\(text)\"; it must look like v24.0"
        case .badTrustRoot(let file):
            "the trust root \(file) cannot be read as PEM; give a readable file with at least one certificate"
        }
    }
}
