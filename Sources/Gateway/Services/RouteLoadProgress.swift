/// How far a full load has come, for somebody who waits for it.
package struct RouteLoadProgress: Sendable {
    package private(set) var rows = 0
    /// About how many there will be; `nil` where nobody knows.
    package private(set) var expected: Int?
    private let began: ContinuousClock.Instant
    private let interval: Duration
    private var elapsed = Duration.zero
    private var toldAt = Duration.zero

    /// - Parameter interval: how often it is worth telling.
    package init(began: ContinuousClock.Instant, interval: Duration) {
        self.began = began
        self.interval = interval
    }

    /// Notes rows that came.
    /// - Returns: whether it is time to tell again.
    package mutating func note(rows: Int, expected: Int?, at moment: ContinuousClock.Instant) -> Bool {
        self.rows = rows
        self.expected = expected
        elapsed = began.duration(to: moment)
        guard elapsed - toldAt >= interval else { return false }
        toldAt = elapsed
        return true
    }

    package var rowsPerSecond: Int {
        let seconds = elapsed / .seconds(1)
        return seconds > 0 ? Int(Double(rows) / seconds) : 0
    }

    /// As long as the rest will take at this rate, in whole seconds, rounded up.
    package var secondsLeft: Int? {
        guard let expected, expected > rows, rowsPerSecond > 0 else { return nil }
        return (expected - rows + rowsPerSecond - 1) / rowsPerSecond
    }

    /// For a terminal.
    package var line: String {
        let all = expected.map { $0 >= rows ? " of about \($0)" : "" } ?? ""
        let left = secondsLeft.map { ", \($0) s left" } ?? ""
        return "loading routes: \(rows)\(all), \(rowsPerSecond) a second\(left)"
    }
}
