import Messaging

/// A rung of the ladder, and why it decided or did not.
package struct LadderStep: Encodable, Hashable, Sendable {
    /// A `Rung` in its words.
    package let rung: String
    package let decided: Bool
    /// In words.
    package let reason: String
}

extension Resolver {
    /// The rungs in the order in which `decide` tries them, up to the one that decided. None did where the message
    /// waits.
    func steps(
        to resolution: Resolution, _ message: InboundMessage, _ pending: Pending, _ facts: SenderFacts
    ) -> [LadderStep] {
        let open = openThreads(facts.threads, pending)
        let rung = resolution.decision.rung
        let isTap = resolution.answer != nil && resolution.answer == pending.token
        let isText = resolution.answer != nil && !isTap
        let rungs: [(Rung, Bool, () -> String)] = [
            (.asked, isTap, { Self.passedTap(message, pending, facts) }),
            (.quoted, rung == .quoted, { Self.passedQuote(message, open) }),
            (.onlyCandidate, rung == .onlyCandidate, { Self.passedOnly(pending.candidates) }),
            (.asked, isText, { Self.passedText(pending, facts) }),
            (.onlyThread, rung == .onlyThread, { self.passedThread(pending, open) }),
            (.landlordSpoke, rung == .landlordSpoke, { self.passedSpoke(pending, open) }),
        ]
        var steps: [LadderStep] = []
        for (rung, decided, passed) in rungs {
            let reason =
                decided
                ? (isTap ? "it taps an option of a question the sender was asked" : reason(of: rung)) : passed()
            steps.append(LadderStep(rung: rung.rawValue, decided: decided, reason: reason))
            if decided { break }
        }
        return steps
    }

    /// Why a rung decides when it does.
    private func reason(of rung: Rung) -> String {
        switch rung {
        case .quoted: "it quotes a message of this conversation"
        case .onlyCandidate: "exactly one landlord has a lease that counts for the sender"
        case .onlyThread: "no lease counts any more, and the sender has exactly one conversation"
        case .landlordSpoke:
            "of those who could be meant only this landlord spoke within \(landlordSpokeHours) hours, "
                + "and no other has an open conversation"
        case .rule: "a rule says so"
        case .asked: "the sender was asked which landlord is meant, and this is the answer"
        }
    }

    private static func passedTap(_ message: InboundMessage, _ pending: Pending, _ facts: SenderFacts) -> String {
        guard message.replyPayload != nil else { return "it taps nothing" }
        guard let token = pending.token else { return "what it taps is no option of ours" }
        let isKnown = facts.questions.contains { $0.id == token.question }
        return isKnown ? "the option it taps does not count any more" : "no such question was asked of the sender"
    }

    private static func passedQuote(_ message: InboundMessage, _ open: [ThreadReference]) -> String {
        guard message.quotedMessageID != nil else { return "it quotes nothing" }
        return "what it quotes is in no conversation that is the sender's and may receive"
    }

    private static func passedOnly(_ candidates: CandidateList) -> String {
        let count = candidates.counting.count
        return count == 0 ? "no lease counts for the sender" : "\(count) landlords have a lease that counts"
    }

    private static func passedText(_ pending: Pending, _ facts: SenderFacts) -> String {
        guard facts.questions.contains(where: \.isOpen) else { return "no question to the sender is open" }
        return pending.text == nil ? "only a text or a tap answers the open question" : "the text names no option"
    }

    private func passedThread(_ pending: Pending, _ open: [ThreadReference]) -> String {
        if !pending.candidates.counting.isEmpty { return "leases count" }
        if !table.settings.conversationOutlivesLease { return "conversations end with their leases" }
        return open.isEmpty ? "the sender has no conversation" : "the sender has \(open.count) conversations"
    }

    private func passedSpoke(_ pending: Pending, _ open: [ThreadReference]) -> String {
        let spoken = Set(open.filter { spoke($0, before: pending.at) }.map(\.landlordID))
        if spoken.isEmpty { return "no landlord spoke within \(landlordSpokeHours) hours" }
        if spoken.count > 1 { return "\(spoken.count) landlords spoke within \(landlordSpokeHours) hours" }
        let candidates = pending.candidates.counting
        let isCandidate = candidates.isEmpty || candidates.contains { spoken.contains($0.landlordID) }
        return isCandidate
            ? "one landlord spoke, but another has an open conversation"
            : "the landlord who spoke has no lease that counts"
    }
}
