import Gateway
import Messaging
import Sandbox
import Testing

/// Who posts a webhook, and how they sign it.
struct WebhookSender: Sendable, CustomTestStringConvertible {
    let path: String
    let header: String
    /// Before the digits.
    let prefix: String
    let dialect: TwinSession.Dialect

    static let meta = WebhookSender(
        path: "/api/webhooks/meta", header: "X-Hub-Signature-256", prefix: "sha256=", dialect: .sha256)

    /// Session servers, in all the ways in which they may sign.
    static let sessions = [
        session("X-Webhook-Hmac", dialect: .waha), session("X-Webhook-Hmac"), session("X-Hub-Signature-256"),
        session("X-Webhook-Hmac", prefix: "sha256="), session("X-Hub-Signature-256", prefix: "sha256="),
    ]

    private static func session(
        _ header: String, prefix: String = "", dialect: TwinSession.Dialect = .sha256
    ) -> WebhookSender {
        WebhookSender(path: "/api/webhooks/vps", header: header, prefix: prefix, dialect: dialect)
    }

    /// In lower case.
    static let headers: Set = ["x-hub-signature-256", "x-webhook-hmac"]

    var testDescription: String { "\(dialect.rawValue) \(header): \(prefix)…" }

    func signature(of body: [UInt8]) -> String {
        guard path.hasSuffix("vps") else { return MetaPayloads.signature(of: body, secret: Stage.appSecret) }
        return prefix + VPSPayloads.signature(of: body, secret: Stage.sessionSecret, dialect: dialect)
    }

    /// What a session server posts when somebody writes.
    static func event(_ key: String, from phone: String) -> [UInt8] {
        let session = TwinSession(
            name: "default", number: Development.sessionNumber, secret: Stage.sessionSecret, webhookURL: "https://x")
        return VPSPayloads(session: session).webhook(
            SessionMessage(from: phone, key: key, sentAt: Stage.now, content: .text(Discretion.bodyMark)))
    }
}
