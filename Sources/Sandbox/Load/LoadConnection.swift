import NIOCore
import NIOTLS

/// One connection of a load: sends a request, waits for its answer. Used on the run's event loop alone.
final class LoadConnection: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    let index: Int
    /// Succeeds after the TLS handshake.
    let opened: EventLoopPromise<Void>
    private let run: LoadRun
    private var context: ChannelHandlerContext?
    private var buffer = ByteBuffer()
    private var parser = AnswerParser()

    init(index: Int, run: LoadRun, opened: EventLoopPromise<Void>) {
        self.index = index
        self.run = run
        self.opened = opened
    }

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        opened.fail(ChannelError.eof)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { opened.succeed() }
        context.fireUserInboundEventTriggered(event)
    }

    func send(_ request: ByteBuffer) { context?.writeAndFlush(wrapOutboundOut(request), promise: nil) }

    func close() { context?.close(promise: nil) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeBuffer(&bytes) }
        do throws(AnswerParser.Failure) {
            while let answer = try parser.next(&buffer) { run.answered(self, answer) }
            // The TLS handler reads into the same storage again: held on to, it would be copied for the next answer.
            if buffer.readableBytes == 0 { buffer = ByteBuffer() }
        } catch {
            run.lost(self, because: "an answer cannot be read: \(error.reason)")
            context.close(promise: nil)
        }
    }

    func channelInactive(context: ChannelHandlerContext) { run.lost(self, because: "the server closed it") }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        opened.fail(error)
        run.lost(self, because: "\(error)")
        context.close(promise: nil)
    }
}
