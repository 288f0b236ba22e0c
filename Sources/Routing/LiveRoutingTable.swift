import Synchronization

/// The place where the table in use stands, and since when it has been true. One task replaces it; everybody else takes
/// a snapshot, once a batch.
///
/// The lock is held to copy one reference, never while a table is built. An old table's memory is given back when the
/// last batch that decides by it ends.
public final class LiveRoutingTable: Sendable {
    private struct Standing {
        var table: RoutingTable?
        var asOf: ContinuousClock.Instant?
    }

    private let current: Mutex<Standing>

    /// - Parameter asOf: when the table was what the database had; `nil` as long as there is no table.
    public init(_ table: RoutingTable? = nil, asOf: ContinuousClock.Instant? = nil) {
        current = Mutex(Standing(table: table, asOf: asOf))
    }

    /// The table in use; `nil` until the first load is done: nobody may decide by an empty table, or every tenant would
    /// be a stranger.
    public var snapshot: RoutingTable? { current.withLock { $0.table } }

    /// The moment up to which the table holds all that was committed: when the database was last asked, and answered.
    /// `nil` until the first load is done.
    public var asOf: ContinuousClock.Instant? { current.withLock { $0.asOf } }

    /// Puts a table in use for everybody who asks from now on.
    /// - Parameter asOf: no later than the picture of the database the table shows.
    public func publish(_ table: RoutingTable, asOf: ContinuousClock.Instant) {
        // The old table leaves the lock alive: taking a large one down under it would make readers wait.
        _ = current.withLock { current in
            defer { current = Standing(table: table, asOf: asOf) }
            return current
        }
    }
}
