import AsyncHTTPClient
import Delivery
import Messaging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Posts JSON to other handlers, and says how it ended. Its connections are closed when its last copy is gone.
struct DownstreamClient: Sendable {
    /// More of an answer is not read: its status is all that counts.
    private static let responseBytesMax = 64 << 10

    private let timing: DownstreamTiming
    private let userAgent: String
    private let connections: Connections

    /// - Parameter connectionsMax: kept open to one host.
    init(_ timing: DownstreamTiming, userAgent: String, connectionsMax: Int) {
        self.timing = timing
        self.userAgent = userAgent
        var client = HTTPClient.Configuration()
        client.tlsConfiguration = TLSConfiguration.makeClientConfiguration()
        client.redirectConfiguration = .disallow
        client.timeout = .init(
            connect: .milliseconds(timing.connectMilliseconds), read: .milliseconds(timing.callMilliseconds))
        client.httpVersion = .http1Only
        // A failed attempt is the dispatcher's to judge and to repeat.
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = connectionsMax
        // Shorter than servers usually keep a connection: one that closes while we write costs a pause.
        client.connectionPool.idleTimeout = .seconds(4)
        connections = Connections(client)
    }

    /// One attempt.
    func post(_ body: [UInt8], to url: Secret, headers: [(name: String, value: String)]) async -> ForwardOutcome {
        var request = HTTPClientRequest(url: url.reveal())
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "User-Agent", value: userAgent)
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        do {
            let response = try await connections.client.execute(
                request, timeout: .milliseconds(timing.callMilliseconds))
            // Read to its end the connection serves again; whether that works does not change the answer.
            _ = try? await response.body.collect(upTo: Self.responseBytesMax)
            return .answered(
                status: Int(response.status.code),
                retryAfterSeconds: response.headers.first(name: "Retry-After").flatMap { Int64($0) })
        } catch {
            return .unanswered(Self.shortDescription(of: error))
        }
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

/// The client and its connections, closed when the last copy is gone.
private final class Connections: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }
}
