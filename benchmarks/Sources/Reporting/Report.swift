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

/// What a benchmark prints: one JSON object, which `present.py` shows to people.
package struct Report {
    package var name: String
    package var results: [Result] = []

    package init(name: String) { self.name = name }

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
}
