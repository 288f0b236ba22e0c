import Journal
import Messaging
import NIOCore

/// Carries bytes between a connection and its state machine, and does what the machine says. No policy of its own.
final class WebhookHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What every connection of a listener works with.
    struct Surroundings: Sendable {
        let limits: IngressLimits
        let verification: WebhookVerification
        let appender: any WebhookAppender
        let budget: BodyBudget
        let metrics: IngressMetrics
        let clock: @Sendable () -> Timestamp
    }

    /// Bytes of following requests that may gather while a webhook waits for the disk.
    private static let pipelinedBytesMax = 64 << 10

    private let surroundings: Surroundings
    private let loop: IngressLoop
    private var machine: WebhookRequestStateMachine
    private var buffer = ByteBuffer()
    private var context: ChannelHandlerContext?
    private var id: UInt64 = 0
    private var watched: (phase: WebhookRequestStateMachine.Phase, answered: Int)
    private var isDraining = false
    private var isReadingPaused = false
    private(set) var deadline: NIODeadline

    init(_ surroundings: Surroundings, loop: IngressLoop) {
        self.surroundings = surroundings
        self.loop = loop
        machine = WebhookRequestStateMachine(
            limits: surroundings.limits, verification: surroundings.verification, budget: surroundings.budget)
        // The first head must be there in time, the TLS handshake before it included.
        watched = (.idle, 0)
        deadline = .now() + .seconds(surroundings.limits.headSeconds)
    }

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        id = loop.add(self)
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        loop.remove(id)
        machine.closed()
        self.context = nil
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var bytes = unwrapInboundIn(data)
        if buffer.readableBytes == 0 { buffer = bytes } else { buffer.writeBuffer(&bytes) }
    }

    func channelReadComplete(context: ChannelHandlerContext) {
        advance(context)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // TLS alerts, resets: the sender's affair. Counted, not logged: a scanner could fill the log.
        surroundings.metrics.connectionFailed()
        context.close(promise: nil)
    }

    /// What became of the envelope this connection waits for.
    func journalAnswered(_ result: Result<DurabilityReceipt, JournalError>) {
        guard let context, machine.phase == .journal else { return }
        switch result {
        case .success(let receipt): perform(machine.journaled(receipt), context)
        case .failure(let error): perform(machine.refused(error), context)
        }
        advance(context)
    }

    func deadlinePassed() {
        guard let context else { return }
        switch machine.phase {
        case .head, .body:
            perform(machine.timedOut(), context)
            context.flush()
            watch()
        case .idle, .lingering: context.close(promise: nil)
        case .journal: break
        }
    }

    /// The listener is going away: answer what was asked, take nothing new.
    func drain() {
        isDraining = true
        if machine.phase == .idle { context?.close(promise: nil) }
    }

    func abort() { context?.close(promise: nil) }

    private func advance(_ context: ChannelHandlerContext) {
        while perform(machine.next(&buffer, now: surroundings.clock), context) {}
        if buffer.readableBytes == 0 {
            buffer.clear()
        } else if buffer.readerIndex > 32 << 10 {
            buffer.discardReadBytes()
        }
        context.flush()
        watch()
        pauseOrResumeReading(context)
        if isDraining, machine.phase == .idle { context.close(promise: nil) }
    }

    /// - Returns: whether the machine has more to say.
    @discardableResult
    private func perform(_ action: WebhookRequestStateMachine.Action, _ context: ChannelHandlerContext) -> Bool {
        switch action {
        case .wait: return false
        case .invite:
            var bytes = context.channel.allocator.buffer(capacity: 32)
            bytes.writeStaticString("HTTP/1.1 100 Continue\r\n\r\n")
            context.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            return true
        case .append(let envelope):
            let refusal = surroundings.appender.append(envelope, ticket: AppendTicket(id), sink: loop)
            guard let refusal else { return false }
            return perform(machine.refused(refusal), context)
        case .respond(let response, let closing, let label):
            surroundings.metrics.answered(response.status, label)
            var bytes = context.channel.allocator.buffer(capacity: 128)
            response.write(to: &bytes, date: loop.dateLine, closing: closing)
            context.write(wrapOutboundOut(bytes), promise: nil)
            if closing { endOutput(context) }
            return !closing
        }
    }

    /// The answer is the last: say so, and read on for a moment, because a connection closed with bytes unread is reset,
    /// and the reset can overtake the answer.
    private func endOutput(_ context: ChannelHandlerContext) {
        context.flush()
        context.close(mode: .output, promise: nil)
    }

    private func watch() {
        let now = (phase: machine.phase, answered: machine.answered)
        guard now != watched else { return }
        watched = now
        switch now.phase {
        case .idle: deadline = .now() + .seconds(surroundings.limits.idleSeconds)
        case .head: deadline = .now() + .seconds(surroundings.limits.headSeconds)
        case .body: deadline = .now() + .seconds(surroundings.limits.bodySeconds)
        case .journal: deadline = .distantFuture
        case .lingering: deadline = .now() + .seconds(surroundings.limits.lingerSeconds)
        }
    }

    private func pauseOrResumeReading(_ context: ChannelHandlerContext) {
        let mustPause = machine.phase == .journal && buffer.readableBytes > Self.pipelinedBytesMax
        guard mustPause != isReadingPaused else { return }
        isReadingPaused = mustPause
        context.channel.setOption(.autoRead, value: !mustPause).whenFailure { _ in }
        if !mustPause { context.read() }
    }
}
