import Foundation

/// The processors this process may use: those of its affinity mask, as `taskset` or a container sets it.
enum Processors {
    static var available: Int {
        let status = FileManager.default.contents(atPath: "/proc/self/status") ?? Data()
        return count(inStatus: String(decoding: status, as: UTF8.self)) ?? ProcessInfo.processInfo.activeProcessorCount
    }

    /// Reads the line `Cpus_allowed:	00000000,00000003` of `/proc/self/status`.
    static func count(inStatus text: String) -> Int? {
        guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix("Cpus_allowed:") }) else { return nil }
        let digits = line.dropFirst("Cpus_allowed:".count).filter(\.isHexDigit)
        let bits = digits.reduce(0) { $0 + ($1.hexDigitValue?.nonzeroBitCount ?? 0) }
        return bits > 0 ? bits : nil
    }
}
