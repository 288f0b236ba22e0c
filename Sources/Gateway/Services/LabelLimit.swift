import Synchronization

/// Keeps the values of a metric's dimension few where they come from outside: each is a time series for ever.
final class LabelLimit: Sendable {
    private let countMax: Int
    private let seen = Mutex<Set<String>>([])

    /// - Parameter countMax: different values; what comes after them is `other`.
    init(countMax: Int) { self.countMax = countMax }

    func bounded(_ label: String) -> String {
        seen.withLock { seen in
            if seen.contains(label) { return label }
            guard seen.count < countMax else { return "other" }
            seen.insert(label)
            return label
        }
    }
}
