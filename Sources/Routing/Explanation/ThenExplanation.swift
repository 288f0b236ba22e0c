import Messaging

extension Explanation.Then {
    /// What stands on the record about a message that came in.
    package init(_ facts: RecordedFacts) {
        let metadata = facts.metadata
        let withheld = Set(["opted_out", "blocked", "over_limit", "by_rule"])
        verdict =
            switch facts.routingStatus {
            case "ambiguous": "held"
            case "unknown_sender": "unclaimed"
            case let status where withheld.contains(status): "withheld"
            default: "routed"
            }
        self.withheld = withheld.contains(facts.routingStatus) ? facts.routingStatus : nil
        rung = metadata.rung
        reason = Self.reason(metadata)
        place = facts.place
        tableGeneration = metadata.table
        rulesGeneration = metadata.rules
        matchedRules = metadata.matched
        candidates = facts.candidates
        question = metadata.question
        choice = metadata.choice
        tags = metadata.tags
        priority = metadata.priority
        claimedAt = metadata.claimedAt
        releasedAt = metadata.releasedAt
        actions = facts.actions
        questions = facts.questions
        jobs = facts.jobs
        acts = facts.acts
    }

    private static func reason(_ metadata: RecordedFacts.Metadata) -> String {
        let words =
            switch metadata.rung {
            case "quoted": "it quotes a message of this conversation"
            case "only_candidate": "exactly one landlord had a lease that counted for the sender"
            case "only_thread": "no lease counted any more, and the sender had exactly one conversation"
            case "landlord_spoke": "of those who could be meant only this landlord had just spoken"
            case "rule": "a rule gives it to this landlord"
            case "asked": "the sender was asked which landlord is meant, and answered"
            case "timeout": "nobody answered the question in time, and the rules name the landlord who gets it then"
            case "assigned": "an administrator gave it to this landlord"
            case "reassigned": "an administrator moved it to this conversation"
            case "held": "several landlords could be meant and nothing said which, or a rule holds it"
            case "unclaimed": "no landlord had this sender"
            case "claimed": "its sender became somebody's tenant"
            case let other?: "it was decided by \(other)"
            case nil: "the record does not say"
            }
        return metadata.claimedAt == nil
            ? words
            : "it waited without a landlord until a lease or conversation of its sender was known; then: \(words)"
    }
}

extension Explanation.Ours {
    /// Why a message of ours was sent.
    package init(_ facts: RecordedFacts) {
        let metadata = facts.metadata
        rule = metadata.rule
        answers = metadata.answers
        question = metadata.question
        place = facts.place
        sent = facts.sent
        reason =
            if let rule = metadata.rule {
                "the rule \(rule) answers a message of the tenant's with it"
            } else if metadata.question != nil {
                "it asks the tenant which landlord is meant"
            } else {
                "a landlord wrote it"
            }
    }
}
