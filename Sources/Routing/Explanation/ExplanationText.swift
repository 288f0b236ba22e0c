package import Messaging

extension Explanation {
    /// Of a message that was recorded.
    package init(
        recorded facts: RecordedFacts, at endpoint: String, now: Decision?, identities: [Identity], table: Source,
        rules: Source, mask: ExplanationMask
    ) {
        subject = Subject(
            id: facts.id, endpoint: endpoint, type: facts.type, sentAt: facts.sentAt, recordedAt: facts.recordedAt,
            phone: facts.phone.map(mask.phone), account: facts.accountID.map(mask.account))
        self.identities = identities
        self.table = table
        self.rules = rules
        guard facts.isIncoming else {
            let ours = Ours(facts)
            self.ours = ours
            summary = "a message of ours, \(ours.sent.status): \(ours.reason)"
            return
        }
        let then = Then(facts)
        self.then = then
        self.now = now
        summary = Self.summary(then.verdict, then.place, then.withheld, then.candidates)
        isUnchanged = now.map {
            $0.verdict == then.verdict && $0.place?.landlord == then.place?.landlord
                && ($0.place?.tenant == then.place?.tenant || $0.place?.tenant == nil)
        }
    }

    /// Of a message that was not written.
    package init(
        hypothetical message: InboundMessage, at endpoint: String, now: Decision, identities: [Identity], table: Source,
        rules: Source, mask: ExplanationMask
    ) {
        subject = Subject(
            endpoint: endpoint, type: message.type, sentAt: message.sentAt,
            phone: message.sender.phone.map(mask.phone), account: message.sender.accountID.map(mask.account))
        self.now = now
        self.identities = identities
        self.table = table
        self.rules = rules
        let choices = now.leases.filter(\.counts).map(\.place)
        summary = Self.summary(now.verdict, now.place, now.withheld, choices)
    }

    private static func summary(
        _ verdict: String, _ place: Place?, _ withheld: String?, _ choices: [Place]
    ) -> String {
        let landlord = place?.words ?? "a landlord"
        switch verdict {
        case "routed": return "routed: goes to \(landlord)"
        case "withheld":
            let why =
                switch withheld {
                case "opted_out": "the landlord has WhatsApp switched off"
                case "blocked": "the conversation is blocked"
                case "over_limit": "a limit is reached"
                default: "a rule says so"
                }
            return "withheld: stands in the conversation with \(landlord) and goes no further, for \(why)"
        case "held":
            let names = choices.map(\.words).joined(separator: "; ")
            return "held: waits, and could be for \(names.isEmpty ? "several landlords" : names)"
        default: return "unclaimed: no landlord has this sender"
        }
    }
}

extension Explanation.Place {
    /// As people call it.
    var words: String {
        let name = landlordName ?? "landlord \(landlord)"
        return propertyAddress.map { "\(name) (\($0))" } ?? name
    }
}

// MARK: Text

extension Explanation {
    /// All of it for people: what, why, then the rest in order.
    package var text: String {
        var lines = [head, summary]
        if let then { lines += then.lines } else if let ours { lines += ours.lines }
        if let now { lines += nowLines(now) }
        if !identities.isEmpty { lines += ["", "known by"] + identities.map { "  " + $0.line } }
        if now != nil { lines += ["", "decided now by: table \(table.line); rules \(rules.line)"] }
        return lines.map(Self.plain).joined(separator: "\n")
    }

    /// Names and texts that others chose: nothing in them acts upon a terminal, or begins a line.
    private static func plain(_ line: String) -> String {
        let shown = line.unicodeScalars.map { scalar -> Character in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator: " "
            default: Character(scalar)
            }
        }
        return String(shown)
    }

    private var head: String {
        let sender = [subject.phone, subject.account.map { "account \($0)" }].compactMap { $0 }
        let from = sender.isEmpty ? "" : "\(ours == nil ? " from" : " to") " + sender.joined(separator: ", ")
        let message = subject.id.map { "message \($0)" } ?? "a message"
        return "\(message): \(subject.type)\(from), \(subject.sentAt.rfc3339), at \(subject.endpoint)"
    }

    private func nowLines(_ now: Decision) -> [String] {
        var lines: [String] = []
        if then != nil {
            let verdict = Self.summary(now.verdict, now.place, now.withheld, now.leases.filter(\.counts).map(\.place))
            lines += ["", isUnchanged == true ? "it would go the same way now" : "now it would be \(verdict)"]
        }
        lines += ["rung: \(now.rung ?? "none"): \(now.reason)", "", "the ladder"]
        lines += now.ladder.map { "  \($0.decided ? "*" : "-") \($0.rung): \($0.reason)" }
        lines += now.asks ? ["  the sender is asked which landlord is meant"] : []
        lines += ["", "leases of the sender"] + (now.leases.isEmpty ? ["  none"] : now.leases.map { "  " + $0.line })
        if !now.threads.isEmpty { lines += ["", "conversations of the sender"] + now.threads.map { "  " + $0.line } }
        if !now.rules.isEmpty {
            lines += ["", "rules that match"] + now.rules.map { "  \($0.name)\($0.place.map { " (\($0))" } ?? "")" }
        }
        if !now.orders.isEmpty { lines += ["", "ordered"] + now.orders.map { "  \($0.action), by \($0.rule)" } }
        return lines
    }
}

extension Explanation.Then {
    fileprivate var lines: [String] {
        var lines = ["rung: \(rung ?? "none"): \(reason)"]
        let rules = rulesGeneration.map { "rules \($0)" } ?? "no rules"
        lines.append("decided then with: table \(tableGeneration.map { "\($0)" } ?? "unknown"), \(rules)")
        if !matchedRules.isEmpty { lines.append("rules that matched: \(matchedRules.joined(separator: ", "))") }
        if !tags.isEmpty { lines.append("tags: \(tags.joined(separator: ", "))") }
        if let priority { lines.append("priority: \(priority)") }
        if let question { lines.append("answers question \(question) with choice \(choice.map { "\($0)" } ?? "none")") }
        if let claimedAt { lines.append("without a landlord until \(claimedAt.rfc3339)") }
        if let releasedAt { lines.append("withheld until \(releasedAt.rfc3339)") }
        let came = actions.map(\.line) + questions.map(\.line) + jobs.map(\.line)
        lines += ["", "what came of it"] + (came.isEmpty ? ["  nothing beside its place"] : came.map { "  " + $0 })
        if !acts.isEmpty { lines += ["", "what administrators did"] + acts.map { "  " + $0.line } }
        return lines
    }
}

extension Explanation.Ours {
    fileprivate var lines: [String] {
        var lines = ["why: \(reason)"]
        if let answers { lines.append("answers message \(answers)") }
        if let question { lines.append("asks question \(question)") }
        if let place { lines.append("in the conversation with \(place.words)") }
        return lines + ["", sent.line]
    }
}

extension Explanation.Action {
    fileprivate var line: String {
        let what = "\(action)\(value.map { " \"\($0)\"" } ?? "")"
        let closed = closedAt.map { ", closed \($0.rfc3339) by \(closedBy ?? "?")" } ?? ""
        return "rule \(rule): \(what): \(outcome)\(detail.map { " (\($0))" } ?? "")\(closed)"
            + (sent.map { "; \($0.line)" } ?? "")
    }
}

extension Explanation.Question {
    fileprivate var line: String {
        let choices = choices.enumerated().map { "\($0 + 1). \($1)" }.joined(separator: "; ")
        var line = "question \(id) of \(askedAt.rfc3339), \(status): \(choices)"
        if let answer { line += "; answered with \(answer)\(answeredAt.map { " at \($0.rfc3339)" } ?? "")" }
        if let released, released > 0 { line += ", which let \(released) messages go" }
        if status == "open" { line += "; waits until \(expiresAt.rfc3339)" }
        return line + (sent.map { "; \($0.line)" } ?? "")
    }
}

extension Explanation.Sent {
    fileprivate var line: String {
        let times = [("delivered", deliveredAt), ("read", readAt), ("failed", failedAt)]
        var parts = ["message \(message) \(status)"]
        parts += times.compactMap { name, at in at.map { "\(name) \($0.rfc3339)" } }
        if let outcome, outcome != "accepted" { parts.append("our call was \(outcome)") }
        if let errorCode { parts.append("error \(errorCode)") }
        if let errorDetail { parts.append(errorDetail) }
        if let job { parts.append("its job is \(job)\(lastError.map { ": \($0)" } ?? "")") }
        return parts.joined(separator: ", ")
    }
}

extension Explanation.Job {
    fileprivate var line: String {
        "\(kind): \(state), tried \(attempts) times\(lastError.map { ", last error: \($0)" } ?? "")"
    }
}

extension Explanation.Act {
    fileprivate var line: String {
        "\(at.rfc3339) \([role, actor.map { "\($0)" }].compactMap { $0 }.joined(separator: " ")): \(action) \(detail)"
    }
}

extension Explanation.Identity {
    fileprivate var line: String {
        let retired = retiredAt.map { ", not theirs since \($0.rfc3339) (\(retiredReason ?? "unknown"))" } ?? ""
        return "\(kind) \(value), person \(person), since \(firstSeen.rfc3339)\(retired)"
    }
}

extension Explanation.Lease {
    fileprivate var line: String {
        let ids = [("tenant", place.tenant), ("lease", place.lease)].compactMap { name, id in id.map { "\(name) \($0)" }
        }
        let under = ["under \(phone)"] + ids
        return "\(counts ? "*" : "-") \(place.words), \(under.joined(separator: ", ")): \(outcome)"
    }
}

extension Explanation.Thread {
    fileprivate var line: String {
        var line = place.words
        if isQuoted { line += ", quoted" }
        if isArchived { line += ", archived" }
        if let lastMessageAt { line += ", last message \(lastMessageAt.rfc3339)" }
        return line + ", landlord spoke " + (landlordSpokeAt?.rfc3339 ?? "never")
    }
}

extension Explanation.Source {
    fileprivate var line: String { source + (generation.map { ", generation \($0)" } ?? "") }
}
