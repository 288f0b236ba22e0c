package import Messaging
import Synchronization

/// A journal under the policy `postgres`: an append is told as durable once its entry is also recorded in the database.
///
/// Stands before the real journal on both of its sides: the ingress appends through it, and intake, which confirms what
/// was committed, confirms through it. Under the policy `journal` it is not there at all.
package final class RecordedJournal<Time: Clock>: Journal, WebhookAppender where Time.Duration == Duration {
    private typealias Waitlist = RecordingWaitlist<any AppendSink>

    private struct State {
        var waitlist: Waitlist
        /// One for each sink of the ingress, of which there are as many as event loops.
        var tellers: [ObjectIdentifier: Teller] = [:]
    }

    private let journal: any Journal & WebhookAppender
    private let timeout: Duration
    private let clock: Time
    private let start: Time.Instant
    private let state: Mutex<State>

    package init(_ journal: any Journal & WebhookAppender, limits: RecordingLimits, clock: Time) {
        self.journal = journal
        self.timeout = limits.timeout
        self.clock = clock
        self.start = clock.now
        state = Mutex(State(waitlist: Waitlist(limits: limits)))
    }

    /// Webhooks that are not answered yet.
    package var waiting: Int { state.withLock { $0.waitlist.waiting } }

    /// Why webhooks are not acknowledged at present, or `nil`.
    package var refusal: JournalError? {
        state.withLock { $0.waitlist.isStalled } ? Waitlist.lateError : nil
    }

    /// Answers those that have waited for too long, until the task is cancelled; then, whoever still waits.
    package func run() async {
        while !Task.isCancelled {
            try? await clock.sleep(until: clock.now.advanced(by: Self.lookInterval), tolerance: nil)
            let late = state.withLock { $0.waitlist.expired(at: elapsed) }
            tell(late, .failure(Waitlist.lateError))
        }
        let rest = state.withLock { state in
            // They hold on to this journal.
            state.tellers = [:]
            return state.waitlist.close()
        }
        tell(rest, .failure(Waitlist.closedError))
    }

    /// How late a deadline may be noticed.
    private static var lookInterval: Duration { .milliseconds(250) }

    private var elapsed: Duration { start.duration(to: clock.now) }

    // MARK: The ingress' side

    package func append(_ envelope: Envelope, ticket: AppendTicket, sink: any AppendSink) -> JournalError? {
        let admission = state.withLock { state -> Result<Teller, JournalError> in
            if let refusal = state.waitlist.admit() { return .failure(refusal) }
            let id = ObjectIdentifier(sink)
            let teller = state.tellers[id] ?? Teller(journal: self, sink: sink)
            state.tellers[id] = teller
            return .success(teller)
        }
        let error: JournalError?
        switch admission {
        case .failure(let refusal): return refusal
        case .success(let teller): error = journal.append(envelope, ticket: ticket, sink: teller)
        }
        if error != nil { state.withLock { $0.waitlist.withdrawn(1) } }
        return error
    }

    /// Hears of a group in the name of the sink it belongs to, on the journal's thread.
    private final class Teller: AppendSink {
        private let journal: RecordedJournal
        private let sink: any AppendSink

        init(journal: RecordedJournal, sink: any AppendSink) {
            self.journal = journal
            self.sink = sink
        }

        func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>) {
            journal.appended(tickets, result, sink)
        }
    }

    private func appended(
        _ tickets: [AppendTicket], _ result: Result<DurabilityReceipt, JournalError>, _ sink: any AppendSink
    ) {
        switch result {
        case .success(let receipt):
            let group = Waitlist.Group(
                tickets: tickets, sink: sink, receipt: receipt, deadline: elapsed + timeout)
            switch state.withLock({ $0.waitlist.synced(group) }) {
            case .waits: break
            case .isRecorded: sink.appended(tickets, result: result)
            case .isTooLate: sink.appended(tickets, result: .failure(Waitlist.closedError))
            }
        case .failure:
            state.withLock { $0.waitlist.withdrawn(tickets.count) }
            sink.appended(tickets, result: result)
        }
    }

    private func tell(_ groups: [Waitlist.Group], _ failure: Result<DurabilityReceipt, JournalError>? = nil) {
        for group in groups { group.sink.appended(group.tickets, result: failure ?? .success(group.receipt)) }
    }

    // MARK: Intake's side

    /// The commit was before this call: whoever waits for it has the answer now.
    package func confirm(upTo position: JournalPosition) async throws(JournalError) {
        tell(state.withLock { $0.waitlist.recorded(upTo: position) })
        try await journal.confirm(upTo: position)
    }

    package func entries(
        after position: JournalPosition, limit: ReadLimit
    ) async throws(JournalError) -> [JournalEntry] {
        try await journal.entries(after: position, limit: limit)
    }

    package func entriesAvailable(after position: JournalPosition) async {
        await journal.entriesAvailable(after: position)
    }

    package var standing: JournalStanding { journal.standing }

    package func rewind(to position: JournalPosition) async throws(JournalError) {
        try await journal.rewind(to: position)
    }

    package func renew(id: UniqueID) async throws(JournalError) { try await journal.renew(id: id) }
}
