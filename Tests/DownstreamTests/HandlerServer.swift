import GatewayTesting
import NIOCore
import NIOHTTP1
import NIOPosix

/// A handler that webhooks are passed on to: a real server on loopback that remembers what it got.
struct HandlerServer: Sendable {
    struct Received: Sendable, Equatable {
        let headers: [String: String]
        let body: [UInt8]
        var text: String { String(decoding: body, as: UTF8.self) }
        var id: String? { headers["x-zenrent-webhook-id"] }
        var source: String? { headers["x-zenrent-webhook-source"] }
    }

    /// What it answers: a status and headers, or nothing.
    struct Answer: Sendable {
        var status = 200
        var headers: [String: String] = [:]
        var isSilent = false
    }

    /// Asked with each webhook, and how often it came under its id, from 1.
    typealias Answering = @Sendable (Received, Int) -> Answer

    let port: Int
    let received: Watched<[Received]>
    var url: String { "http://127.0.0.1:\(port)/hooks?key=k" }

    /// Serves while the body runs; then its connections are closed, too.
    @discardableResult
    static func run<Result>(
        port: Int = 0, received: Watched<[Received]> = Watched([]), answer: @escaping Answering = { _, _ in Answer() },
        _ body: (HandlerServer) async throws -> Result
    ) async throws -> Result {
        let connections = Watched<[any Channel]>([])
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                connections.change { $0.append(channel) }
                return channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(received, answer))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        let server = HandlerServer(port: channel.localAddress?.port ?? 0, received: received)
        do {
            let result = try await body(server)
            await close([channel] + connections.value)
            return result
        } catch {
            await close([channel] + connections.value)
            throw error
        }
    }

    private static func close(_ channels: [any Channel]) async {
        for channel in channels { try? await channel.close() }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let received: Watched<[Received]>
        private let answer: Answering
        private var headers: [String: String] = [:]
        private var body: [UInt8] = []

        init(_ received: Watched<[Received]>, _ answer: @escaping Answering) {
            self.received = received
            self.answer = answer
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                body = []
                headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $0 + ", " + $1 }
            case .body(let bytes): body += Array(bytes.readableBytesView)
            case .end: respond(to: Received(headers: headers, body: body), context)
            }
        }

        private func respond(to webhook: Received, _ context: ChannelHandlerContext) {
            let times = received.change { received in
                received.append(webhook)
                return received.count { $0.id == webhook.id }
            }
            let answer = answer(webhook, times)
            guard !answer.isSilent else { return }
            var head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: answer.status))
            for (name, value) in answer.headers { head.headers.add(name: name, value: value) }
            if answer.status != 204 { head.headers.add(name: "Content-Length", value: "0") }
            context.write(wrapOutboundOut(.head(head)), promise: nil)
            context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        }
    }
}
