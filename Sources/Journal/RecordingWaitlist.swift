/// Which acknowledgements wait for the database, under the policy `postgres`: durable in the journal already, not yet
/// recorded. Pure: the caller holds a lock around every call and tells the groups it gets after the lock is released.
///
/// ```
///            admit              synced                  recorded
///   refused ◀───── a webhook ─────────────▶ waiting ─────────────▶ answered with its receipt
///  (too many)                                  │ expired, closed
///                                              ▼
///                                     answered with an error; the entry stays in the journal
/// ```
/// Positions only grow, so groups wait in the order of their positions and of their deadlines alike, and it does no harm
/// that the mark of what is recorded never goes back: nothing that comes later can stand before it.
package struct RecordingWaitlist<Sink>: Sendable where Sink: Sendable {
    /// Webhooks of one sink that one sync made durable.
    package struct Group: Sendable {
        package let tickets: [AppendTicket]
        package let sink: Sink
        package let receipt: DurabilityReceipt
        /// On the caller's clock.
        package let deadline: Duration

        package init(tickets: [AppendTicket], sink: Sink, receipt: DurabilityReceipt, deadline: Duration) {
            self.tickets = tickets
            self.sink = sink
            self.receipt = receipt
            self.deadline = deadline
        }
    }

    private let limits: RecordingLimits
    private var groups: [Group] = []
    private var recorded = JournalPosition.start
    private var isClosed = false
    /// Webhooks admitted and not answered yet, those the journal still writes included.
    package private(set) var waiting = 0
    /// Somebody waited in vain, and nothing was recorded since.
    package private(set) var isStalled = false

    package init(limits: RecordingLimits) { self.limits = limits }

    /// A webhook is about to be appended; counts from here on, unless it is refused.
    package mutating func admit() -> JournalError? {
        guard !isClosed else { return Self.closedError }
        guard waiting < limits.waitingMax else {
            return JournalError(
                .tooManyUnrecorded,
                "\(waiting) webhooks wait for PostgreSQL to record them, as many as may (GATEWAY_ACK=postgres); "
                    + "the sender should retry")
        }
        waiting += 1
        return nil
    }

    /// Webhooks that were admitted are answered without this list: the journal refused them.
    package mutating func withdrawn(_ count: Int) { waiting -= count }

    package enum Admission: Hashable, Sendable {
        case waits
        /// It was recorded before we heard that it is durable: to be answered now.
        case isRecorded
        /// Nobody records any more: to be refused.
        case isTooLate
    }

    /// A group is durable.
    package mutating func synced(_ group: Group) -> Admission {
        if group.receipt.position > recorded, !isClosed {
            groups.append(group)
            return .waits
        }
        waiting -= group.tickets.count
        return group.receipt.position > recorded ? .isTooLate : .isRecorded
    }

    /// Everything up to a position is committed in the database.
    /// - Returns: the groups that have their answer now.
    package mutating func recorded(upTo position: JournalPosition) -> [Group] {
        guard position > recorded else { return [] }
        recorded = position
        isStalled = false
        return remove(groups.firstIndex { $0.receipt.position > position } ?? groups.endIndex)
    }

    /// - Returns: the groups whose time is over.
    package mutating func expired(at now: Duration) -> [Group] {
        let late = remove(groups.firstIndex { $0.deadline > now } ?? groups.endIndex)
        if !late.isEmpty { isStalled = true }
        return late
    }

    /// Nobody records any more.
    /// - Returns: all that still wait.
    package mutating func close() -> [Group] {
        isClosed = true
        return remove(groups.endIndex)
    }

    private mutating func remove(_ end: Int) -> [Group] {
        guard end > 0 else { return [] }
        let first = Array(groups[..<end])
        groups.removeFirst(end)
        waiting -= first.reduce(0) { $0 + $1.tickets.count }
        return first
    }

    package static var lateError: JournalError {
        JournalError(
            .notRecorded,
            "PostgreSQL has not recorded the webhook in time (GATEWAY_ACK=postgres, GATEWAY_ACK_TIMEOUT); the journal "
                + "keeps it, and it is recorded once the database answers")
    }

    package static var closedError: JournalError {
        JournalError(.closed, "nothing is recorded any more; the gateway is shutting down")
    }
}

/// How long and for how many webhooks an acknowledgement may wait for the database.
package struct RecordingLimits: Hashable, Sendable {
    /// From the journal's sync on.
    package var timeout: Duration
    /// A webhook beyond so many waiting ones is refused at once and not stored.
    package var waitingMax: Int

    package init(timeout: Duration = .seconds(5), waitingMax: Int = 8_192) {
        precondition(timeout > .zero && waitingMax > 0, "limits are at least one")
        self.timeout = timeout
        self.waitingMax = waitingMax
    }
}
