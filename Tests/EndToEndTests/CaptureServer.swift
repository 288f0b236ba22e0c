import GatewayTesting
import NIOCore
import NIOHTTP1
import NIOPosix

/// A handler that webhooks are passed on to: remembers every request, and answers as it is told.
final class CaptureServer: Sendable {
    struct Captured: Sendable {
        let headers: [String: String]
        let body: [UInt8]
        /// What it was answered with.
        let status: Int
        var id: String { headers["x-zenrent-webhook-id"] ?? "" }
    }

    let port: Int
    private let channel: any Channel
    private let captured: Watched<[Captured]>
    private let status: Watched<Int>

    /// All requests so far, in the order in which they came.
    var requests: [Captured] { captured.value }
    var url: String { "http://127.0.0.1:\(port)/hooks" }

    func answer(with status: Int) { self.status.change { $0 = status } }
    func untilAsked(_ count: Int) async { await captured.until { $0.count >= count } }

    static func start(port: Int = 0) async throws -> CaptureServer {
        let (captured, status) = (Watched<[Captured]>([]), Watched(200))
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline()
                    try channel.pipeline.syncOperations.addHandler(Handler(captured, status))
                }
            }
            .bind(host: "127.0.0.1", port: port).get()
        return CaptureServer(channel, captured, status)
    }

    private init(_ channel: any Channel, _ captured: Watched<[Captured]>, _ status: Watched<Int>) {
        self.channel = channel
        self.captured = captured
        self.status = status
        port = channel.localAddress?.port ?? 0
    }

    deinit { channel.close(promise: nil) }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = HTTPServerRequestPart
        typealias OutboundOut = HTTPServerResponsePart

        private let captured: Watched<[Captured]>
        private let status: Watched<Int>
        private var headers: [String: String] = [:]
        private var body: [UInt8] = []

        init(_ captured: Watched<[Captured]>, _ status: Watched<Int>) {
            self.captured = captured
            self.status = status
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            switch unwrapInboundIn(data) {
            case .head(let head):
                body = []
                headers = Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $0 + ", " + $1 }
            case .body(let bytes): body += Array(bytes.readableBytesView)
            case .end:
                let status = status.value
                captured.change { [headers, body] in
                    $0.append(Captured(headers: headers, body: body, status: status))
                }
                let head = HTTPResponseHead(
                    version: .http1_1, status: .init(statusCode: status), headers: ["Content-Length": "0"])
                context.write(wrapOutboundOut(.head(head)), promise: nil)
                context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
            }
        }
    }
}
