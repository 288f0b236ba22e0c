import Messaging

/// Account ids, and the keys their people's routes may be filed under: 25 bytes a link.
///
/// An id is known by a hash of 64 bits whose key no one outside this process knows. Two ids with one hash would be taken
/// for one another: by chance once in some hundred thousand tables of ten million. It harms nobody, for what the table
/// says is a hint: the transaction that records asks the database who reaches a lease (`gateway.sender_lease`).
struct AccountIndex: Sendable {
    typealias Link = IdentityIndex.Link

    /// What an id is known by.
    struct Key: OverlayKey, Comparable, BitwiseCopyable {
        let hash: UInt64

        init(hash: UInt64) { self.hash = hash }

        init(_ account: AccountIdentity) {
            var hasher = Hasher()
            hasher.combine(account)
            hash = UInt64(bitPattern: Int64(hasher.finalize()))
        }

        var spread: Int { Int(truncatingIfNeeded: hash) }

        static func < (a: Key, b: Key) -> Bool { a.hash < b.hash }
    }

    struct Entry: BitwiseCopyable {
        var key: Key
        var link: Link
    }

    private var base: Base
    /// All links of the ids that changed since `base` was built; none = nothing is known of one any more.
    private(set) var changes = Overlay<Key, [Link]>()
    /// Different ids.
    private(set) var count: Int

    init(_ entries: [Entry] = []) {
        base = Base(entries)
        count = base.keyCount
    }

    var byteCount: Int { base.byteCount + 96 * changes.count }

    func links(of account: AccountIdentity) -> [Link] { count == 0 ? [] : self[Key(account)] }

    subscript(key: Key) -> [Link] {
        get { (changes.isEmpty ? nil : changes[key]) ?? base.links(of: key) }
        set {
            count += (newValue.isEmpty ? 0 : 1) - (self[key].isEmpty ? 0 : 1)
            changes.set(key, to: newValue)
        }
    }

    /// The same without changes on top.
    func merged() -> AccountIndex {
        var entries: [Entry] = []
        base.forEach { if changes[$0.key] == nil { entries.append($0) } }
        changes.forEach { key, links in entries += links.map { Entry(key: key, link: $0) } }
        return AccountIndex(entries)
    }
}

extension AccountIndex {
    /// Entries in groups of four or so, found by the place of a hash among all hashes.
    private final class Base: Sendable {
        private let entries: LargeBuffer<Entry>
        /// Where each group begins, and where the last one ends.
        private let starts: LargeBuffer<UInt32>
        let keyCount: Int

        private static let groupSize = 4

        init(_ given: [Entry]) {
            precondition(given.count < UInt32.max, "a routing table holds at most 4 billion identities")
            let groups = given.count / Self.groupSize + 1
            let starts = LargeBuffer<UInt32>(count: groups + 1)
            let entries = LargeBuffer<Entry>(count: given.count)
            for entry in given { starts[Self.group(of: entry.key, among: groups) + 1] += 1 }
            for group in 0..<groups { starts[group + 1] += starts[group] }
            var next: [UInt32] = []
            next.reserveCapacity(groups)
            for group in 0..<groups { next.append(starts[group]) }
            for entry in given {
                let group = Self.group(of: entry.key, among: groups)
                entries[Int(next[group])] = entry
                next[group] += 1
            }
            keyCount = Self.sortGroups(entries, starts)
            self.starts = starts
            self.entries = entries
        }

        /// Entries of one key lie together, in the order they came.
        /// - Returns: how many keys there are.
        private static func sortGroups(
            _ entries: borrowing LargeBuffer<Entry>, _ starts: borrowing LargeBuffer<UInt32>
        ) -> Int {
            var keys = 0
            for group in 0..<starts.count - 1 {
                let range = Int(starts[group])..<Int(starts[group + 1])
                for index in range.dropFirst() {
                    let entry = entries[index]
                    var place = index
                    while place > range.lowerBound, entries[place - 1].key > entry.key {
                        entries[place] = entries[place - 1]
                        place -= 1
                    }
                    entries[place] = entry
                }
                for index in range where index == range.lowerBound || entries[index].key != entries[index - 1].key {
                    keys += 1
                }
            }
            return keys
        }

        private static func group(of key: Key, among count: Int) -> Int {
            Int(key.hash.multipliedFullWidth(by: UInt64(count)).high)
        }

        var byteCount: Int { entries.byteCount + starts.byteCount }

        func links(of key: Key) -> [Link] {
            let group = Self.group(of: key, among: starts.count - 1)
            var links: [Link] = []
            for index in Int(starts[group])..<Int(starts[group + 1]) where entries[index].key == key {
                links.append(entries[index].link)
            }
            return links
        }

        func forEach(_ body: (Entry) -> Void) {
            for index in 0..<entries.count { body(entries[index]) }
        }
    }
}
