import Synchronization

/// The place where the table in use stands. One task replaces it; everybody else takes a snapshot, once a batch.
///
/// The lock is held to copy one reference, never while a table is built. An old table's memory is given back when the
/// last batch that decides by it ends.
public final class LiveRoutingTable: Sendable {
    private let current: Mutex<RoutingTable?>

    public init(_ table: RoutingTable? = nil) {
        current = Mutex(table)
    }

    /// The table in use; `nil` until the first load is done: nobody may decide by an empty table, or every tenant would
    /// be a stranger.
    public var snapshot: RoutingTable? { current.withLock { $0 } }

    /// Puts a table in use for everybody who asks from now on.
    public func publish(_ table: RoutingTable) {
        // The old table leaves the lock alive: taking a large one down under it would make readers wait.
        _ = current.withLock { current in
            defer { current = table }
            return current
        }
    }
}
