/// What a journal may hold, and for how long.
public struct JournalLimits: Hashable, Sendable {
    /// Bytes of entries that are not confirmed yet; at this mark appends are refused.
    public var unconfirmedBytesMax: Int64
    /// Bytes waiting in memory for the next group.
    public var pendingBytesMax: Int64
    /// Entries in one group, so that one sync does not make many wait for long.
    public var groupEntriesMax: Int
    /// Seconds that confirmed entries are kept for a database that was restored to an earlier state.
    public var keepSeconds: Int64
    /// Bytes of confirmed entries that are kept at most.
    public var keepBytes: Int64

    public init(
        unconfirmedBytesMax: Int64 = 8 << 30, pendingBytesMax: Int64 = 64 << 20, groupEntriesMax: Int = 1024,
        keepSeconds: Int64 = 24 * 3600, keepBytes: Int64 = 2 << 30
    ) {
        precondition(unconfirmedBytesMax > 0 && pendingBytesMax > 0 && groupEntriesMax > 0)
        precondition(keepSeconds >= 0 && keepBytes >= 0)
        self.unconfirmedBytesMax = unconfirmedBytesMax
        self.pendingBytesMax = pendingBytesMax
        self.groupEntriesMax = groupEntriesMax
        self.keepSeconds = keepSeconds
        self.keepBytes = keepBytes
    }

    /// Refused appends are taken again once the unconfirmed bytes have fallen to this mark, not before: a single
    /// threshold would flap.
    public var unconfirmedBytesLow: Int64 { unconfirmedBytesMax / 8 * 7 }

    /// What an entry counts beside its body and signature: its row and its place in the index.
    public static let entryOverheadBytes: Int64 = 64
}
