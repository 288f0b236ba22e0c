package import Messaging

/// Decides which envelopes go into the next group, and when to refuse. Pure: the caller holds a lock around every call
/// and does what it is told after the lock is released.
///
/// ```
///            append                     takeGroup                 groupEnded(success)
///   ┌──────┐ ─────▶ ┌─────────────┐ ─────────────▶ ┌─────────┐ ──────────────▶ idle or pending again
///   │ idle │        │ pending (n) │                │ writing │
///   └──────┘        └─────────────┘ ◀───append───  └─────────┘ ──groupEnded(final)──▶ failed
/// ```
/// A writer that is idle is woken by the append that finds it so; a writer that is writing takes what gathered meanwhile
/// as its next group, without being woken. That is all there is to group commit: the writer sets the pace.
package struct GroupCommitStateMachine<Sink>: Sendable where Sink: Sendable {
    /// An envelope waiting for its group.
    package struct Pending: Sendable {
        package let envelope: Envelope
        package let ticket: AppendTicket
        package let sink: Sink
        /// What it counts against the budgets.
        package let cost: Int64
    }

    private enum Writer {
        /// Waits to be woken. → working by `takeGroup`
        case idle
        /// Between `takeGroup` and the next one that finds nothing. → idle, failed
        case working
    }

    private enum Admission {
        /// → refusing at the high mark
        case accepting
        /// → accepting at the low mark
        case refusing
        /// Final.
        case failed(JournalError)
        /// No more appends; what is pending is still written. Final.
        case closing
    }

    private let limits: JournalLimits
    private var writer = Writer.idle
    private var admission = Admission.accepting
    private var pending: [Pending] = []
    private var pendingBytes: Int64 = 0
    private var unconfirmedBytes: Int64

    package init(limits: JournalLimits, unconfirmedBytes: Int64) {
        self.limits = limits
        self.unconfirmedBytes = unconfirmedBytes
        if unconfirmedBytes >= limits.unconfirmedBytesMax { admission = .refusing }
    }

    package enum AppendAction {
        case taken(wakeWriter: Bool)
        case refused(JournalError)
    }

    package mutating func append(_ envelope: Envelope, ticket: AppendTicket, sink: Sink) -> AppendAction {
        switch admission {
        case .failed(let error): return .refused(error)
        case .closing: return .refused(JournalError(.closed, "the journal is closing; the gateway is shutting down"))
        case .refusing: return .refused(fullError)
        case .accepting: break
        }
        let cost = Self.cost(of: envelope)
        guard pendingBytes + cost <= limits.pendingBytesMax || pending.isEmpty else {
            return .refused(JournalError(.full, "too many bytes wait for the disk at once; the sender should retry"))
        }
        pending.append(Pending(envelope: envelope, ticket: ticket, sink: sink, cost: cost))
        pendingBytes += cost
        unconfirmedBytes += cost
        if unconfirmedBytes >= limits.unconfirmedBytesMax { admission = .refusing }
        switch writer {
        case .idle: return .taken(wakeWriter: true)
        case .working: return .taken(wakeWriter: false)
        }
    }

    package enum WriterAction {
        case write([Pending])
        /// Nothing to do: wait to be woken, then ask again.
        case sleep
        case stop
    }

    /// The writer asks for its next group.
    package mutating func takeGroup() -> WriterAction {
        if case .failed = admission, pending.isEmpty { return .stop }
        guard !pending.isEmpty else {
            writer = .idle
            if case .closing = admission { return .stop }
            return .sleep
        }
        writer = .working
        let group: [Pending]
        if pending.count <= limits.groupEntriesMax {
            group = pending
            pending = []
            pending.reserveCapacity(group.count)
        } else {
            group = Array(pending.prefix(limits.groupEntriesMax))
            pending.removeFirst(limits.groupEntriesMax)
        }
        pendingBytes -= group.reduce(0) { $0 + $1.cost }
        return .write(group)
    }

    /// A group could not be written; its bytes count no more. A final error refuses everything from here on.
    /// - Returns: what was pending behind it and must be told, too (only for a final error).
    package mutating func groupFailed(_ group: [Pending], with error: JournalError, isFinal: Bool) -> [Pending] {
        unconfirmedBytes -= group.reduce(0) { $0 + $1.cost }
        guard isFinal else {
            resumeIfLow()
            return []
        }
        admission = .failed(error)
        let rest = pending
        pending = []
        pendingBytes = 0
        return rest
    }

    /// Entries of this many bytes in all were recorded.
    package mutating func confirmed(bytes: Int64) {
        unconfirmedBytes -= bytes
        resumeIfLow()
    }

    /// The journal was given a new identity, or rewound: this many bytes are unconfirmed now.
    package mutating func rewound(unconfirmedBytes bytes: Int64) {
        unconfirmedBytes = bytes + pendingBytes
        if case .accepting = admission, unconfirmedBytes >= limits.unconfirmedBytesMax { admission = .refusing }
        resumeIfLow()
    }

    package mutating func close() {
        if case .failed = admission { return }
        admission = .closing
    }

    /// Bytes that wait to be recorded, those not yet on disk included.
    package var backlogBytes: Int64 { unconfirmedBytes }

    /// Why nothing can be acknowledged now, or `nil`.
    package var refusal: JournalError? {
        switch admission {
        case .accepting: nil
        case .refusing: fullError
        case .failed(let error): error
        case .closing: JournalError(.closed, "the journal is closing; the gateway is shutting down")
        }
    }

    package static func cost(of envelope: Envelope) -> Int64 {
        Int64(envelope.body.count + envelope.signature.count) + JournalLimits.entryOverheadBytes
    }

    private mutating func resumeIfLow() {
        if case .refusing = admission, unconfirmedBytes <= limits.unconfirmedBytesLow { admission = .accepting }
    }

    private var fullError: JournalError {
        JournalError(
            .full,
            "the journal holds \(unconfirmedBytes) bytes that Postgres has not recorded yet, its budget is "
                + "\(limits.unconfirmedBytesMax) (GATEWAY_JOURNAL_MAX_BYTES); it drains by itself once Postgres answers"
        )
    }
}
