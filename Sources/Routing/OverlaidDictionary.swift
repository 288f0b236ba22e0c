/// A dictionary that is large and seldom rebuilt, and the entries that changed since.
///
/// Changing an entry of a copy costs next to nothing, whatever the size of what lies below and however much changed
/// before.
struct OverlaidDictionary<Key: OverlayKey, Value: Sendable>: Sendable {
    private(set) var base: [Key: Value]
    /// `.some(nil)`: gone since.
    private(set) var changes = Overlay<Key, Value?>()
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
            changes.set(key, to: newValue)
        }
    }

    /// All entries as one plain dictionary.
    func merged() -> [Key: Value] {
        var all = base
        changes.forEach { key, value in all[key] = value }
        return all
    }
}
