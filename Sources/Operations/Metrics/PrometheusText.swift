/// Builds Prometheus' text format 0.0.4.
struct PrometheusText {
    static let contentType = "text/plain; version=0.0.4; charset=utf-8"

    private(set) var value = ""
    private let labelValueBytesMax: Int

    init(labelValueBytesMax: Int) {
        self.labelValueBytesMax = labelValueBytesMax
        value.reserveCapacity(16_384)
    }

    mutating func beginFamily(_ name: String, _ kind: MetricKind, help: String?) {
        if let help { value += "# HELP \(name) \(Self.escaped(help, quotes: false))\n" }
        value += "# TYPE \(name) \(kind.rawValue)\n"
    }

    mutating func append(_ series: MetricSeries, name: String, labels: String) {
        switch series {
        case .counter(let counter): line(name, labels, counter.value)
        case .gauge(let gauge): line(name, labels, gauge.value)
        case .histogram(let histogram):
            let snapshot = histogram.snapshot
            let prefix = labels.isEmpty ? "" : labels + ","
            var count: UInt64 = 0
            for (bound, inBucket) in zip(histogram.buckets + [.infinity], snapshot.counts) {
                count += inBucket
                line("\(name)_bucket", "\(prefix)le=\"\(Self.number(bound))\"", Double(count))
            }
            line("\(name)_sum", labels, snapshot.sum)
            line("\(name)_count", labels, Double(count))
        }
    }

    mutating func append(_ sample: MetricSample, name: String) {
        line(name, Self.labels(sample.labels, valueBytesMax: labelValueBytesMax), sample.value)
    }

    private mutating func line(_ name: String, _ labels: String, _ number: Double) {
        value += labels.isEmpty ? name : "\(name){\(labels)}"
        value += " \(Self.number(number))\n"
    }

    /// `a="1",b="2"`: sorted by name, each name once, names and values made fit.
    static func labels(_ dimensions: [(String, String)], valueBytesMax: Int) -> String {
        var seen: Set<String> = []
        return
            dimensions
            .map { (PrometheusName.label($0.0), $0.1) }
            .filter { seen.insert($0.0).inserted }
            .sorted { $0.0 < $1.0 }
            .map { "\($0.0)=\"\(escaped(shortened($0.1, bytesMax: valueBytesMax), quotes: true))\"" }
            .joined(separator: ",")
    }

    static func number(_ value: Double) -> String {
        if value.isNaN { return "NaN" }
        if value.isInfinite { return value < 0 ? "-Inf" : "+Inf" }
        if let whole = Int64(exactly: value) { return String(whole) }
        return value.description
    }

    private static func shortened(_ text: String, bytesMax: Int) -> String {
        guard text.utf8.count > bytesMax else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: bytesMax)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        return String(text[..<end])
    }

    /// Backslash and line feed everywhere, quotes in label values; other control characters are left out.
    private static func escaped(_ text: String, quotes: Bool) -> String {
        var result = ""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\\": result += "\\\\"
            case "\n": result += "\\n"
            case "\"" where quotes: result += "\\\""
            case "\u{0}"..."\u{1F}", "\u{7F}": continue
            default: result.unicodeScalars.append(scalar)
            }
        }
        return result
    }
}

/// Names as Prometheus allows them.
enum PrometheusName {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`
    static func metric(_ name: String) -> String { fit(name, colon: true) }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`; `le` belongs to histograms, a leading `__` to Prometheus itself.
    static func label(_ name: String) -> String {
        let fitted = fit(name, colon: false)
        return fitted == "le" || fitted.hasPrefix("__") ? "exported_\(fitted)" : fitted
    }

    private static func fit(_ name: String, colon: Bool) -> String {
        var bytes = name.utf8.map { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"): byte
            case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"): byte
            case UInt8(ascii: ":") where colon: byte
            default: UInt8(ascii: "_")
            }
        }
        if bytes.first.map({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }) ?? true {
            bytes.insert(UInt8(ascii: "_"), at: 0)
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
