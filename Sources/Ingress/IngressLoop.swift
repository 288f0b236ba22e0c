import Journal
import Messaging
import NIOCore

/// What all connections of one event loop share: their register, a clock for their deadlines, the `Date` line.
///
/// Everything but `appended` is called on the loop.
final class IngressLoop: AppendSink, @unchecked Sendable {
    let eventLoop: any EventLoop
    private var handlers: [UInt64: WebhookHandler] = [:]
    private var lastID: UInt64 = 0
    private(set) var dateLine = ""
    private var sweep: RepeatedTask?
    private var drained: EventLoopPromise<Void>?

    /// How late a deadline may be noticed.
    private static let sweepInterval = TimeAmount.milliseconds(250)

    init(eventLoop: any EventLoop, clock: @escaping @Sendable () -> Timestamp) {
        self.eventLoop = eventLoop
        eventLoop.execute { [self] in
            dateLine = HTTPDate.line(clock())
            sweep = eventLoop.scheduleRepeatedTask(initialDelay: Self.sweepInterval, delay: Self.sweepInterval) { _ in
                self.dateLine = HTTPDate.line(clock())
                self.closeOverdue(.now())
            }
        }
    }

    func add(_ handler: WebhookHandler) -> UInt64 {
        eventLoop.assertInEventLoop()
        lastID += 1
        handlers[lastID] = handler
        return lastID
    }

    func remove(_ id: UInt64) {
        eventLoop.assertInEventLoop()
        handlers[id] = nil
        if handlers.isEmpty { drained?.succeed() }
    }

    /// One hop for a whole group of envelopes.
    func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>) {
        eventLoop.execute { [self] in
            for ticket in tickets { handlers[ticket.value]?.journalAnswered(result) }
        }
    }

    /// Ends idle connections now, the others after the answer they wait for; succeeds when none is left.
    func drain() -> EventLoopFuture<Void> {
        eventLoop.flatSubmit { [self] in
            let promise = drained ?? eventLoop.makePromise(of: Void.self)
            drained = promise
            if handlers.isEmpty { promise.succeed() }
            for handler in handlers.values { handler.drain() }
            return promise.futureResult
        }
    }

    func closeAll() -> EventLoopFuture<Void> {
        eventLoop.submit { [self] in
            sweep?.cancel()
            for handler in handlers.values { handler.abort() }
        }
    }

    private func closeOverdue(_ now: NIODeadline) {
        for handler in handlers.values where handler.deadline < now { handler.deadlinePassed() }
    }
}
