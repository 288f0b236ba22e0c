package import Messaging

// What commands and the administrators' API answer about rules: the same names in both.

/// One mistake in the rules, said so that its author can mend it.
package struct RulesFinding: Encodable, Hashable, Sendable {
    package let file: String
    package let line: Int?
    package let column: Int?
    /// The offending text, shortened.
    package let text: String?
    package let problem: String
    package let hint: String
    /// All of it on one line.
    package let summary: String

    package init(_ error: RulesError) {
        file = error.file
        line = error.line
        column = error.column
        text = error.offendingText
        problem = error.problem
        hint = error.hint
        summary = error.description
    }
}

/// Whether rules can be used, and what they say.
package struct RulesCheckReport: Encodable, Hashable, Sendable {
    /// What holds when nothing is wrong.
    package struct Rules: Encodable, Hashable, Sendable {
        package let digest: String
        package let signature: String
        package let landlordSpokeHours: Int
        /// Whether a tenant of several landlords is asked which one is meant.
        package let asks: Bool
        /// Names of the rules, in their order.
        package let rules: [String]

        package init(_ rules: RoutingRules) {
            digest = rules.digestText
            signature = rules.signature.template
            landlordSpokeHours = rules.landlordSpokeHours
            asks = rules.asks
            self.rules = rules.rules.rules.map(\.name)
        }
    }

    /// Errors named; where there are more, `errorCount` says so.
    package static let errorsMax = 1000

    package let directory: String
    /// `nil` when something is wrong.
    package let rules: Rules?
    package let errors: [RulesFinding]
    package let errorCount: Int

    package init(directory: String, rules: RoutingRules) {
        self.directory = directory
        self.rules = Rules(rules)
        errors = []
        errorCount = 0
    }

    package init(directory: String, _ error: RulesErrors) {
        self.directory = directory
        rules = nil
        errors = error.errors.prefix(Self.errorsMax).map(RulesFinding.init)
        errorCount = error.errors.count
    }
}

/// What other rules would change.
package struct RulesDiffReport: Encodable, Hashable, Sendable {
    /// One of the two sets.
    package struct Side: Encodable, Hashable, Sendable {
        package let digest: String
        /// Where it is from, in words.
        package let from: String

        package init(_ rules: RoutingRules, from: String) {
            digest = rules.digestText
            self.from = from
        }
    }

    package struct Verdict: Encodable, Hashable, Sendable {
        /// `landlord ID`, `held` or `unclaimed`.
        package let destination: String
        package let rules: [String]
        package let actions: [String]
    }

    package struct Change: Encodable, Hashable, Sendable {
        package let message: String
        /// RFC 3339.
        package let sentAt: String
        /// Masked.
        package let sender: String
        package let before: Verdict
        package let after: Verdict
        package let actionsAdded: [String]
        package let actionsRemoved: [String]
    }

    /// How many messages change in what; one may change in several.
    package struct Counts: Encodable, Hashable, Sendable {
        package let destination: Int
        package let actions: Int
        package let rules: Int
    }

    package struct Setting: Encodable, Hashable, Sendable {
        package let name: String
        package let before: String
        package let after: String
    }

    package let before: Side
    package let after: Side
    /// Whether neither a verdict nor a setting would be another.
    package let isUnchanged: Bool
    package let replayed: Int
    package let changed: Int
    package let counts: Counts
    package let changes: [Change]
    package let rulesAdded: [String]
    package let rulesRemoved: [String]
    package let rulesEdited: [String]
    package let isReordered: Bool
    package let settings: [Setting]
    /// RFC 3339; of the oldest message that was replayed.
    package let oldest: String?
    package let isCutShort: Bool
    /// What a replay cannot tell, in sentences.
    package let caveats: [String]

    package init(_ diff: RulesDiff, before: Side, after: Side) {
        self.before = before
        self.after = after
        isUnchanged = diff.isEmpty
        replayed = diff.replayed
        changed = diff.changed
        counts = Counts(
            destination: diff.counts[.destination] ?? 0, actions: diff.counts[.actions] ?? 0,
            rules: diff.counts[.rules] ?? 0)
        changes = diff.changes.map(Change.init)
        rulesAdded = diff.rulesAdded
        rulesRemoved = diff.rulesRemoved
        rulesEdited = diff.rulesEdited
        isReordered = diff.isReordered
        settings = diff.settings.map { Setting(name: $0.name, before: $0.before, after: $0.after) }
        oldest = diff.oldest?.rfc3339
        isCutShort = diff.isCutShort
        caveats = diff.caveats
    }
}

extension RulesDiffReport.Verdict {
    fileprivate init(_ verdict: RuleVerdict) {
        destination = "\(verdict.destination)"
        rules = verdict.rules
        actions = verdict.actions
    }
}

extension RulesDiffReport.Change {
    fileprivate init(_ change: RulesDiff.Change) {
        message = "\(change.message)"
        sentAt = change.sentAt.rfc3339
        sender = change.sender.phone?.masked ?? change.sender.accountID.map { "…\($0.suffix(4))" } ?? "unknown"
        before = .init(change.before)
        after = .init(change.after)
        actionsAdded = change.actionsAdded
        actionsRemoved = change.actionsRemoved
    }
}

extension RulesDiff {
    /// What this comparison cannot tell, in sentences; the first always holds.
    fileprivate var caveats: [String] {
        var lines = [
            "both sets were asked as if the messages came now: with today's leases, threads and questions. What limits "
                + "automatic answers (once an hour, after 23 hours) was left out"
        ]
        if isCutShort { lines.append("time was up: fewer messages were replayed than were asked for") }
        if threadsMovedOn > 0 {
            lines.append("\(threadsMovedOn) messages hang on threads in which something was written since")
        }
        if withoutText > 0 {
            lines.append("\(withoutText) texts are stored without their words: no keyword finds them")
        }
        if skipped > 0 {
            lines.append("\(skipped) messages were left out: their endpoint is known no more, or not routed")
        }
        return lines
    }
}

/// By which rules gateways decide.
package struct RulesStatusReport: Encodable, Hashable, Sendable {
    package struct Failure: Encodable, Hashable, Sendable {
        /// RFC 3339.
        package let at: String
        package let by: String
        package let errors: Int
        package let firstError: String

        package init(at: Timestamp, by: String, errors: Int, firstError: String) {
            self.at = at.rfc3339
            self.by = by
            self.errors = errors
            self.firstError = firstError
        }
    }

    package struct Gateway: Encodable, Hashable, Sendable {
        /// By its journal.
        package let gateway: String
        package let host: String
        package let process: Int
        package let directory: String
        package let generation: Int64
        package let digest: String
        package let rules: Int
        /// RFC 3339, like all times here: since when this generation is live, and who loaded it.
        package let loadedAt: String
        package let loadedBy: String
        /// Since when these very files are live, also over restarts, and who brought them.
        package let sameSince: String
        package let sameSinceBy: String
        package let seenAt: String
        /// It told of itself lately.
        package let isRunning: Bool
        /// Whether the directory that was looked into holds something else; `nil` when it cannot be used.
        package let directoryDiffers: Bool?
        /// The last load that left everything as it was.
        package let lastFailure: Failure?

        package init(
            gateway: UniqueID, host: String, process: Int, directory: String, generation: Int64, digest: String,
            rules: Int, loaded: (at: Timestamp, by: String), same: (since: Timestamp, by: String), seenAt: Timestamp,
            isRunning: Bool, directoryDigest: String?, lastFailure: Failure?
        ) {
            self.gateway = "\(gateway)"
            self.host = host
            self.process = process
            self.directory = directory
            self.generation = generation
            self.digest = digest
            self.rules = rules
            loadedAt = loaded.at.rfc3339
            loadedBy = loaded.by
            sameSince = same.since.rfc3339
            sameSinceBy = same.by
            self.seenAt = seenAt.rfc3339
            self.isRunning = isRunning
            directoryDiffers = directoryDigest.map { $0 != digest }
            self.lastFailure = lastFailure
        }
    }

    /// The directory that was looked into, here and now.
    package let directory: RulesCheckReport
    /// The one that loaded last first.
    package let gateways: [Gateway]
    /// Why gateways may be missing; `nil` when all that told of themselves are there.
    package let problem: String?

    package init(directory: RulesCheckReport, gateways: [Gateway], problem: String? = nil) {
        self.directory = directory
        self.gateways = gateways
        self.problem = problem
    }
}

/// What became of a reload that an administrator asked for.
package struct RulesReloadReport: Encodable, Hashable, Sendable {
    /// `swapped`, `unchanged` or `rejected`.
    package let outcome: String
    package let generation: Int64
    package let digest: String
    package let summary: String

    package init(outcome: String, generation: Int64, digest: String, summary: String) {
        self.outcome = outcome
        self.generation = generation
        self.digest = digest
        self.summary = summary
    }
}
