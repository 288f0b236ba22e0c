import Synchronization

/// Bytes that unfinished bodies of all connections may hold together: memory has an end, also when many send slowly.
final class BodyBudget: Sendable {
    private let free: Atomic<Int>

    init(bytes: Int) { free = Atomic(bytes) }

    /// `false`, and nothing taken, when there is not enough.
    func reserve(_ bytes: Int) -> Bool {
        guard bytes > 0 else { return true }
        let (_, rest) = free.subtract(bytes, ordering: .relaxed)
        if rest >= 0 { return true }
        free.add(bytes, ordering: .relaxed)
        return false
    }

    func release(_ bytes: Int) {
        if bytes > 0 { free.add(bytes, ordering: .relaxed) }
    }
}
