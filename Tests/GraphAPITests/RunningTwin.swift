import AsyncHTTPClient
import Foundation
import GraphAPI
import Hummingbird
import Logging
import Messaging
import NIOCore
import NIOHTTP1
import Sandbox
import ServiceLifecycle

let appSecret = Secret("zr-demo-app-secret")!
let accessToken = Secret("EAAtoken")!
let samplePhone = MetaPhone(
    accountID: "102290129340398", phoneNumberID: "106540352242922", displayNumber: "15550783881")

/// Runs a twin for as long as the body runs.
func withTwin<Result: Sendable>(
    _ adjust: (inout TwinConfiguration) -> Void = { _ in }, _ body: (RunningTwin) async throws -> Result
) async throws -> Result {
    var configuration = TwinConfiguration(
        port: 0, phones: [samplePhone], appSecret: appSecret, accessToken: accessToken, verifyToken: Secret("verify")!,
        webhookURL: nil)
    configuration.window = .lenient
    adjust(&configuration)
    let twin = try MetaTwin(configuration: configuration)
    let run = Task { try await twin.run() }
    do {
        let result = try await body(RunningTwin(port: twin.boundPort))
        run.cancel()
        _ = await run.result
        return result
    } catch {
        run.cancel()
        _ = await run.result
        throw error
    }
}

struct RunningTwin {
    let port: Int

    func sender(
        token: Secret = accessToken, secret: Secret? = appSecret, callTimeoutMilliseconds: Int64 = 30_000
    ) throws -> GraphAPISender {
        try GraphAPISender(
            configuration: GraphAPIConfiguration(
                baseURL: "http://127.0.0.1:\(port)", version: "v24.0", accessToken: token, appSecret: secret,
                callTimeoutMilliseconds: callTimeoutMilliseconds))
    }

    /// Lends a sender.
    func sending<Result>(
        token: Secret = accessToken, secret: Secret? = appSecret, callTimeoutMilliseconds: Int64 = 30_000,
        _ body: (GraphAPISender) async throws -> Result
    ) async throws -> Result {
        try await body(sender(token: token, secret: secret, callTimeoutMilliseconds: callTimeoutMilliseconds))
    }

    /// - Parameter orUnreachable: a twin without a gateway cannot deliver, but notes who wrote.
    func post(_ path: String, _ json: String, orUnreachable: Bool = false) async throws {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/twin/\(path)")
        request.method = .POST
        request.body = .bytes(ByteBuffer(string: json))
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let answer = try await response.body.collect(upTo: 1 << 20)
        if orUnreachable, response.status == .badGateway { return }
        guard response.status == .ok else { throw Unexpected(text: String(buffer: answer)) }
    }

    /// The messages the twin took.
    func messages() async throws -> [[String: Any]] {
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/twin/messages")
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let body = try await response.body.collect(upTo: 1 << 22)
        let value = try JSONSerialization.jsonObject(with: Data(body.readableBytesView))
        return try (value as? [[String: Any]]) ?? { throw Unexpected(text: "not a list") }()
    }
}

struct Unexpected: Error { let text: String }

/// A server that gives every request the same answer.
func withServer<Result>(
    status: Int, headers: [String: String] = [:], body: String, _ use: (Int) async throws -> Result
) async throws -> Result {
    let (ports, port) = AsyncStream.makeStream(of: Int.self)
    let router = Router()
    router.post("**") { request, _ in
        _ = try await request.body.collect(upTo: 1 << 20)
        var answer = Response(status: .init(code: status), body: .init(byteBuffer: ByteBuffer(string: body)))
        for (name, value) in headers { answer.headers[.init(name)!] = value }
        return answer
    }
    let application = Application(
        router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
        onServerRunning: { port.yield($0.localAddress?.port ?? 0) },
        logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    let group = ServiceGroup(services: [application], logger: application.logger)
    let run = Task { try await group.run() }
    var iterator = ports.makeAsyncIterator()
    let bound = await iterator.next() ?? 0
    do {
        let result = try await use(bound)
        await group.triggerGracefulShutdown()
        try await run.value
        return result
    } catch {
        await group.triggerGracefulShutdown()
        throw error
    }
}
