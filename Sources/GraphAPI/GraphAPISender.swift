import AsyncHTTPClient
import Crypto
package import Delivery
package import Messaging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Sends through Meta's Graph API, and says of every attempt whether the message was taken, was refused, or may have
/// been taken.
///
/// What decides between "refused" and "uncertain" when a call breaks is not the kind of error, but whether the body was
/// ever asked for: a request whose body never left cannot have been carried out, whatever went wrong.
package struct GraphAPISender: Delivery.Sender {
    private static let responseBytesMax = 64 * 1024

    private let configuration: GraphAPIConfiguration
    private let connections: Connections
    private let authorization: String
    /// `?appsecret_proof=…`, or nothing.
    private let query: String

    /// - Throws: `GraphAPIConfigurationError` for a trust root that cannot be read.
    package init(configuration: GraphAPIConfiguration) throws(GraphAPIConfigurationError) {
        self.configuration = configuration
        var client = HTTPClient.Configuration()
        var tls = TLSConfiguration.makeClientConfiguration()
        if let file = configuration.trustRootFile {
            guard let roots = try? NIOSSLCertificate.fromPEMFile(file), !roots.isEmpty else {
                throw .badTrustRoot(file: file)
            }
            tls.additionalTrustRoots = [.certificates(roots)]
        }
        client.tlsConfiguration = tls
        client.redirectConfiguration = .disallow
        client.timeout = .init(
            connect: .milliseconds(configuration.connectTimeoutMilliseconds),
            read: .milliseconds(configuration.callTimeoutMilliseconds))
        client.httpVersion = .http1Only
        // A failed connection is ours to judge and to repeat, not the client's.
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = configuration.connectionsMax
        // Shorter than any server keeps a connection: one that closes while we write leaves the outcome unknown.
        client.connectionPool.idleTimeout = .seconds(15)
        self.connections = Connections(client)
        self.authorization = "Bearer \(configuration.accessToken.reveal())"
        self.query =
            configuration.appSecret.map {
                "?appsecret_proof=" + Self.proof(appSecret: $0, accessToken: configuration.accessToken)
            } ?? ""
    }

    /// The proof that the caller knows the app secret: hex HMAC-SHA256 of the token, keyed by the secret.
    package static func proof(appSecret: Secret, accessToken: Secret) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let code = HMAC<SHA256>.authenticationCode(
            for: accessToken.utf8, using: SymmetricKey(data: appSecret.utf8))
        return String(decoding: code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }

    package func send(_ message: OutboundMessage) async -> SendOutcome {
        guard message.endpoint.kind == .cloud, Self.isNumber(message.endpoint.providerID) else {
            return .refused(
                code: nil,
                detail:
                    "not sent: an endpoint of kind \(message.endpoint.kind.rawValue) is not a number on Meta's Cloud API",
                retry: .never)
        }
        guard let body = try? SendRequest(message).encoded() else {
            return .refused(code: nil, detail: "not sent: the message cannot be written as JSON", retry: .never)
        }
        let redaction = Redaction(token: configuration.accessToken.reveal(), recipient: message.recipient)
        let upload = Upload(body)
        do {
            return try await call(endpoint: message.endpoint.providerID, upload).outcome(redacting: redaction)
        } catch {
            let cause = Self.shortDescription(of: error)
            return upload.hasLeft
                ? .uncertain(detail: "no answer after the request left: \(cause)")
                : .refused(code: nil, detail: "not sent: \(cause)", retry: .later)
        }
    }

    private func call(endpoint: String, _ upload: Upload) async throws -> GraphAnswer {
        var request = HTTPClientRequest(
            url: "\(configuration.baseURL)/\(configuration.version)/\(endpoint)/messages\(query)")
        request.method = .POST
        request.headers.add(name: "Authorization", value: authorization)
        request.headers.add(name: "Content-Type", value: "application/json")
        request.headers.add(name: "Accept", value: "application/json")
        request.body = .stream(upload, length: .known(Int64(upload.count)))
        let response = try await connections.client.execute(
            request, timeout: .milliseconds(configuration.callTimeoutMilliseconds))
        var body: [UInt8]?
        do {
            let buffer = try await response.body.collect(upTo: Self.responseBytesMax)
            body = Array(buffer.readableBytesView)
        } catch {
            // Cut off or too long: the status alone decides, and it never decides for "not sent" above 499.
        }
        return GraphAnswer(
            status: Int(response.status.code),
            retryAfterSeconds: response.headers.first(name: "Retry-After").flatMap { Int64($0) }.map { max($0, 0) },
            body: body)
    }

    private static func isNumber(_ id: String) -> Bool {
        (1...32).contains(id.utf8.count) && id.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Never the address with its query, and never more than one line.
    private static func shortDescription(of error: any Error) -> String {
        switch error {
        case let error as HTTPClientError: error.shortDescription
        case let error as NIOConnectionError:
            error.connectionErrors.isEmpty && (error.dnsAError != nil || error.dnsAAAAError != nil)
                ? "the host name was not found" : "no connection (\(error.connectionErrors.count) addresses tried)"
        case is NIOSSLError, is BoringSSLError, is NIOSSLExtraError: "the TLS handshake failed"
        case is CancellationError: "the call was cancelled"
        default: "\(type(of: error))"
        }
    }
}

/// The client and its connections, closed when the last copy of the sender is gone.
private final class Connections: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }
}

/// A request body that knows whether it was asked for.
private final class Upload: AsyncSequence, Sendable {
    typealias Element = ByteBuffer

    private let bytes: [UInt8]
    private let asked = Mutex(false)

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var count: Int { bytes.count }
    /// Whether any of it may have gone out.
    var hasLeft: Bool { asked.withLock { $0 } }

    func makeAsyncIterator() -> Iterator { Iterator(upload: self) }

    struct Iterator: AsyncIteratorProtocol {
        fileprivate let upload: Upload
        private var isDone = false

        fileprivate init(upload: Upload) { self.upload = upload }

        mutating func next() async -> ByteBuffer? {
            if isDone { return nil }
            isDone = true
            upload.asked.withLock { $0 = true }
            return ByteBuffer(bytes: upload.bytes)
        }
    }
}
