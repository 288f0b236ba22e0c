package import Messaging

/// What a load is made of.
package struct LoadConfiguration: Sendable {
    /// The webhook address: `https://…/api/webhooks/meta`.
    package var url: String
    /// Signs the webhooks.
    package var secret: Secret
    /// The authority of the server's certificate, PEM, trusted beside the system's.
    package var trustRootFile: String?
    /// Webhooks a second.
    package var rate: Int
    package var connections: Int
    /// Seconds of the same load before anything is measured.
    package var warmUpSeconds: Int
    /// Seconds that are measured.
    package var seconds: Int
    /// The number written to.
    package var phone: MetaPhone
    /// The number of the first sender; the others follow it.
    package var firstSender: Int
    package var senders: Int
    /// Keep the id of every acknowledged message and the time of its 200.
    package var keepsReceipts = false

    package init(
        url: String, secret: Secret, trustRootFile: String?, rate: Int, connections: Int, warmUpSeconds: Int,
        seconds: Int, phone: MetaPhone, firstSender: Int, senders: Int
    ) {
        precondition(Self.rates.contains(rate) && Self.connectionCounts.contains(connections))
        precondition(Self.durations.contains(seconds) && Self.warmUps.contains(warmUpSeconds))
        precondition(Self.senderCounts.contains(senders) && Self.firstSenders.contains(firstSender))
        self.url = url
        self.secret = secret
        self.trustRootFile = trustRootFile
        self.rate = rate
        self.connections = connections
        self.warmUpSeconds = warmUpSeconds
        self.seconds = seconds
        self.phone = phone
        self.firstSender = firstSender
        self.senders = senders
    }

    package static let rates = 1...1_000_000
    package static let connectionCounts = 1...10_000
    package static let durations = 1...3600
    package static let warmUps = 0...60
    package static let senderCounts = 1...1_000_000
    /// Twelve digits for the last sender, too.
    package static let firstSenders = 100_000_000_000...998_999_999_999
}

/// Why there was no load.
package enum LoadError: Error, Hashable, CustomStringConvertible {
    case badURL(String)
    case badTrustRoot(file: String)
    case badPhone
    case cannotConnect(url: String, cause: String)

    package var description: String {
        switch self {
        case .badURL(let url):
            "\"\(url.prefix(120))\" is not an address to send webhooks to; write one such as "
                + "https://localhost:8443/api/webhooks/meta"
        case .badTrustRoot(let file):
            "the certificate \(file) cannot be read as PEM; name the authority's file with --ca"
        case .badPhone: "the ids of the number written to must be digits, as Meta shows them in the app's dashboard"
        case .cannotConnect(let url, let cause):
            "no TLS connection to \(url) (\(cause)); is the server running there, and does --ca name the authority of "
                + "its certificate?"
        }
    }
}
