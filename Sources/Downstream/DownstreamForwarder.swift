package import Delivery
import Messaging

/// Posts webhooks to another handler: the body byte for byte, the signature under its own name.
///
/// The receiver knows a repetition by `X-Zenrent-Webhook-Id`, and where the webhook came from by
/// `X-Zenrent-Webhook-Source`.
package struct DownstreamForwarder: Forwarder {
    private let configuration: DownstreamConfiguration
    private let client: DownstreamClient

    package init(configuration: DownstreamConfiguration) {
        self.configuration = configuration
        client = DownstreamClient(
            configuration.timing, userAgent: configuration.userAgent, connectionsMax: WebhookSource.allCases.count)
    }

    package func forward(_ webhook: ForwardedWebhook) async -> ForwardOutcome {
        var headers: [(name: String, value: String)] = []
        if !webhook.signature.isEmpty {
            let signature = WebhookSignature(stored: webhook.signature)
            headers.append((signature.header.name, String(decoding: signature.value, as: UTF8.self)))
        }
        headers += (configuration.companionHeaders[webhook.source] ?? [:]).map { ($0.key, $0.value) }
        headers.append(("X-Zenrent-Webhook-Id", webhook.id))
        headers.append(("X-Zenrent-Webhook-Source", webhook.source.name))
        return await client.post(webhook.body, to: configuration.url, headers: headers)
    }
}
