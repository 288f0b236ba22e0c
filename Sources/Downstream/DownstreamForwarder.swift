import AsyncHTTPClient
package import Delivery
import Messaging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Posts webhooks to another handler: the body byte for byte, the signature under its own name.
///
/// The receiver knows a repetition by `X-Zenrent-Webhook-Id`, and where the webhook came from by
/// `X-Zenrent-Webhook-Source`.
package struct DownstreamForwarder: WebhookForwarder {
    /// More of an answer is not read: its status is all that counts.
    private static let responseBytesMax = 64 << 10

    private let configuration: DownstreamConfiguration
    private let connections: Connections

    package init(configuration: DownstreamConfiguration) {
        self.configuration = configuration
        var client = HTTPClient.Configuration()
        client.tlsConfiguration = TLSConfiguration.makeClientConfiguration()
        client.redirectConfiguration = .disallow
        client.timeout = .init(
            connect: .milliseconds(configuration.connectTimeoutMilliseconds),
            read: .milliseconds(configuration.callTimeoutMilliseconds))
        client.httpVersion = .http1Only
        // A failed attempt is the dispatcher's to judge and to repeat.
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = WebhookSource.allCases.count
        // Shorter than servers usually keep a connection: one that closes while we write costs a pause.
        client.connectionPool.idleTimeout = .seconds(4)
        connections = Connections(client)
    }

    package func forward(_ webhook: ForwardedWebhook) async -> ForwardOutcome {
        var request = HTTPClientRequest(url: configuration.url.reveal())
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: configuration.userAgent)
        if !webhook.signature.isEmpty {
            let signature = String(decoding: webhook.signature, as: UTF8.self)
            request.headers.add(name: Self.signatureHeader(of: signature), value: signature)
        }
        for (name, value) in configuration.companionHeaders[webhook.source] ?? [:] {
            request.headers.add(name: name, value: value)
        }
        request.headers.add(name: "X-Zenrent-Webhook-Id", value: webhook.id)
        request.headers.add(name: "X-Zenrent-Webhook-Source", value: webhook.source.name)
        request.body = .bytes(ByteBuffer(bytes: webhook.body))
        do {
            let response = try await connections.client.execute(
                request, timeout: .milliseconds(configuration.callTimeoutMilliseconds))
            // Read to its end the connection serves again; whether that works does not change the answer.
            _ = try? await response.body.collect(upTo: Self.responseBytesMax)
            return .answered(
                status: Int(response.status.code),
                retryAfterSeconds: response.headers.first(name: "Retry-After").flatMap { Int64($0) })
        } catch {
            return .unanswered(Self.shortDescription(of: error))
        }
    }

    /// Only the value is kept. Whoever writes `sha256=` before the digits, Meta first, writes it in this header.
    private static func signatureHeader(of signature: String) -> String {
        signature.hasPrefix("sha256=") ? "X-Hub-Signature-256" : "X-Webhook-Hmac"
    }

    /// Never the address, and never more than one line.
    private static func shortDescription(of error: any Error) -> String {
        switch error {
        case let error as HTTPClientError: error.shortDescription
        case let error as NIOConnectionError:
            error.connectionErrors.isEmpty && (error.dnsAError != nil || error.dnsAAAAError != nil)
                ? "the host name was not found" : "no connection (\(error.connectionErrors.count) addresses tried)"
        case let error as IOError: error.description
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: "the TLS handshake failed"
        case is CancellationError: "the call was cancelled"
        default: "\(type(of: error))"
        }
    }
}

/// The client and its connections, closed when the last copy of the forwarder is gone.
private final class Connections: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }
}
