import HTTPTypes
import NIOCore
import NIOHTTP1

/// Stands behind the HTTP decoder: answers what is not a proper request before anything acts on it, and ends the
/// connection then, for nobody knows where the next request would begin.
final class RequestGuard: ChannelDuplexHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias InboundOut = HTTPServerRequestPart
    typealias OutboundIn = HTTPServerResponsePart
    typealias OutboundOut = HTTPServerResponsePart

    private let deadlines: RequestDeadlines
    private let limits: APILimits
    private var state = State.open
    /// The answer of the request that is being read has begun.
    private var answerHasBegun = false

    private enum State {
        /// To `ending` by the first improper request.
        case open
        /// Nothing more is read; to `over` once the answers before this one are out.
        case ending(Problem)
        /// Our side is closed.
        case over
    }

    init(deadlines: RequestDeadlines, limits: APILimits) {
        self.deadlines = deadlines
        self.limits = limits
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .open = state else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            deadlines.note { $0.headRead() }
            if let problem = objection(to: head) { return end(context, with: problem) }
            if head.headers.contains(name: "expect"), deadlines.phases.answersDue == 0 {
                let head = HTTPResponseHead(version: head.version, status: .continue)
                context.writeAndFlush(wrapOutboundOut(.head(head)), promise: nil)
            }
        case .body: break
        case .end: deadlines.note { $0.endRead() }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if case .over = state {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        context.write(data, promise: promise)
        switch unwrapOutboundIn(data) {
        case .head: answerHasBegun = true
        case .body: break
        case .end:
            answerHasBegun = false
            deadlines.note({ $0.answerEnded() }, restarts: true)
            if case .ending(let problem) = state { end(context, with: problem) }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? HTTPParserError, case .open = state { end(context, with: problem(error)) }
        // On to whoever reads the body: it must not take a part for the whole.
        context.fireErrorCaught(error)
    }

    private func objection(to head: HTTPRequestHead) -> Problem? {
        if head.uri.utf8.count > limits.targetBytesMax { return targetTooLong }
        if head.uri.utf8.first != UInt8(ascii: "/") {
            return Problem(
                .malformedRequest, "The request target is not a path.", next: "Send a path that begins with /.")
        }
        if head.headers["host"].count != 1 {
            return Problem(.malformedRequest, "The request has not exactly one Host header.", next: "Send one.")
        }
        if head.headers["expect"].contains(where: { $0.lowercased() != "100-continue" }) {
            return Problem(
                .expectationFailed, "The request has an Expect header other than 100-continue.", next: "Leave it out.")
        }
        return nil
    }

    private var targetTooLong: Problem {
        Problem(
            .targetTooLong, "The request target has more than \(limits.targetBytesMax) bytes.",
            next: "Send only limit and cursor in the query.")
    }

    private func problem(_ error: HTTPParserError) -> Problem {
        if error == .headerOverflow {
            if deadlines.phases.isInRequestLine { return targetTooLong }
            return Problem(.headersTooLarge, "The headers are larger or more than is allowed.", next: "Send fewer.")
        }
        return Problem(.malformedRequest, "The request cannot be read as HTTP/1.1.", next: "Use another HTTP client.")
    }

    /// Answers, in its turn, and closes: first our side, so that the caller can read the answer, then all of it.
    private func end(_ context: ChannelHandlerContext, with problem: Problem) {
        state = .ending(problem)
        guard deadlines.phases.answersDue <= 0 else { return }
        guard deadlines.phases.answersDue == 0, !answerHasBegun else {
            // The request has its answer, or a part of it: there is no place for another.
            state = .over
            return context.close(promise: nil)
        }
        state = .over
        let body = problem.document.bytes
        var headers = HTTPHeaders([("content-type", Problem.mediaType), ("content-length", "\(body.count)")])
        headers.add(name: "connection", value: "close")
        for (name, value) in AccessMiddleware.securityHeaders { headers.add(name: name.rawName, value: value) }
        let status = HTTPResponseStatus(
            statusCode: problem.code.status.code, reasonPhrase: problem.code.status.reasonPhrase)
        let head = HTTPResponseHead(version: .http1_1, status: status, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        deadlines.note { $0.lastAnswerSent() }
        context.close(mode: .output, promise: nil)
    }
}
