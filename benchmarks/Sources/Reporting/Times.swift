import Glibc

/// The best of several turns, in nanoseconds of CPU an input: what else runs on the machine does not count.
package struct Times {
    package private(set) var best = Double.infinity
    package private(set) var sum = 0

    /// Shorter turns than this many inputs would measure the clock.
    private let inputsMin: Int

    package init(inputsMin: Int = 5000) { self.inputsMin = inputsMin }

    package mutating func take<Input>(_ inputs: [Input], _ body: (Input) -> Int) {
        let repeats = max(1, inputsMin / max(1, inputs.count))
        sum = 0
        let start = Self.cpuNanoseconds
        for _ in 0..<repeats { for input in inputs { sum &+= body(input) } }
        best = min(best, Double(Self.cpuNanoseconds - start) / Double(repeats * inputs.count))
    }

    private static var cpuNanoseconds: Int {
        var now = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now)
        return now.tv_sec * 1_000_000_000 + now.tv_nsec
    }
}
