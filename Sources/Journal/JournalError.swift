/// Why a journal could not do what was asked.
public struct JournalError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Code: String, Sendable, CaseIterable {
        /// The byte budget of unconfirmed entries is spent: Postgres has been away for long. Clears by itself.
        case full
        /// The disk has no space. Clears by itself.
        case diskFull = "disk_full"
        /// A sync or write failed: what reached the disk is unknown. Final; the process must end.
        case syncFailed = "sync_failed"
        /// Another process holds the directory.
        case locked
        /// The file is not a journal, or of a version this program does not read.
        case unreadable
        /// The journal is closing or closed.
        case closed
        /// Kept, but not recorded by the database within the time an acknowledgement waits for it.
        case notRecorded = "not_recorded"
        /// Too many acknowledgements wait for the database already; nothing was kept. Clears by itself.
        case tooManyUnrecorded = "too_many_unrecorded"
    }

    public let code: Code
    /// What happened, where, and what to do next.
    public let message: String

    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    public var description: String { message }
    /// A bounded label for metrics.
    public var metricLabel: String { code.rawValue }
}
