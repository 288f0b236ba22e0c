public import Messaging

/// Where a message goes, and by which rung of the ladder. The commit has the last word.
public enum RoutingDecision: Hashable, Sendable {
    /// By a lease: holds only while that row does.
    case lease(Candidate, rung: Rung)
    /// Into a thread that exists.
    case thread(ThreadReference, rung: Rung)
    /// To a landlord with whom the sender has neither, because a rule says so.
    case landlord(UniqueID, rung: Rung)
    /// Several could be meant: by their leases, or, where only threads compete, by those.
    case held([Candidate], threads: [ThreadReference] = [])
    /// Nobody has this sender.
    case unclaimed
}

/// The ladder: answered question → quoted message → only candidate → landlord who spoke → held or unclaimed.
///
/// In two steps, so that one query answers all messages of a batch whose threads matter:
/// `firstPass` decides from the table alone or says that it needs the sender's threads, `decide` goes on with them.
public struct Resolver: Sendable {
    public let table: RoutingTable
    /// The day on which leases run or not.
    public let today: CalendarDay
    /// How long before a message a landlord's own counts as one it answers.
    public let landlordSpokeHours: Int

    /// The landlord's clock is ours, the message's the provider's, in whole seconds.
    static let clockTolerance: Int64 = 5 * 60

    public init(table: RoutingTable, today: CalendarDay, landlordSpokeHours: Int = 24) {
        self.table = table
        self.today = today
        self.landlordSpokeHours = landlordSpokeHours
    }

    public enum FirstPass: Hashable, Sendable {
        case decided(Resolution)
        /// Ask for what the database knows of the sender, then call `decide`.
        case needsThreads(Pending)
    }

    /// A message about whose sender the database is being asked.
    public struct Pending: Hashable, Sendable {
        public let candidates: CandidateList
        public let endpoint: Endpoint
        /// The message's time, by which the landlord's word is recent or not: the provider's, unless somebody knows better.
        public var at: Timestamp
        /// Of the option that the message taps.
        public let token: ChoiceToken?
        /// What a text answers with.
        public let text: String?
    }

    /// What the table alone says about a message.
    public func firstPass(_ message: InboundMessage, at endpoint: Endpoint) -> FirstPass {
        firstPass(candidates(of: message, at: endpoint), message, at: endpoint)
    }

    /// The same with all leases the database has for this sender.
    public func firstPass(_ message: InboundMessage, at endpoint: Endpoint, withRoutes routes: [Route]) -> FirstPass {
        firstPass(pending(message, at: endpoint, withRoutes: routes).candidates, message, at: endpoint)
    }

    /// What is left to decide when the database told the sender's leases.
    public func pending(_ message: InboundMessage, at endpoint: Endpoint, withRoutes routes: [Route]) -> Pending {
        let admitted = routes.lazy.filter { endpoint.admits(landlord: $0.landlordID) }
        return pending(
            message, at: endpoint,
            CandidateList(of: admitted, today: today, graceDays: table.settings.leaseGraceDays))
    }

    /// What there is to decide by the table's leases.
    func pending(_ message: InboundMessage, at endpoint: Endpoint) -> Pending {
        pending(message, at: endpoint, candidates(of: message, at: endpoint))
    }

    private func candidates(of message: InboundMessage, at endpoint: Endpoint) -> CandidateList {
        table.candidates(
            phone: message.sender.phone?.key, account: message.sender.account(at: endpoint), endpoint: endpoint,
            today: today)
    }

    private func pending(_ message: InboundMessage, at endpoint: Endpoint, _ candidates: CandidateList) -> Pending {
        Pending(
            candidates: candidates, endpoint: endpoint, at: message.sentAt,
            token: message.replyPayload.flatMap { ChoiceToken($0) }, text: message.type == "text" ? message.body : nil)
    }

    func firstPass(_ candidates: CandidateList, _ message: InboundMessage, at endpoint: Endpoint) -> FirstPass {
        if candidates.only != nil, message.quotedMessageID == nil, message.replyPayload == nil {
            return .decided(only(of: candidates))
        }
        let threadMayCount =
            candidates.counting.isEmpty && table.settings.conversationOutlivesLease
            && !message.sender.isKnownByNothing
        let pending = pending(message, at: endpoint, candidates)
        if message.quotedMessageID != nil || pending.token != nil || candidates.counting.count > 1 || threadMayCount {
            return .needsThreads(pending)
        }
        return .decided(decide(pending, SenderFacts()))
    }

    /// The whole ladder.
    public func decide(_ pending: Pending, _ facts: SenderFacts) -> Resolution {
        let open = openThreads(facts.threads, pending)
        if let token = pending.token, let question = facts.questions.first(where: { $0.id == token.question }),
            let answered = answered(question, token.choice, pending, open)
        {
            return answered
        }
        if let quoted = open.first(where: \.isQuoted) { return into(quoted, rung: .quoted, pending) }
        if pending.candidates.only != nil { return only(of: pending.candidates) }
        if let text = pending.text {
            for question in facts.questions where question.isOpen {
                guard let choice = question.choice(named: text) else { continue }
                if let answered = answered(question, choice, pending, open) { return answered }
            }
        }
        let candidates = pending.candidates.candidates
        if candidates.isEmpty, open.count == 1 { return into(open[0], rung: .onlyThread, pending) }
        if let spoken = threadOfLandlordWhoSpoke(pending, open) { return into(spoken, rung: .landlordSpoke, pending) }
        if !candidates.isEmpty { return Resolution(.held(candidates)) }
        return Resolution(open.isEmpty ? .unclaimed : .held([], threads: open))
    }

    /// The threads that may still receive, each once: one that is quoted and the sender's own comes twice.
    func openThreads(_ threads: [ThreadReference], _ pending: Pending) -> [ThreadReference] {
        var open: [ThreadReference] = []
        for thread in threads where isOpen(thread, pending) {
            if let known = open.firstIndex(where: { $0.conversationID == thread.conversationID }) {
                open[known].isQuoted = open[known].isQuoted || thread.isQuoted
            } else {
                open.append(thread)
            }
        }
        return open
    }

    /// Whether a thread may still receive: its landlord on this endpoint, and with a lease or in spite of its end.
    private func isOpen(_ thread: ThreadReference, _ pending: Pending) -> Bool {
        pending.endpoint.admits(landlord: thread.landlordID)
            && (table.settings.conversationOutlivesLease || pending.candidates.contains(landlord: thread.landlordID))
    }

    // MARK: Rungs

    private func only(of candidates: CandidateList) -> Resolution {
        guard let only = candidates.only else { preconditionFailure("asked for the only one of several candidates") }
        return Resolution(.lease(only, rung: .onlyCandidate), isEnded: candidates.running.isEmpty)
    }

    private func into(_ thread: ThreadReference, rung: Rung, _ pending: Pending) -> Resolution {
        let isRunning = pending.candidates.running.contains { $0.landlordID == thread.landlordID }
        return Resolution(.thread(thread, rung: rung), isEnded: !isRunning)
    }

    /// A choice counts while its landlord is still the sender's: by a lease of today, or by the thread it was.
    private func answered(
        _ question: AskedQuestion, _ number: Int, _ pending: Pending, _ open: [ThreadReference]
    ) -> Resolution? {
        guard question.choices.indices.contains(number - 1) else { return nil }
        let choice = question.choices[number - 1]
        let answer = ChoiceToken(question: question.id, choice: number)
        if let candidate = pending.candidates.candidates.first(where: { $0.landlordID == choice.landlordID }) {
            return Resolution(
                .lease(candidate, rung: .asked), answer: answer, isEnded: pending.candidates.running.isEmpty)
        }
        guard let thread = open.first(where: { $0.conversationID == choice.conversationID }) else { return nil }
        var resolution = into(thread, rung: .asked, pending)
        resolution.answer = answer
        return resolution
    }

    /// Whether a thread's landlord spoke within the window before a message of this time.
    func spoke(_ thread: ThreadReference, before message: Timestamp) -> Bool {
        guard let last = thread.lastOutboundAt else { return false }
        return last >= message.advanced(bySeconds: -Int64(landlordSpokeHours) * 3600)
            && last <= message.advanced(bySeconds: Self.clockTolerance)
    }

    /// The thread of the one landlord who spoke within the window, if nobody else who could be meant has an open one.
    ///
    /// A thread the landlord put away is open only while it is in use: a message within the window says so.
    private func threadOfLandlordWhoSpoke(_ pending: Pending, _ open: [ThreadReference]) -> ThreadReference? {
        let from = pending.at.advanced(bySeconds: -Int64(landlordSpokeHours) * 3600)
        let spoken = open.filter { spoke($0, before: pending.at) }
        guard let newest = spoken.max(by: { ($0.lastOutboundAt ?? from) < ($1.lastOutboundAt ?? from) }) else {
            return nil
        }
        let candidates = pending.candidates.counting
        let isCandidate = candidates.isEmpty || candidates.contains { $0.landlordID == newest.landlordID }
        guard isCandidate, spoken.allSatisfy({ $0.landlordID == newest.landlordID }) else { return nil }
        let others = open.filter { thread in
            thread.landlordID != newest.landlordID
                && (candidates.isEmpty || candidates.contains { $0.landlordID == thread.landlordID })
        }
        let competes = others.contains { !$0.isArchived || ($0.lastMessageAt.map { $0 >= from } ?? false) }
        return competes ? nil : newest
    }
}

extension Sender {
    /// The account id in the trust domain of the endpoint it was seen on.
    public func account(at endpoint: Endpoint) -> AccountIdentity? {
        accountID.map {
            AccountIdentity(kind: endpoint.reference.kind.accountIDKind, scope: endpoint.accountIDScope, value: $0)
        }
    }
}
