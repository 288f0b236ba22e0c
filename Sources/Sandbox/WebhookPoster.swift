import AsyncHTTPClient
import Messaging
import NIOCore
import NIOHTTP1
import NIOSSL

/// How the gateway answered one POST.
struct PostResult: Sendable {
    /// `nil` when there was no answer.
    let status: Int?
    let error: String?

    var isAccepted: Bool { status == 200 }
}

/// Signs webhooks and posts them to the gateway, as Meta and session servers do: again and again, ever slower, until it
/// is answered with 200.
struct WebhookPoster: Sendable {
    /// Where it posts to, if there is a gateway.
    let url: String?
    private let sign: @Sendable ([UInt8]) -> [(name: String, value: String)]
    private let pauses: [Duration]
    private let memory: TwinMemory
    private let connections: Connections

    /// Posts what Meta sends.
    init(_ configuration: TwinConfiguration, memory: TwinMemory) throws(TwinError) {
        let secret = configuration.appSecret
        try self.init(configuration, url: configuration.webhookURL, memory: memory) { body in
            [
                ("User-Agent", "facebookexternalua"),
                ("X-Hub-Signature-256", MetaPayloads.signature(of: body, secret: secret)),
            ]
        }
    }

    /// Posts what a session server sends.
    init(_ configuration: TwinConfiguration, session: TwinSession, memory: TwinMemory) throws(TwinError) {
        try self.init(configuration, url: session.webhookURL, memory: memory) { body in
            [
                ("User-Agent", "WAHA"),
                (
                    "X-Webhook-Hmac",
                    VPSPayloads.signature(of: body, secret: session.secret, dialect: session.dialect)
                ), ("X-Webhook-Hmac-Algorithm", session.dialect == .waha ? "sha512" : "sha256"),
            ]
        }
    }

    private init(
        _ configuration: TwinConfiguration, url: String?, memory: TwinMemory,
        sign: @escaping @Sendable ([UInt8]) -> [(name: String, value: String)]
    ) throws(TwinError) {
        var client = HTTPClient.Configuration()
        if let file = configuration.trustRootFile {
            guard let roots = try? NIOSSLCertificate.fromPEMFile(file), !roots.isEmpty else {
                throw .badTrustRoot(file: file)
            }
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.additionalTrustRoots = [.certificates(roots)]
            client.tlsConfiguration = tls
        }
        client.redirectConfiguration = .disallow
        client.httpVersion = .http1Only
        client.timeout = .init(connect: .seconds(3), read: .seconds(20))
        client.connectionPool.retryConnectionEstablishment = false
        client.connectionPool.concurrentHTTP1ConnectionsPerHostSoftLimit = 64
        self.connections = Connections(client)
        self.url = url
        self.sign = sign
        self.pauses = configuration.retryPauses
        self.memory = memory
    }

    /// One attempt.
    func post(_ body: [UInt8]) async -> PostResult {
        guard let url else {
            return PostResult(status: nil, error: "the twin was started without a gateway to post to")
        }
        memory.count(\.webhooksPosted)
        var request = HTTPClientRequest(url: url)
        request.method = .POST
        request.headers.add(name: "Content-Type", value: "application/json")
        for header in sign(body) { request.headers.add(name: header.name, value: header.value) }
        request.body = .bytes(ByteBuffer(bytes: body))
        return await result(of: request)
    }

    /// The attempts after the first, with their pauses. To be run in the background.
    func repeatUntilAccepted(_ body: [UInt8]) async {
        for pause in pauses {
            guard (try? await Task.sleep(for: pause)) != nil else { return }
            memory.count(\.webhooksRetried)
            if await post(body).isAccepted { return }
        }
        memory.count(\.webhooksLost)
    }

    /// First attempt and, if need be, all the others.
    func postUntilAccepted(_ body: [UInt8]) async {
        if await post(body).isAccepted { return }
        guard url != nil else { return }
        await repeatUntilAccepted(body)
    }

    /// The GET by which Meta checks a webhook address.
    /// - Returns: the answer, and whether it is the challenge and nothing else.
    func handshake(verifyToken: String, challenge: String) async -> (result: PostResult, isEchoed: Bool) {
        guard let url else { return (PostResult(status: nil, error: "the twin was started without a gateway"), false) }
        let token = verifyToken.utf8.map { byte -> String in
            let isPlain = (0x30...0x39).contains(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
            return isPlain ? String(UnicodeScalar(byte)) : "%" + hexadecimal([byte]).uppercased()
        }
        let request = HTTPClientRequest(
            url: "\(url)?hub.mode=subscribe&hub.challenge=\(challenge)&hub.verify_token=\(token.joined())")
        do {
            let response = try await connections.client.execute(request, timeout: .seconds(20))
            let body = try await response.body.collect(upTo: 4096)
            let isEchoed = Array(body.readableBytesView) == Array(challenge.utf8)
            return (PostResult(status: Int(response.status.code), error: nil), isEchoed && response.status == .ok)
        } catch {
            return (PostResult(status: nil, error: Self.describe(error)), false)
        }
    }

    private func result(of request: HTTPClientRequest) async -> PostResult {
        do {
            let response = try await connections.client.execute(request, timeout: .seconds(20))
            for try await _ in response.body {}
            return PostResult(status: Int(response.status.code), error: nil)
        } catch {
            return PostResult(status: nil, error: Self.describe(error))
        }
    }

    private static func describe(_ error: any Error) -> String {
        (error as? HTTPClientError)?.shortDescription ?? "no connection: \(type(of: error))"
    }
}

/// The client and its connections, closed when the last copy of the poster is gone.
private final class Connections: Sendable {
    let client: HTTPClient

    init(_ configuration: HTTPClient.Configuration) {
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }
}
