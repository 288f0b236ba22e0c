/// What came of worlds, for people and for `script/bench world`.
struct WorldReport {
    let last: Tally
    let total: Tally
    let seconds: Double

    init(_ last: Tally, _ total: Tally, seconds: Double) {
        self.last = last
        self.total = total
        self.seconds = seconds
    }

    var progress: String {
        "\(total.messages) messages in \(Int(seconds)) s, \(total.wrongLandlords) to the wrong landlord, "
            + "\(total.violations.count) violations"
    }

    /// One JSON object on one line; the keys are the cases of `script/bench world`.
    var result: String {
        var cases: [(name: String, count: Int)] = [
            ("messages", total.messages), ("to the wrong landlord", total.wrongLandlords),
            ("violations", total.violations.count), ("as the ideal", total.ideal),
        ]
        cases += Divergence.allCases.map { ("divergence: \($0.name)", total.divergences[$0] ?? 0) }
        cases += [
            ("notices", total.notices), ("duplicates", total.duplicates), ("statuses", total.statuses),
            ("tried again once their endpoint was known", total.redriven),
            ("found their landlord later", total.healed),
        ]
        cases += total.verdicts.sorted { $0.key < $1.key }.map { ("recorded as \($0.key)", $0.value) }
        let fields = cases.map { "\"\($0.name)\": \($0.count)" } + ["\"seconds\": \(seconds)"]
        return "result {\(fields.joined(separator: ", "))}"
    }
}
