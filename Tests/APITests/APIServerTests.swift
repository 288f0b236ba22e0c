import AsyncHTTPClient
import Conversations
import Crypto
import GatewayTesting
import Hummingbird
import HummingbirdTesting
import Logging
import Messaging
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import ServiceLifecycle
import Synchronization
import Testing

@testable import API

@Suite(.timeLimit(.minutes(1))) struct APIServerTests {
    /// Runs a server over TLS while the body runs, then shuts it down gracefully and waits until it has returned.
    private func withServer<Result: Sendable>(
        _ fixture: APIFixture = APIFixture(), tls: @escaping TLSProvider,
        _ body: @Sendable (_ port: Int, _ group: ServiceGroup) async throws -> Result
    ) async throws -> Result {
        let (ports, listening) = AsyncStream<Int>.makeStream()
        let server = APIServer(
            configuration: APIConfiguration(host: "127.0.0.1", port: 0, limits: fixture.limits), store: fixture.store,
            explainer: fixture.explainer, rules: fixture.rules, verifier: fixture.verifier, tls: tls,
            signatureTemplate: { .standard }, clock: { APIFixture.now },
            logger: fixture.logger, onListening: { listening.yield($0) })
        let group = ServiceGroup(services: [server], logger: fixture.logger)
        return try await withThrowingTaskGroup(of: Void.self) { tasks in
            tasks.addTask { try await group.run() }
            guard let port = await ports.first(where: { _ in true }) else { throw CancellationError() }
            let result = try await body(port, group)
            await group.triggerGracefulShutdown()
            try await tasks.waitForAll()
            return result
        }
    }

    private static func get(_ client: HTTPClient, _ port: Int, keepAlive: Bool = true) async throws -> UInt {
        var request = HTTPClientRequest(url: "https://localhost:\(port)/api/conversations")
        request.headers.add(name: "authorization", value: "Bearer \(APIFixture.token())")
        if !keepAlive { request.headers.add(name: "connection", value: "close") }
        let response = try await client.execute(request, timeout: .seconds(20))
        _ = try await response.body.collect(upTo: 1 << 20)
        return UInt(response.status.code)
    }

    private static func client(trusting certificate: TestCertificate) -> HTTPClient {
        var configuration = HTTPClient.Configuration(tlsConfiguration: certificate.trust)
        configuration.connectionPool.retryConnectionEstablishment = false
        return HTTPClient(eventLoopGroup: .singletonMultiThreadedEventLoopGroup, configuration: configuration)
    }

    @Test("A landlord is served over TLS")
    func served() async throws {
        let certificate = try TestCertificate(name: "one")
        let context = certificate.context
        let client = Self.client(trusting: certificate)
        let status = try await withServer(tls: { context }) { port, _ in try await Self.get(client, port) }
        #expect(status == 200)
        try await client.shutdown()
    }

    @Test("A new certificate is shown to new connections, and open ones go on with the old")
    func certificateSwap() async throws {
        let old = try TestCertificate(name: "old")
        let new = try TestCertificate(name: "new")
        let current = Mutex(old.context)
        let (oldClient, newClient) = (Self.client(trusting: old), Self.client(trusting: new))
        let newContext = new.context
        try await withServer(tls: { current.withLock { $0 } }) { port, _ in
            let before = try await Self.get(oldClient, port)
            await #expect(throws: (any Error).self) { try await Self.get(newClient, port) }
            current.withLock { $0 = newContext }
            let after = try await Self.get(newClient, port)
            let onOpenConnection = try await Self.get(oldClient, port)
            #expect([before, after, onOpenConnection] == [200, 200, 200])
        }
        try await oldClient.shutdown()
        try await newClient.shutdown()
    }

    @Test("On shutdown a request in flight is answered before the server returns")
    func drain() async throws {
        let certificate = try TestCertificate(name: "one")
        let context = certificate.context
        let client = Self.client(trusting: certificate)
        let (entered, entering) = AsyncStream<Void>.makeStream()
        let (release, releasing) = AsyncStream<Void>.makeStream()
        let fixture = APIFixture(beforeReply: {
            entering.finish()
            for await _ in release {}
        })
        let status = try await withServer(fixture, tls: { context }) { port, group in
            async let status = Self.post(client, port)
            for await _ in entered {}
            await group.triggerGracefulShutdown()
            releasing.finish()
            return try await status
        }
        #expect(status == 202)
        #expect(fixture.store.replies.count == 1)
        try await client.shutdown()
    }

    private static func post(_ client: HTTPClient, _ port: Int) async throws -> UInt {
        var request = HTTPClientRequest(
            url: "https://localhost:\(port)/api/conversations/\(APIFixture.adasThread)/messages")
        request.method = .POST
        request.headers.add(name: "authorization", value: "Bearer \(APIFixture.token())")
        request.headers.add(name: "content-type", value: "application/json")
        request.body = .bytes(ByteBuffer(string: #"{"text":"Hello"}"#))
        return UInt(try await client.execute(request, timeout: .seconds(20)).status.code)
    }

    @Test("The keys behind a JWKS address are fetched over HTTP")
    func jwksOverHTTP() async throws {
        let key = P256.Signing.PrivateKey()
        let set: JSON = ["keys": [PublishedKeysTests.jwk(key, id: "k1")]]
        let router = Router()
        router.get("jwks.json") { _, _ in Response(json: set) }
        let logger = APIFixture().logger
        let token = try HandmadeToken.es256(key: key, id: "k1", claims: HandmadeToken.claims())
        let verifier = try await Application(router: router, logger: logger).test(.live) { client in
            let url = "http://localhost:\(client.port ?? 0)/jwks.json"
            let keys = PublishedKeys(url: url, client: .shared, clock: { APIFixture.now }, logger: logger)
            let verifier = TokenVerifier(expectations: .init(secret: nil), publishedKeys: keys)
            _ = try await verifier.verify(token, at: APIFixture.now)
            return verifier
        }
        // The address is gone with its server; the key is not.
        #expect(try await verifier.verify(token, at: APIFixture.now).userID == APIFixture.ada)
    }

    @Test("An address that gives no keys is named in the log with what it gave")
    func jwksWithoutKeys() async throws {
        let certificate = try TestCertificate(name: "one")
        let context = certificate.context
        let client = Self.client(trusting: certificate)
        let fixture = APIFixture()
        try await withServer(fixture, tls: { context }) { port, _ in
            // The address answers, but not with keys: 404 here, a JSON document without keys there.
            for path in ["/nothing", "/api/openapi.json"] {
                let keys = PublishedKeys(
                    url: "https://localhost:\(port)\(path)", client: client, clock: { APIFixture.now },
                    logger: fixture.logger)
                guard case .unavailable = await keys.key("k") else { return #expect(Bool(false)) }
            }
        }
        #expect(fixture.log.all.contains { $0.contains("HTTP status 404") })
        #expect(fixture.log.all.contains { $0.contains("no array named keys") })
        try await client.shutdown()
    }
}
