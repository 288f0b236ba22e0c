import Glibc

/// SplitMix64: a random number costs a nanosecond, and the system's costs a call into the kernel.
struct LoadRandom: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    /// From 0 to below 1.
    mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

    /// Around zero, with a deviation of one: twelve throws together come close enough to a bell.
    mutating func bell() -> Double { (0..<12).reduce(-6) { sum, _ in sum + unit() } }
}

/// Who writes how often: the sender in place k writes 1/k^1.1 times as often as the first (Zipf).
struct SenderDistribution: Sendable {
    /// The share of the first k senders together, for each k.
    private let shares: [Double]

    init(senders count: Int) {
        var sum = 0.0
        let sums = (1...count).map { place in
            sum += pow(Double(place), -1.1)
            return sum
        }
        shares = sums.map { $0 / sum }
    }

    /// - Returns: from 0 to below the count.
    func draw(using random: inout LoadRandom) -> Int {
        let wanted = random.unit()
        var (low, high) = (0, shares.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if shares[middle] > wanted { high = middle } else { low = middle + 1 }
        }
        return low
    }
}
