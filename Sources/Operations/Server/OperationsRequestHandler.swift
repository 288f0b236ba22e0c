import NIOCore
import NIOHTTP1

/// Reads one request, answers it, closes the connection.
final class OperationsRequestHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private enum State {
        /// → reading, answered (the peer's bytes are no HTTP)
        case idle
        /// → answered
        case reading(HTTPRequestHead, bodyBytes: Int)
        /// Final: what still comes is dropped.
        case answered
    }

    private let pages: OperationsPages
    private let limits: OperationsServer.Limits
    private let connections: ConnectionCount
    private var state = State.idle
    private var isCounted = false
    private var deadline: Scheduled<Void>?

    init(pages: OperationsPages, limits: OperationsServer.Limits, connections: ConnectionCount) {
        self.pages = pages
        self.limits = limits
        self.connections = connections
    }

    func channelActive(context: ChannelHandlerContext) {
        guard connections.enter() else { return context.close(promise: nil) }
        isCounted = true
        let channel = context.channel
        deadline = context.eventLoop.scheduleTask(in: TimeAmount(limits.connectionLifetime)) {
            channel.close(promise: nil)
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadline?.cancel()
        if isCounted { connections.leave() }
        isCounted = false
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .idle):
            state = .reading(head, bodyBytes: 0)
        case (.body(let bytes), .reading(let head, let count)):
            let total = count + bytes.readableBytes
            state = .reading(head, bodyBytes: total)
            if total > limits.requestBodyBytesMax {
                let answer = OperationsPages.Answer(status: .payloadTooLarge, body: "no request here has a body\n")
                respond(answer, to: head, context: context)
            }
        case (.end, .reading(let head, _)):
            respond(pages.answer(to: head.method, target: head.uri), to: head, context: context)
        case (.head, .reading), (.head, .answered), (.body, .idle), (.body, .answered), (.end, .idle),
            (.end, .answered):
            return
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        state = .answered
        context.close(promise: nil)
    }

    private func respond(_ answer: OperationsPages.Answer, to head: HTTPRequestHead, context: ChannelHandlerContext) {
        state = .answered
        var headers = HTTPHeaders([
            ("Content-Type", answer.contentType),
            ("Content-Length", String(answer.body.utf8.count)),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
            ("Connection", "close"),
        ])
        if let allow = answer.allow { headers.add(name: "Allow", value: allow) }
        let response = HTTPResponseHead(version: .http1_1, status: answer.status, headers: headers)
        context.write(wrapOutboundOut(.head(response)), promise: nil)
        if head.method != .HEAD {
            context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(string: answer.body)))), promise: nil)
        }
        let channel = context.channel
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in channel.close(promise: nil) }
    }
}
