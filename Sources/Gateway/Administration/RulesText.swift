package import Routing

/// An answer about rules: a report, how it reads, and what it comes to.
package struct RulesAnswer: Encodable, Sendable {
    package enum Outcome: Sendable {
        case fine
        /// Other rules would change something.
        case different
        /// The rules cannot be used, or there is nothing to tell.
        case failed
    }

    package let text: String
    package let outcome: Outcome
    private let report: any Encodable & Sendable

    package init(_ report: RulesCheckReport) {
        self.report = report
        text = RulesText.check(report)
        outcome = report.rules == nil ? .failed : .fine
    }

    package init(_ comparison: RulesAdministration.Comparison) {
        switch comparison {
        case .wrong(let report): self.init(report)
        case .compared(let report): self.init(report)
        }
    }

    private init(_ report: RulesDiffReport) {
        self.report = report
        text = RulesText.diff(report)
        outcome = report.isUnchanged ? .fine : .different
    }

    package init(_ report: RulesStatusReport) {
        self.report = report
        text = RulesText.status(report)
        outcome = report.gateways.isEmpty ? .failed : .fine
    }

    package func encode(to encoder: any Encoder) throws { try report.encode(to: encoder) }
}

/// Reports about rules, for people.
private enum RulesText {
    static func check(_ report: RulesCheckReport) -> String {
        guard let rules = report.rules else { return errors(report) }
        return "the rules of \(report.directory) can be used: signature \"\(rules.signature)\", "
            + "landlord_spoke_hours \(rules.landlordSpokeHours), \(rules.asks ? "asks" : "does not ask") whom a message "
            + "is for, rules: \(rules.rules.isEmpty ? "none" : rules.rules.joined(separator: ", "))"
    }

    private static func errors(_ report: RulesCheckReport) -> String {
        let rest = report.errorCount - report.errors.count
        return (report.errors.map(\.summary) + (rest > 0 ? ["and \(rest) more errors"] : [])).joined(separator: "\n")
    }

    // MARK: Diff

    static func diff(_ report: RulesDiffReport) -> String {
        var lines = [
            "before  \(report.before.digest)  \(report.before.from)",
            "after   \(report.after.digest)  \(report.after.from)",
        ]
        lines += files(report)
        lines.append(
            "of \(report.replayed) messages\(report.oldest.map { " since \($0)" } ?? "") \(report.changed) would be decided "
                + "differently: destination \(report.counts.destination), actions \(report.counts.actions), "
                + "rules \(report.counts.rules)")
        lines += report.changes.flatMap(change)
        let hidden = report.changed - report.changes.count
        if hidden > 0 { lines.append("and \(hidden) more, which are counted and not shown") }
        return (lines + report.caveats.map { "note: \($0)" }).joined(separator: "\n")
    }

    private static func files(_ report: RulesDiffReport) -> [String] {
        let lists = [
            ("added", report.rulesAdded), ("removed", report.rulesRemoved), ("edited", report.rulesEdited),
        ]
        var lines = lists.filter { !$0.1.isEmpty }.map { "rules \($0.0): \($0.1.joined(separator: ", "))" }
        if report.isReordered { lines.append("rules stand in another order") }
        return lines + report.settings.map { "\($0.name): \($0.before) -> \($0.after)" }
    }

    private static func change(_ change: RulesDiffReport.Change) -> [String] {
        func names(_ rules: [String]) -> String { rules.isEmpty ? "no rule" : rules.joined(separator: ", ") }
        var lines = ["  \(change.message)  \(change.sentAt)  from \(change.sender)"]
        lines.append("    rule         \(names(change.before.rules)) -> \(names(change.after.rules))")
        lines.append("    destination  \(change.before.destination) -> \(change.after.destination)")
        lines += change.actionsAdded.map { "    + \($0)" } + change.actionsRemoved.map { "    - \($0)" }
        return lines
    }

    // MARK: Status

    static func status(_ report: RulesStatusReport) -> String {
        let directory = report.directory
        var lines = [
            directory.rules.map { "\(directory.directory): digest \($0.digest), \($0.rules.count) rules" }
                ?? "\(directory.directory): cannot be used, \(directory.errorCount) errors; the first: "
                + (directory.errors.first?.summary ?? "")
        ]
        lines += report.gateways.flatMap(gateway)
        if report.gateways.isEmpty { lines.append("no gateway has told the database by which rules it decides") }
        if let problem = report.problem { lines.append(problem) }
        return lines.joined(separator: "\n")
    }

    private static func gateway(_ gateway: RulesStatusReport.Gateway) -> [String] {
        let differs = gateway.directoryDiffers.map { $0 ? "the directory holds something else" : "as the directory" }
        var lines = [
            "gateway \(gateway.gateway) on \(gateway.host), process \(gateway.process)"
                + (gateway.isRunning ? "" : "; not heard of since \(gateway.seenAt): it may not run"),
            "  generation  \(gateway.generation), since \(gateway.loadedAt), by \(gateway.loadedBy)",
            "  rules       \(gateway.rules), from \(gateway.directory), digest \(gateway.digest)"
                + (differs.map { ": \($0)" } ?? ""),
            "  the same    since \(gateway.sameSince), by \(gateway.sameSinceBy)",
        ]
        if let failure = gateway.lastFailure {
            lines.append(
                "  last failed \(failure.at), by \(failure.by), \(failure.errors) errors; the first: \(failure.firstError)"
            )
        }
        return lines
    }
}
