import CMemory
import Messaging

/// Finds the rows of a phone key with one read of memory, whether they exist or not.
///
/// A key is mixed by a reversible function of 43 bits (most numbers of 13 digits fit), and its place among all mixed
/// values picks a line of 64 bytes, aligned to the lines of the processor's cache:
///
///     lane 0      first row of the line; the sign bit says that some of its keys are kept outside
///     lane 1–15   where in the line's share of all values a key is, ascending, 30 bits; unused lanes hold .max
///
/// Rows lie in the order of lines and lanes, and a key with several leases has a lane for each. So the lanes that equal the
/// wanted value give the rows: all are compared at once, with no branch to guess wrong, and misses are as fast as hits. The
/// key is not stored: line and lane give it back. Lines are filled with 9 rows on average, 7 bytes a row. Keys that do not fit into
/// their line, about one in 200, and longer numbers are kept in a dictionary.
struct RouteIndex: ~Copyable, Sendable {
    typealias Line = SIMD16<Int32>

    private let lines: LargeBuffer<Line>
    /// Keys kept outside the lines, each wholly: their rows come after those of all lines.
    private let outliers: [UInt64: Range<UInt32>]
    /// Different keys.
    let keyCount: Int

    static let mixedBits: UInt64 = 43
    private static let laneBits: UInt64 = 30
    static let rowsPerLine = 9
    /// So that the keys of one line differ in their lanes.
    static let lineCountMin = 1 << 13
    /// Keys whose lines are asked for before the first is read.
    private static let batchSize = 64

    init(lines: consuming LargeBuffer<Line>, outliers: [UInt64: Range<UInt32>], keyCount: Int) {
        self.lines = lines
        self.outliers = outliers
        self.keyCount = keyCount
    }

    var byteCount: Int { lines.byteCount + 48 * outliers.capacity }

    // MARK: Looking up

    /// The rows of a key, empty when it has none.
    @inline(__always)
    func rows(of key: PhoneKey) -> Range<Int> {
        guard Self.fits(key.value) else { return outlierRows(key.value) }
        let place = Self.place(Self.mix(key.value), among: lines.count)
        return rows(at: place, of: key)
    }

    /// The rows of many keys: all lines of a batch are asked for before the first is waited for.
    @inline(__always)
    func rows(of keys: UnsafeBufferPointer<PhoneKey>, _ body: (Range<Int>) -> Void) {
        withUnsafeTemporaryAllocation(of: Place.self, capacity: Self.batchSize) { places in
            for start in stride(from: 0, to: keys.count, by: Self.batchSize) {
                let end = min(start &+ Self.batchSize, keys.count)
                for index in start..<end {
                    // A key that does not fit has a place, too; nobody looks there.
                    let place = Self.place(Self.mix(keys[index].value), among: lines.count)
                    lines.prefetch(place.line)
                    places[index &- start] = place
                }
                for index in start..<end {
                    let (key, place) = (keys[index], places[index &- start])
                    let isInLines = Self.fits(key.value)
                    body(isInLines ? rows(at: place, of: key) : outlierRows(key.value))
                }
            }
        }
    }

    @inline(__always)
    private func rows(at place: Place, of key: PhoneKey) -> Range<Int> {
        let (head, matches) = lines.withElement(place.line) { line in
            // The first lane is no key.
            line.withMemoryRebound(to: Int32.self, capacity: Line.scalarCount) {
                ($0.pointee, line_matches($0, place.lane) & ~1)
            }
        }
        if matches == 0 {
            return head < 0 ? outlierRows(key.value) : 0..<0
        }
        let lane = matches.trailingZeroBitCount
        let row = Int(head & .max) &+ lane &- 1
        // The lanes of a key lie side by side.
        let count = ((matches &>> UInt32(truncatingIfNeeded: lane)) &+ 1).trailingZeroBitCount
        return Range(uncheckedBounds: (row, row &+ count))
    }

    @inline(never)
    private func outlierRows(_ key: UInt64) -> Range<Int> {
        outliers[key].map { Int($0.lowerBound)..<Int($0.upperBound) } ?? 0..<0
    }

    /// Every key with its rows.
    func forEachKey(_ body: (PhoneKey, Range<Int>) -> Void) {
        for number in 0..<lines.count {
            let line = lines[number]
            var row = Int(line[0] & .max)
            var lane = 1
            while lane < Line.scalarCount, line[lane] != .max {
                var leases = 1
                while lane + leases < Line.scalarCount, line[lane + leases] == line[lane] { leases += 1 }
                let key = Self.unmix(Self.mixed(line: number, lane: line[lane], among: lines.count))
                body(PhoneKey(folded: key), row..<row + leases)
                row += leases
                lane += leases
            }
        }
        for (key, rows) in outliers { body(PhoneKey(folded: key), Int(rows.lowerBound)..<Int(rows.upperBound)) }
    }
}

// MARK: - Places

extension RouteIndex {
    struct Place: BitwiseCopyable {
        var line: Int
        var lane: Int32
    }

    private static let mask: UInt64 = 1 << mixedBits - 1

    static func fits(_ key: UInt64) -> Bool { key >> mixedBits == 0 }

    /// Spreads neighbouring numbers over all lines; `unmix` takes it back.
    @inline(__always)
    static func mix(_ key: UInt64) -> UInt64 {
        (key ^ key >> 22) &* 0x1B9_7F4A_7C15 & mask
    }

    static func unmix(_ mixed: UInt64) -> UInt64 {
        let key = mixed &* 0x3E1_9937_733D & mask
        return key ^ key >> 22
    }

    /// Where a mixed key belongs: its place among all values, scaled to the number of lines, is a line and a fraction of
    /// it. The order of places is the order of mixed keys.
    @inline(__always)
    static func place(_ mixed: UInt64, among lineCount: Int) -> Place {
        let scaled = (mixed << (64 - mixedBits)).multipliedFullWidth(by: UInt64(truncatingIfNeeded: lineCount))
        return Place(
            line: Int(truncatingIfNeeded: scaled.high), lane: Int32(truncatingIfNeeded: scaled.low >> (64 - laneBits)))
    }

    /// The one mixed key that belongs to a place.
    static func mixed(line: Int, lane: Int32, among lineCount: Int) -> UInt64 {
        let place = UInt64(line) << laneBits | UInt64(lane)
        let (quotient, remainder) = UInt64(lineCount).dividingFullWidth(
            place.multipliedFullWidth(by: 1 << (mixedBits - laneBits)))
        return quotient + (remainder == 0 ? 0 : 1)
    }
}
