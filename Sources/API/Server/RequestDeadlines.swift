import NIOCore

/// Which part of its conversation a connection is in, and how long it may take.
///
/// Every part has a time in all, so that a caller who drips bytes gains nothing by it.
struct RequestPhases: Sendable {
    enum Phase: Hashable, Sendable {
        /// Nothing is under way; the idle timeout of the connection counts.
        case idle
        /// A request has begun, or the connection has: its headers are not complete.
        case head
        /// The headers are complete, the body is not.
        case body
        /// Requests are complete whose answers are not. What is read meanwhile does not count: reading waits for them.
        case answer
        /// The last answer was sent, and the caller may still read it.
        case linger
    }

    private var headsRead = 0
    private var endsRead = 0
    private var answersEnded = 0
    private var headHasBegun = true
    private var isOver = false
    /// Not a line of the request under way is complete: what is too long then is its target.
    private(set) var isInRequestLine = true

    /// Answers that must go before one to the request that is being read; negative where that one has its answer.
    var answersDue: Int { endsRead - answersEnded }

    var phase: Phase {
        if isOver { return .linger }
        if answersEnded < endsRead { return .answer }
        if endsRead < headsRead { return .body }
        return headHasBegun ? .head : .idle
    }

    mutating func bytesArrived(withLineEnd hasLineEnd: Bool) {
        headHasBegun = headHasBegun || endsRead == headsRead
        isInRequestLine = isInRequestLine && !hasLineEnd
    }

    mutating func headRead() {
        headsRead += 1
        headHasBegun = false
    }

    mutating func endRead() {
        endsRead += 1
        headHasBegun = false
        isInRequestLine = true
    }

    mutating func answerEnded() { answersEnded += 1 }
    mutating func lastAnswerSent() { isOver = true }
}

/// Closes a connection that takes longer than its phase allows. Belongs to the connection's event loop.
final class RequestDeadlines {
    private let channel: any Channel
    private let limits: APILimits
    private var timer: Scheduled<Void>?
    private(set) var phases = RequestPhases()

    init(channel: any Channel, limits: APILimits) {
        self.channel = channel
        self.limits = limits
        schedule()
    }

    /// Notes what happened, and starts the time of the phase that follows from it.
    func note(_ event: (inout RequestPhases) -> Void, restarts: Bool = false) {
        let before = phases.phase
        event(&phases)
        if restarts || phases.phase != before { schedule() }
    }

    func stop() {
        timer?.cancel()
        timer = nil
    }

    private func schedule() {
        stop()
        let time: TimeAmount
        switch phases.phase {
        case .idle: return
        case .head: time = limits.headTimeout
        case .body: time = limits.bodyTimeout
        case .answer: time = limits.answerTimeout
        case .linger: time = limits.lingerTimeout
        }
        timer = channel.eventLoop.scheduleTask(in: time) { [channel] in channel.close(promise: nil) }
    }
}

/// Stands before the HTTP decoder and notes that bytes come: the decoder tells only of complete heads.
final class ByteArrivals: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    let deadlines: RequestDeadlines

    init(deadlines: RequestDeadlines) { self.deadlines = deadlines }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let hasLineEnd = unwrapInboundIn(data).readableBytesView.contains(UInt8(ascii: "\n"))
        deadlines.note { $0.bytesArrived(withLineEnd: hasLineEnd) }
        context.fireChannelRead(data)
    }

    func channelInactive(context: ChannelHandlerContext) {
        deadlines.stop()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { deadlines.stop() }
}
