import Messaging

/// Finds the rows of a phone key with one read of memory, whether they exist or not.
///
/// A key is mixed by a reversible function of 43 bits (most numbers of 13 digits fit), and its place among all mixed
/// values picks a line of 64 bytes, aligned to the lines of the processor's cache:
///
///     lane 0      first row of the line; the sign bit says that some of its keys are kept outside
///     lane 1–15   what tells the line's keys apart, ascending: 30 bits of the mixed key; unused lanes hold .max
///
/// Rows lie in the order of lines and lanes, and a key with several leases has a lane for each. So the number of lanes
/// below the wanted value gives the first row, the number of equal lanes gives the rows: sums without a branch to guess
/// wrong, and misses are as fast as hits. The key is not stored: line and lane give it back. Lines are filled with 9
/// rows on average, 7 bytes a row. Keys that do not fit into their line, about one in 200, and longer numbers are kept
/// in a dictionary.
struct RouteIndex: Sendable {
    /// All lines, one after the other, the first of them `start` lanes in.
    private let lanes: [Int32]
    private let start: Int
    private let lineCount: Int
    /// Keys kept outside the lines, each wholly: their rows come after those of all lines.
    private let outliers: [UInt64: Range<UInt32>]
    /// Different keys.
    let keyCount: Int

    private static let mixedBits: UInt64 = 43
    private static let laneBits: UInt64 = 30
    /// Lanes of a line, the first one included.
    private static let lineWidth = 16
    private static let rowsPerLine = 9
    /// So that the keys of one line differ in their lowest 30 bits.
    private static let lineCountMin = 1 << 13

    var byteCount: Int { 4 * lanes.count + 48 * outliers.capacity }

    /// The rows of a key, empty when it has none.
    func rows(of key: PhoneKey) -> Range<Int> {
        guard key.value >> Self.mixedBits == 0 else { return outlierRows(key.value) }
        let mixed = Self.mix(key.value)
        let wanted = Self.lane(mixed)
        let first = start &+ Self.line(of: mixed, among: lineCount) &* Self.lineWidth
        let (head, less, equal) = count(wanted, from: first)
        if equal == 0, head < 0 { return outlierRows(key.value) }
        let row = Int(head & .max) &+ Int(less)
        return row..<row &+ Int(equal)
    }

    /// The first lane of a line, and how many of the others are less than and equal to a value.
    private func count(_ wanted: Int32, from first: Int) -> (head: Int32, less: Int32, equal: Int32) {
        precondition(first >= 0 && first &+ Self.lineWidth <= lanes.count)
        return lanes.withUnsafeBufferPointer { lanes in
            var less: Int32 = 0
            var equal: Int32 = 0
            // Sign bits of differences, for the compiler makes vectors of them, and branches of comparisons. Lanes are
            // never negative, so nothing overflows; the first lane, which may be, is taken out again.
            for lane in first..<first &+ Self.lineWidth {
                less &-= (lanes[lane] &- wanted) >> 31
                equal &-= ((lanes[lane] ^ wanted) &- 1) >> 31
            }
            let head = lanes[first]
            less &+= (head &- wanted) >> 31
            equal &+= ((head ^ wanted) &- 1) >> 31
            return (head, less, equal)
        }
    }

    private func outlierRows(_ key: UInt64) -> Range<Int> {
        outliers[key].map { Int($0.lowerBound)..<Int($0.upperBound) } ?? 0..<0
    }

    /// Every key with its rows.
    func forEachKey(_ body: (PhoneKey, Range<Int>) -> Void) {
        for line in 0..<lineCount {
            let first = start + line * Self.lineWidth
            var row = Int(lanes[first] & .max)
            var rest = lanes[first + 1..<first + Self.lineWidth].prefix { $0 != .max }
            while let value = rest.first {
                let leases = rest.prefix { $0 == value }.count
                body(PhoneKey(folded: Self.unmix(mixedKey(lane: value, line: line))), row..<row + leases)
                row += leases
                rest = rest.dropFirst(leases)
            }
        }
        for (key, rows) in outliers { body(PhoneKey(folded: key), Int(rows.lowerBound)..<Int(rows.upperBound)) }
    }

    // MARK: Mixing

    private static let mask: UInt64 = 1 << mixedBits - 1
    private static let laneMask: UInt64 = 1 << laneBits - 1

    /// Spreads neighbouring numbers over all lines; `unmix` takes it back.
    private static func mix(_ key: UInt64) -> UInt64 {
        (key ^ key >> 22) &* 0x1B9_7F4A_7C15 & mask
    }

    private static func unmix(_ mixed: UInt64) -> UInt64 {
        let key = mixed &* 0x3E1_9937_733D & mask
        return key ^ key >> 22
    }

    private static func line(of mixed: UInt64, among count: Int) -> Int {
        Int(
            truncatingIfNeeded: (mixed << (64 - mixedBits)).multipliedFullWidth(by: UInt64(truncatingIfNeeded: count))
                .high)
    }

    private static func lane(_ mixed: UInt64) -> Int32 {
        Int32(truncatingIfNeeded: mixed & laneMask)
    }

    /// The one mixed key that falls into a line and ends with these bits.
    private func mixedKey(lane: Int32, line: Int) -> UInt64 {
        let scaled = UInt64(line).multipliedFullWidth(by: 1 << Self.mixedBits)
        let (quotient, remainder) = UInt64(lineCount).dividingFullWidth(scaled)
        let lowest = quotient + (remainder == 0 ? 0 : 1)
        let mixed = lowest & ~Self.laneMask | UInt64(lane)
        return mixed < lowest ? mixed + Self.laneMask + 1 : mixed
    }
}

// MARK: - Building

extension RouteIndex {
    /// - Parameter keys: of the rows as they came, in any order.
    /// - Returns: the index, and for each of its rows the place in `keys` where it was.
    static func build(_ keys: [UInt64]) -> (index: RouteIndex, order: [UInt32]) {
        var builder = Builder(lineCount: max(lineCountMin, keys.count / rowsPerLine + 1))
        builder.sort(keys)
        builder.fillLines(keys)
        builder.addOutliers(keys)
        let index = RouteIndex(
            lanes: builder.lanes, start: builder.start, lineCount: builder.lineCount, outliers: builder.outliers,
            keyCount: builder.keyCount)
        return (index, builder.order)
    }

    private struct Builder {
        let lineCount: Int
        /// Where in `lanes` a line of the cache begins.
        let start: Int
        private(set) var lanes: [Int32]
        private(set) var outliers: [UInt64: Range<UInt32>] = [:]
        private(set) var order: [UInt32] = []
        private(set) var keyCount = 0
        /// Places by line, and where each line's begin.
        private var sorted: [UInt32] = []
        private var starts: [UInt32]
        private var outside: [UInt32] = []

        init(lineCount: Int) {
            self.lineCount = lineCount
            lanes = [Int32](repeating: .max, count: (lineCount + 1) * lineWidth)
            // The array is filled where it is now and never copied: what is aligned stays so.
            start = lanes.withUnsafeBytes { -Int(bitPattern: $0.baseAddress) & 63 } / 4
            starts = [UInt32](repeating: 0, count: lineCount + 1)
        }

        /// A counting sort by line.
        mutating func sort(_ keys: [UInt64]) {
            for key in keys where key >> mixedBits == 0 { starts[line(of: mix(key), among: lineCount) + 1] += 1 }
            for line in 1...lineCount { starts[line] += starts[line - 1] }
            var next = starts
            sorted = [UInt32](repeating: 0, count: Int(starts[lineCount]))
            for (place, key) in keys.enumerated() {
                guard key >> mixedBits == 0 else {
                    outside.append(UInt32(place))
                    continue
                }
                let line = line(of: mix(key), among: lineCount)
                sorted[Int(next[line])] = UInt32(place)
                next[line] += 1
            }
        }

        mutating func fillLines(_ keys: [UInt64]) {
            order.reserveCapacity(keys.count)
            var rows: [(lane: Int32, place: UInt32)] = []
            for line in 0..<lineCount {
                rows.removeAll(keepingCapacity: true)
                for place in sorted[Int(starts[line])..<Int(starts[line + 1])] {
                    rows.append((lane(mix(keys[Int(place)])), place))
                }
                rows.sort { $0 < $1 }
                fill(start + line * lineWidth, rows)
            }
        }

        /// Whole keys go into the line while there is room; the others stay outside.
        private mutating func fill(_ head: Int, _ rows: [(lane: Int32, place: UInt32)]) {
            lanes[head] = Int32(order.count)
            var used = 0
            var first = 0
            while first < rows.count {
                var after = first + 1
                while after < rows.count, rows[after].lane == rows[first].lane { after += 1 }
                if used + after - first < lineWidth {
                    for row in rows[first..<after] {
                        used += 1
                        lanes[head + used] = row.lane
                        order.append(row.place)
                    }
                    keyCount += 1
                } else {
                    for row in rows[first..<after] { outside.append(row.place) }
                    lanes[head] |= .min
                }
                first = after
            }
        }

        mutating func addOutliers(_ keys: [UInt64]) {
            outside.sort { (keys[Int($0)], $0) < (keys[Int($1)], $1) }
            for place in outside {
                let row = UInt32(order.count)
                let first = outliers[keys[Int(place)]]?.lowerBound ?? row
                outliers[keys[Int(place)]] = first..<row + 1
                order.append(place)
            }
            keyCount += outliers.count
        }
    }
}
