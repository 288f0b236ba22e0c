import GatewayTesting
import HTTPTypes
import Hummingbird
import Logging
import NIOCore
import ServiceLifecycle

/// A handler that webhooks are passed on to: a real server on loopback that remembers what it got.
struct HandlerServer: Sendable {
    struct Received: Sendable, Equatable {
        let headers: [String: String]
        let body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
        var id: String? { headers["x-zenrent-webhook-id"] }
        var source: String? { headers["x-zenrent-webhook-source"] }
    }

    /// What it answers: a status and headers, or no answer for as long as it lives.
    struct Answer: Sendable {
        var status = 200
        var headers: [String: String] = [:]
        var isSilent = false
    }

    let port: Int
    let received: Watched<[Received]>
    var url: String { "http://127.0.0.1:\(port)/hooks?key=k" }

    /// Serves while the body runs.
    /// - Parameter answer: asked with each webhook, and how often it came under its id, from 1.
    @discardableResult
    static func run<Result>(
        port: Int = 0, received: Watched<[Received]> = Watched([]),
        answer: @escaping @Sendable (Received, Int) async -> Answer = { _, _ in Answer() },
        _ body: (HandlerServer) async throws -> Result
    ) async throws -> Result {
        let router = Router()
        router.post("/hooks") { request, _ in
            let bytes = try await request.body.collect(upTo: 8 << 20)
            let webhook = Received(
                headers: Dictionary(
                    request.headers.map { ($0.name.canonicalName, $0.value) }, uniquingKeysWith: { $0 + ", " + $1 }),
                body: Array(bytes.readableBytesView))
            let times = received.change { received in
                received.append(webhook)
                return received.count { $0.id == webhook.id }
            }
            let answer = await answer(webhook, times)
            if answer.isSilent { try await Task.sleep(for: .seconds(600)) }
            var headers = HTTPFields()
            for (name, value) in answer.headers { headers[HTTPField.Name(name)!] = value }
            return Response(status: .init(code: answer.status), headers: headers)
        }
        router.post("/elsewhere") { _, _ in
            received.change { $0.append(Received(headers: ["elsewhere": ""], body: [])) }
            return HTTPResponse.Status.ok
        }
        let bound = Watched(0)
        var logger = Logger(label: "handler")
        logger.logLevel = .critical
        let application = Application(
            router: router, configuration: .init(address: .hostname("127.0.0.1", port: port)),
            onServerRunning: { channel in bound.change { $0 = channel.localAddress?.port ?? -1 } }, logger: logger)
        let service = Task { try await application.run() }
        await bound.until { $0 != 0 }
        do {
            let result = try await body(HandlerServer(port: bound.value, received: received))
            service.cancel()
            _ = await service.result
            return result
        } catch {
            service.cancel()
            _ = await service.result
            throw error
        }
    }
}
