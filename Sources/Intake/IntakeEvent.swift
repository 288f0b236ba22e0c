public import Journal
public import Messaging

/// What intake tells the outside: for metrics, logs and the health board. No message content.
public enum IntakeEvent: Sendable {
    /// A batch is committed. `receivedAt` is that of its newest webhook. Without webhooks, a parked update was
    /// tried again.
    case recorded(webhooks: Int, counts: VerdictCounts, receivedAt: Timestamp, outcome: RecordOutcome)
    /// Of a batch that is committed, what nothing acts on yet. These are among its counts.
    case ignored(IgnoredUpdates)
    /// Stored webhooks were decoded again.
    case replayed(ReplayOutcome)
    /// The same batch will be tried again.
    case retrying(reason: String, delay: Duration)
    /// Nothing is left to be tried again, or to do at all.
    case recovered
    /// Parked updates that somebody wants tried again cannot be read for now. What comes in is recorded all the same.
    case redrivesUnread(reason: String)
    /// An update was refused by the database and parked.
    case parked(position: JournalPosition, index: Int, sqlState: String)
    /// So many webhooks in a row were refused that something else must be wrong: nothing more is recorded for now.
    case stopped(refusals: Int, sqlState: String)
    case resumed
    /// Routes of some messages did not hold at the commit; they were resolved again.
    case staleRoutes(messages: Int)
    /// What was found when journal and database were compared (I11).
    case reconciled(JournalReconciliation)
    /// The batch was refused by the fence; journal and database are compared again.
    case fenced
}

public protocol IntakeObserver: Sendable {
    func observe(_ event: IntakeEvent)
}
