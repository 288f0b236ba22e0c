public import Journal
import Messaging

/// What follows from comparing a journal with the checkpoint that the database keeps of it (I11).
public enum JournalReconciliation: Hashable, Sendable {
    /// They agree, or the database is ahead by a commit whose answer we did not hear.
    case goOn(from: JournalPosition)
    /// The database had never heard of this journal, and the journal has never been confirmed.
    case begin
    /// The database is behind: restored to an earlier state, or failed over. Entries from `from` on are recorded again;
    /// `lost` is what was trimmed before.
    case replay(from: JournalPosition, to: JournalPosition, lost: Int64)
    /// The database lost the row of a journal it once confirmed. An alarm; everything still kept is recorded again.
    case replayUnknown(from: JournalPosition, to: JournalPosition)
    /// The database is beyond this journal's own end, or another process records under its name: the directory is a
    /// copy or came from a backup. It gets a new identity, and everything unconfirmed is recorded again under it.
    case renew(from: JournalPosition)

    /// - Parameters:
    ///   - journal: `last` is what this journal itself had come to when it was opened.
    ///   - checkpoint: `nil` when the fence told that another process records under this journal's name.
    public init(_ journal: JournalStanding, _ checkpoint: Checkpoint?) {
        guard let checkpoint, checkpoint.position <= journal.last else {
            self = .renew(from: journal.confirmed)
            return
        }
        let position = checkpoint.position
        if !checkpoint.wasKnown {
            let first = JournalPosition(journal.oldest.value - 1)
            self = journal.confirmed == .start ? .begin : .replayUnknown(from: first, to: journal.last)
        } else if position < journal.confirmed {
            let lost = max(0, journal.oldest.value - 1 - position.value)
            self = .replay(from: position, to: journal.confirmed, lost: lost)
        } else {
            self = .goOn(from: position)
        }
    }

    /// Where reading begins.
    public var start: JournalPosition {
        switch self {
        case .goOn(let from), .replay(let from, _, _), .replayUnknown(let from, _), .renew(let from): from
        case .begin: .start
        }
    }

    /// A short word for logs and metrics.
    public var label: String {
        switch self {
        case .goOn: "go_on"
        case .begin: "begin"
        case .replay: "replay"
        case .replayUnknown: "replay_unknown"
        case .renew: "renew"
        }
    }
}
