public import Messaging

/// The proof of receipt: what was appended and acknowledged here is not lost.
///
/// Positions count from 1, grow by one an entry and are never reused, also not after entries were deleted.
public protocol Journal: Sendable {
    /// Entries after `position`, oldest first, at most `limit.entries` and about `limit.bytes` (one entry always comes).
    /// Empty when there are none yet.
    func entries(after position: JournalPosition, limit: ReadLimit) async throws(JournalError) -> [JournalEntry]

    /// Returns when there is an entry after `position`, or when the task is cancelled.
    func entriesAvailable(after position: JournalPosition) async

    /// Everything up to and including `position` is recorded; kept for a while, then deleted a few at a time.
    func confirm(upTo position: JournalPosition) async throws(JournalError)

    /// Where the journal stands now.
    var standing: JournalStanding { get }

    /// Goes back: what lies behind `position` is handed out and counted as unconfirmed again (I11).
    func rewind(to position: JournalPosition) async throws(JournalError)

    /// Gives the journal a new identity: its directory was copied, or came back from a backup (I11).
    func renew(id: UniqueID) async throws(JournalError)
}

/// Where a journal stands; compared with the database's checkpoint at start.
public struct JournalStanding: Hashable, Sendable {
    /// Written into a new journal once. A copy of the directory has the same one until it is found out.
    public var id: UniqueID
    /// Everything up to here was recorded, as far as the journal has heard.
    public var confirmed: JournalPosition
    public var last: JournalPosition
    /// The oldest entry that is still kept; one past `last` when none is.
    public var oldest: JournalPosition
    /// Bytes that wait to be recorded.
    public var backlogBytes: Int64

    public init(
        id: UniqueID, confirmed: JournalPosition, last: JournalPosition, oldest: JournalPosition, backlogBytes: Int64
    ) {
        self.id = id
        self.confirmed = confirmed
        self.last = last
        self.oldest = oldest
        self.backlogBytes = backlogBytes
    }
}

/// A place in a journal. Zero stands before the first entry.
@frozen
public struct JournalPosition: Hashable, Sendable, Comparable {
    public let value: Int64
    @inlinable public init(_ value: Int64) { self.value = value }
    @inlinable public static func < (a: Self, b: Self) -> Bool { a.value < b.value }
    public static let start = JournalPosition(0)
}

/// An envelope and where it stands.
public struct JournalEntry: Hashable, Sendable {
    public let position: JournalPosition
    public let envelope: Envelope

    public init(position: JournalPosition, envelope: Envelope) {
        self.position = position
        self.envelope = envelope
    }
}

/// Which journal this is, and how far it has come: what is compared with the database's checkpoint at start (I11).
public struct JournalIdentity: Hashable, Sendable {
    /// Written into a new journal once. A copy of the directory has the same one until it is found out.
    public let id: UniqueID
    /// A new one each time a process opens the journal: two owners of one journal cannot both record.
    public let owner: UniqueID

    public init(id: UniqueID, owner: UniqueID) {
        self.id = id
        self.owner = owner
    }
}

/// How much a reader takes at once.
public struct ReadLimit: Hashable, Sendable {
    public let entries: Int
    public let bytes: Int

    public init(entries: Int, bytes: Int) {
        precondition(entries > 0 && bytes > 0, "a reader that takes nothing would wait for ever")
        self.entries = entries
        self.bytes = bytes
    }
}
