package import Messaging

/// The settings of the Meta twin.
package struct TwinConfiguration: Sendable {
    /// On 127.0.0.1; 0 takes any free port.
    package var port: Int
    /// The numbers it plays; the first is the one meant when a request names none.
    package var phones: [MetaPhone]
    /// Signs webhooks, and proves the calls to the Graph side.
    package var appSecret: Secret
    /// What the bearer of a call must show.
    package var accessToken: Secret
    package var verifyToken: Secret
    /// The gateway's `https://…/api/webhooks/meta`; `nil` sends nothing.
    package var webhookURL: String?
    /// A session of a session server, played beside Meta; `nil` plays none.
    package var session: TwinSession?
    /// The authority of the gateway's certificate, PEM.
    package var trustRootFile: String?
    /// Refuse calls without `appsecret_proof`. A wrong one is refused always.
    package var requiresProof = true
    /// Who may be written to: `nil` is everybody, as on a number that has left the test mode.
    package var allowedRecipients: Set<String>?
    package var window = Window.strict
    /// One message every 6 s to the same person, 45 of them in a burst.
    package var hasPairRate = false
    /// How long after a send its `sent`, `delivered` and `read` go out; steps left out are not sent.
    package var statusDelays: [(status: String, after: Duration)] = [
        ("sent", .milliseconds(200)), ("delivered", .milliseconds(400)), ("read", .milliseconds(800)),
    ]
    package var statusOrder = StatusOrder.inOrder
    /// Pauses before a webhook that was not answered with 200 is posted again.
    package var retryPauses: [Duration] = [
        .milliseconds(500), .seconds(1), .seconds(2), .seconds(4), .seconds(8), .seconds(16), .seconds(32),
    ]
    /// The twin's clock.
    package var now: @Sendable () -> Timestamp

    package init(
        port: Int, phones: [MetaPhone], appSecret: Secret, accessToken: Secret, verifyToken: Secret,
        webhookURL: String?, trustRootFile: String? = nil, now: (@Sendable () -> Timestamp)? = nil
    ) {
        precondition(!phones.isEmpty, "a twin plays at least one number")
        self.port = port
        self.phones = phones
        self.appSecret = appSecret
        self.accessToken = accessToken
        self.verifyToken = verifyToken
        self.webhookURL = webhookURL
        self.trustRootFile = trustRootFile
        self.now = now ?? TwinConfiguration.systemTime
    }

    /// Who may be answered.
    package enum Window: Sendable {
        /// Those who wrote to this twin within 24 hours, as Meta does.
        case strict
        /// Also those of whom it knows nothing: it remembers only since it started.
        case lenient
    }

    package enum StatusOrder: Sendable {
        case inOrder
        /// The steps of one message in a random order, as happens on the real platform.
        case shuffled
    }
}

/// Why the twin does not run.
package enum TwinError: Error, CustomStringConvertible {
    case cannotListen(port: Int, cause: String)
    case badTrustRoot(file: String)
    case stopped

    package var description: String {
        switch self {
        case .cannotListen(let port, let cause):
            "the Meta twin cannot listen on 127.0.0.1:\(port) (\(cause)); free the port, or set SANDBOX_PORT to another"
        case .badTrustRoot(let file):
            "the certificate \(file) cannot be read as PEM; make one with `zenrent-gateway certs dev`"
        case .stopped:
            "the Meta twin has stopped"
        }
    }
}
