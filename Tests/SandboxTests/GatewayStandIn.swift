import AsyncHTTPClient
import Crypto
import Foundation
import Hummingbird
import Logging
import Messaging
import NIOCore
import NIOHTTP1
import Sandbox
import ServiceLifecycle
import Synchronization

let appSecret = Secret("zr-demo-app-secret")!
let accessToken = Secret("EAAtoken")!
let verifyToken = Secret("verify me/+&")!
let samplePhone = MetaPhone(
    accountID: "102290129340398", phoneNumberID: "106540352242922", displayNumber: "15550783881")

/// A small server that stands for the gateway: keeps what it is posted, and answers as it is told.
final class GatewayStandIn: Sendable {
    struct Post: Sendable {
        let signature: String?
        /// `X-Webhook-Hmac` and what it says of its algorithm.
        var hmac: String?
        var hmacAlgorithm: String?
        let contentType: String?
        let body: [UInt8]

        var json: Any { (try? JSONSerialization.jsonObject(with: Data(body))) ?? NSNull() }
    }

    private struct State {
        var posts: [Post] = []
        var answers: [Int] = []
        var waiting: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }

    private let state = Mutex(State())
    private let verifyToken: String

    init(verifyToken: String) { self.verifyToken = verifyToken }

    var posts: [Post] { state.withLock { $0.posts } }

    /// The next posts are answered so, the ones after them with 200.
    func answer(_ statuses: [Int]) { state.withLock { $0.answers = statuses } }

    func untilPosted(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.posts.count >= count { return true }
                state.waiting.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    /// Runs while the body runs.
    func running<Result>(_ body: (_ url: String) async throws -> Result) async throws -> Result {
        let (ports, port) = AsyncStream.makeStream(of: Int.self)
        let router = Router()
        router.post("api/webhooks/meta") { request, _ in try await self.take(request) }
        router.post("api/webhooks/vps") { request, _ in try await self.take(request) }
        router.get("api/webhooks/meta") { request, _ in self.shakeHands(request) }
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: 0)),
            onServerRunning: { port.yield($0.localAddress?.port ?? 0) },
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let group = ServiceGroup(services: [application], logger: application.logger)
        let run = Task { try await group.run() }
        var iterator = ports.makeAsyncIterator()
        let bound = await iterator.next() ?? 0
        do {
            let result = try await body("http://127.0.0.1:\(bound)/api/webhooks/meta")
            await group.triggerGracefulShutdown()
            try await run.value
            return result
        } catch {
            await group.triggerGracefulShutdown()
            throw error
        }
    }

    private func take(_ request: Request) async throws -> Response {
        let body = try await request.body.collect(upTo: 8 << 20)
        let post = Post(
            signature: request.headers[.init("X-Hub-Signature-256")!],
            hmac: request.headers[.init("X-Webhook-Hmac")!],
            hmacAlgorithm: request.headers[.init("X-Webhook-Hmac-Algorithm")!],
            contentType: request.headers[.contentType],
            body: Array(body.readableBytesView))
        let (status, ready) = state.withLock { state in
            state.posts.append(post)
            let count = state.posts.count
            defer { state.waiting.removeAll { $0.count <= count } }
            let status = state.answers.isEmpty ? 200 : state.answers.removeFirst()
            return (status, state.waiting.filter { $0.count <= count }.map(\.continuation))
        }
        for continuation in ready { continuation.resume() }
        return Response(status: .init(code: status))
    }

    private func shakeHands(_ request: Request) -> Response {
        let query = request.uri.queryParameters
        guard query["hub.mode"] == "subscribe", query["hub.verify_token"] == verifyToken[...] else {
            return Response(status: .forbidden)
        }
        return Response(
            status: .ok, body: .init(byteBuffer: ByteBuffer(string: String(query["hub.challenge"] ?? ""))))
    }
}

/// A twin with a gateway beside it.
struct Stage: Sendable {
    let gateway: GatewayStandIn
    let port: Int

    @discardableResult
    static func run<Result: Sendable>(
        _ adjust: (inout TwinConfiguration) -> Void = { _ in }, _ body: (Stage) async throws -> Result
    ) async throws -> Result {
        let gateway = GatewayStandIn(verifyToken: verifyToken.reveal())
        return try await gateway.running { url in
            var configuration = TwinConfiguration(
                port: 0, phones: [samplePhone], appSecret: appSecret, accessToken: accessToken,
                verifyToken: verifyToken, webhookURL: url)
            configuration.statusDelays = ["sent", "delivered", "read"].map { ($0, .zero) }
            configuration.retryPauses = [.zero, .zero, .zero]
            adjust(&configuration)
            let twin = try MetaTwin(configuration: configuration)
            let run = Task { try await twin.run() }
            do {
                let result = try await body(Stage(gateway: gateway, port: twin.boundPort))
                run.cancel()
                _ = await run.result
                return result
            } catch {
                run.cancel()
                _ = await run.result
                throw error
            }
        }
    }

    struct Answer {
        let status: Int
        let json: Any

        subscript(_ key: String) -> Any? { (json as? [String: Any])?[key] }
        subscript(string key: String) -> String { self[key] as? String ?? "" }
        subscript(number key: String) -> Int { self[key] as? Int ?? -1 }
    }

    func call(
        _ method: HTTPMethod = .POST, _ path: String, _ body: String = "", headers: [String: String] = [:]
    ) async throws -> Answer {
        var request = HTTPClientRequest(url: "http://127.0.0.1:\(port)\(path)")
        request.method = method
        for (name, value) in headers { request.headers.add(name: name, value: value) }
        if method == .POST { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await HTTPClient.shared.execute(request, timeout: .seconds(30))
        let answer = try await response.body.collect(upTo: 1 << 24)
        let json = try? JSONSerialization.jsonObject(with: Data(answer.readableBytesView), options: .fragmentsAllowed)
        return Answer(status: Int(response.status.code), json: json ?? NSNull())
    }

    /// A send through the Graph side, with the right token and proof.
    func graph(
        _ body: String, version: String = "v24.0", object: String = samplePhone.phoneNumberID
    ) async throws -> Answer {
        // openssl: printf EAAtoken | openssl dgst -sha256 -hmac zr-demo-app-secret
        let proof = "d152a755b0dba4d955375d3f680b75a0d3046e0dd4c44e01b2a1b391ed6454e8"
        return try await call(
            .POST, "/\(version)/\(object)/messages?appsecret_proof=\(proof)", body,
            headers: ["Authorization": "Bearer EAAtoken"])
    }

    /// A text that the twin takes as it is.
    static func text(_ text: String = "Hello", to: String = "+447911123456") -> String {
        #"{"messaging_product":"whatsapp","to":"\#(to)","type":"text","text":{"body":"\#(text)"},"#
            + #""biz_opaque_callback_data":"ref-1"}"#
    }
}

/// Walks into parsed JSON: names and positions.
func dig(_ value: Any?, _ path: Any...) -> Any? {
    path.reduce(value) { value, step in
        switch step {
        case let name as String: (value as? [String: Any])?[name]
        case let index as Int: (value as? [Any]).flatMap { $0.indices.contains(index) ? $0[index] : nil }
        default: nil
        }
    }
}

/// Checked with the library's own comparison, not with the code that signed.
func isSigned(_ post: GatewayStandIn.Post) -> Bool {
    guard let header = post.signature, header.hasPrefix("sha256="), header.utf8.count == 71 else { return false }
    let digits = Array(header.utf8.dropFirst(7))
    let code = stride(from: 0, to: 64, by: 2).compactMap {
        UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
    }
    return HMAC<SHA256>.isValidAuthenticationCode(
        code, authenticating: Data(post.body), using: SymmetricKey(data: Data(appSecret.utf8)))
}
