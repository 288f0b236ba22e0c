/// One measured case beside its reference.
package struct Result {
    package var name: String
    package var value: Double
    package var unit: String
    /// The same job done by the reference, in this run.
    package var reference: Double?

    package var ratio: Double? { reference.map { value / $0 } }

    package init(name: String, value: Double, unit: String, reference: Double?) {
        self.name = name
        self.value = value
        self.unit = unit
        self.reference = reference
    }
}

/// What a benchmark prints: a table for people, or one JSON object.
package struct Report {
    package var name: String
    package var results: [Result] = []

    package init(name: String) { self.name = name }

    package var table: String {
        let width = max(4, results.map(\.name.count).max() ?? 0)
        let head = pad("case", width) + "       value  unit        reference  ratio"
        let lines = results.map { result in
            pad(result.name, width) + pad(rounded(result.value), -12) + "  " + pad(result.unit, 9)
                + pad(result.reference.map(rounded) ?? "–", -12) + pad(result.ratio.map(rounded) ?? "–", -7)
        }
        return ([head] + lines).joined(separator: "\n")
    }

    package var json: String {
        let rows = results.map { result in
            let reference = result.reference.map(rounded) ?? "null"
            let ratio = result.ratio.map(rounded) ?? "null"
            return "{\"case\":\"\(result.name)\",\"value\":\(rounded(result.value)),\"unit\":\"\(result.unit)\","
                + "\"reference\":\(reference),\"ratio\":\(ratio)}"
        }
        return "{\"name\":\"\(name)\",\"results\":[\(rows.joined(separator: ","))]}"
    }

    private func rounded(_ value: Double) -> String {
        let hundredths = (value * 100).rounded() / 100
        return "\(hundredths)"
    }

    /// Left-aligned, or right-aligned for a negative width.
    private func pad(_ text: String, _ width: Int) -> String {
        let blanks = String(repeating: " ", count: max(0, abs(width) - text.count))
        return width < 0 ? blanks + text : text + blanks
    }
}
