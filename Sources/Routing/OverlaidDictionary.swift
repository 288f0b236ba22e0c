/// A dictionary that is large and seldom rebuilt, and the entries that changed since.
///
/// Changing an entry of a copy costs as much as there are changes, whatever the size of what lies below.
struct OverlaidDictionary<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    private(set) var base: [Key: Value]
    /// `.some(nil)`: gone since.
    private(set) var changes: [Key: Value?] = [:]
    private(set) var count: Int

    init(_ base: [Key: Value]) {
        self.base = base
        self.count = base.count
    }

    subscript(key: Key) -> Value? {
        get {
            if !changes.isEmpty, let changed = changes[key] { return changed }
            return base.isEmpty ? nil : base[key]
        }
        set {
            count += (newValue == nil ? 0 : 1) - (self[key] == nil ? 0 : 1)
            changes[key] = .some(newValue)
        }
    }

    /// All entries as one plain dictionary.
    func merged() -> [Key: Value] {
        var all = base
        for (key, value) in changes { all[key] = value }
        return all
    }
}
