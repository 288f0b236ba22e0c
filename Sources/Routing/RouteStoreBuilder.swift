import Messaging

/// Collects leases in any order and sorts them into a store.
///
/// They are dealt out to parts as they come, each a range of mixed keys, so that what is sorted at the end lies near the
/// processor; a part's memory goes back as soon as its rows are in their place.
struct RouteStoreBuilder: Sendable {
    /// Leases left out: their key is not a phone number, and nobody writes from there.
    private(set) var rejectedCount = 0
    private(set) var count = 0
    private var parts: [[Lease]]
    /// Leases whose key is longer than lines hold.
    private var outside: [Lease] = []
    private var landlords = LandlordNumbers()

    static let partBits: UInt64 = 10

    /// A lease on its way into the store.
    struct Lease: Sendable {
        /// The mixed key, or the key itself for one kept outside the lines.
        var key: UInt64
        var row: RouteStore.Row
        var propertyID: UniqueID
    }

    init() { parts = Array(repeating: [], count: 1 << Self.partBits) }

    mutating func add(_ route: Route) {
        guard PhoneNumber(digits: route.key.value) != nil else {
            rejectedCount += 1
            return
        }
        count += 1
        let isInLines = RouteIndex.fits(route.key.value)
        let lease = Lease(
            key: isInLines ? RouteIndex.mix(route.key.value) : route.key.value,
            row: RouteStore.Row(
                learntAt: route.learntAt, term: LeaseTerm(from: route.validFrom, until: route.validUntil),
                owner: landlords.number(of: route.landlordID) | (route.isActive ? RouteStore.activeBit : 0)),
            propertyID: route.propertyID ?? RouteStore.noProperty)
        if isInLines {
            parts[Int(lease.key >> (RouteIndex.mixedBits - Self.partBits))].append(lease)
        } else {
            outside.append(lease)
        }
    }

    consuming func finish() -> RouteStore {
        precondition(count < Int32.max, "a routing table holds at most 2 billion leases")
        var placement = RoutePlacement(rowCount: count)
        for part in parts.indices {
            placement.add(parts[part], number: part)
            parts[part] = []
        }
        return placement.finish(outside: outside, landlordIDs: landlords.ids)
    }
}

/// Numbers landlords in the order they come. A row asks once, so this is a table of its own: ids are random enough to go
/// without a second hash.
private struct LandlordNumbers: Sendable {
    private(set) var ids: [UniqueID] = []
    /// One more than a number, or 0; at most half are taken.
    private var slots = [UInt32](repeating: 0, count: 1024)

    mutating func number(of id: UniqueID) -> UInt32 {
        var slot = place(of: id)
        while slots[slot] != 0 {
            let number = slots[slot] - 1
            if ids[Int(number)] == id { return number }
            slot = (slot + 1) & (slots.count - 1)
        }
        ids.append(id)
        slots[slot] = UInt32(ids.count)
        if ids.count > slots.count / 2 { grow() }
        return UInt32(ids.count - 1)
    }

    private func place(of id: UniqueID) -> Int {
        Int(truncatingIfNeeded: ((id.high ^ id.low) &* 0x9E37_79B9_7F4A_7C15) >> 32) & (slots.count - 1)
    }

    private mutating func grow() {
        slots = [UInt32](repeating: 0, count: slots.count * 4)
        for (number, id) in ids.enumerated() {
            var slot = place(of: id)
            while slots[slot] != 0 { slot = (slot + 1) & (slots.count - 1) }
            slots[slot] = UInt32(number + 1)
        }
    }
}

/// Puts leases into rows and lines, in ascending order of their mixed keys.
private struct RoutePlacement: ~Copyable {
    typealias Lease = RouteStoreBuilder.Lease

    private let lines: LargeBuffer<RouteIndex.Line>
    private let rows: LargeBuffer<RouteStore.Row>
    private let properties: LargeBuffer<UniqueID>
    private var rowCount = 0
    private var keyCount = 0
    /// Leases of the line that is being filled: the next part may have more of them.
    private var open: [Lease] = []
    private var openLine = 0
    /// Leases of keys that do not fit into their line.
    private var outside: [Lease] = []
    // Room for the order of a part, used again for the next.
    private var starts: [Int32] = []
    private var order: [Int32] = []
    private var linesOfPart: [Int32] = []

    init(rowCount: Int) {
        lines = LargeBuffer(count: max(RouteIndex.lineCountMin, rowCount / RouteIndex.rowsPerLine + 1))
        rows = LargeBuffer(count: rowCount)
        properties = LargeBuffer(count: rowCount)
    }

    /// Takes a part, whose mixed keys are greater than those of all parts before.
    mutating func add(_ part: [Lease], number: Int) {
        guard !part.isEmpty else { return }
        sort(part, number)
        for place in order {
            let line = Int(linesOfPart[Int(place)])
            if line != openLine { close(before: line) }
            open.append(part[Int(place)])
        }
    }

    /// The places of a part's leases by line, in the order they came: a counting sort.
    private mutating func sort(_ part: [Lease], _ number: Int) {
        let shift = RouteIndex.mixedBits - RouteStoreBuilder.partBits
        let first = RouteIndex.place(UInt64(number) << shift, among: lines.count).line
        let last = RouteIndex.place(UInt64(number + 1) << shift - 1, among: lines.count).line
        starts.removeAll(keepingCapacity: true)
        starts.append(contentsOf: repeatElement(0, count: last - first + 2))
        linesOfPart.removeAll(keepingCapacity: true)
        for lease in part {
            let line = RouteIndex.place(lease.key, among: lines.count).line
            linesOfPart.append(Int32(truncatingIfNeeded: line))
            starts[line - first + 1] += 1
        }
        for line in 1..<starts.count { starts[line] += starts[line - 1] }
        order.removeAll(keepingCapacity: true)
        order.append(contentsOf: repeatElement(0, count: part.count))
        for place in part.indices {
            let line = Int(linesOfPart[place]) - first
            order[Int(starts[line])] = Int32(truncatingIfNeeded: place)
            starts[line] += 1
        }
    }

    /// Writes the open line and the empty ones up to the next.
    private mutating func close(before next: Int) {
        sortOpen()
        var line = RouteIndex.Line(repeating: .max)
        line[0] = Int32(rowCount)
        var used = 0
        var first = 0
        while first < open.count {
            var after = first + 1
            while after < open.count, open[after].key == open[first].key { after += 1 }
            if used + after - first < RouteIndex.Line.scalarCount {
                let lane = RouteIndex.place(open[first].key, among: lines.count).lane
                for index in first..<after {
                    used += 1
                    line[used] = lane
                    place(open[index])
                }
                keyCount += 1
            } else {
                for index in first..<after {
                    var lease = open[index]
                    lease.key = RouteIndex.unmix(lease.key)
                    outside.append(lease)
                }
                line[0] |= .min
            }
            first = after
        }
        lines[openLine] = line
        var empty = RouteIndex.Line(repeating: .max)
        empty[0] = Int32(rowCount)
        for number in openLine + 1..<max(openLine + 1, next) { lines[number] = empty }
        open.removeAll(keepingCapacity: true)
        openLine = next
    }

    /// By key, those of one key as they came. A line holds a handful, unless a number is given for very many tenants.
    private mutating func sortOpen() {
        guard open.count <= 64 else {
            let sorted = open.enumerated().sorted { ($0.element.key, $0.offset) < ($1.element.key, $1.offset) }
            open = sorted.map(\.element)
            return
        }
        for index in open.indices.dropFirst() {
            let lease = open[index]
            var place = index
            while place > 0, open[place - 1].key > lease.key {
                open[place] = open[place - 1]
                place -= 1
            }
            if place != index { open[place] = lease }
        }
    }

    private mutating func place(_ lease: Lease) {
        rows[rowCount] = lease.row
        properties[rowCount] = lease.propertyID
        rowCount += 1
    }

    /// - Parameter longer: leases whose keys do not fit into lines.
    consuming func finish(outside longer: [Lease], landlordIDs: [UniqueID]) -> RouteStore {
        close(before: lines.count)
        outside += longer
        var outliers: [UInt64: Range<UInt32>] = [:]
        for (_, lease) in outside.enumerated().sorted(by: { ($0.element.key, $0.offset) < ($1.element.key, $1.offset) })
        {
            let row = UInt32(rowCount)
            place(lease)
            outliers[lease.key] = (outliers[lease.key]?.lowerBound ?? row)..<row + 1
        }
        precondition(rowCount == rows.count, "a lease was lost while the routing table was built")
        let index = RouteIndex(lines: lines, outliers: outliers, keyCount: keyCount + outliers.count)
        return RouteStore(index: index, rows: rows, properties: properties, landlordIDs: landlordIDs)
    }
}
