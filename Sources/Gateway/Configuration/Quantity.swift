/// Sizes and durations as people write them.
enum Quantity {
    /// Bytes of `1000000`, `512KiB`, `4MiB` or `8GiB`; `nil` for anything else, and beyond what 63 bits hold.
    static func bytes(_ text: String) -> Int64? {
        parse(text, units: ["": 1, "B": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40])
    }

    /// Seconds of `15s`, `10m`, `24h` or `7d`; `nil` for anything else, also for a number without a unit.
    static func seconds(_ text: String) -> Int64? {
        parse(text, units: ["s": 1, "m": 60, "h": 3600, "d": 86_400])
    }

    private static func parse(_ text: String, units: [String: Int64]) -> Int64? {
        let digits = text.prefix { ("0"..."9").contains($0) }
        guard let value = Int64(digits), let unit = units[String(text.dropFirst(digits.count))] else { return nil }
        let (product, overflow) = value.multipliedReportingOverflow(by: unit)
        return overflow ? nil : product
    }
}
