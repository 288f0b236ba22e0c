public import Messaging

/// Where a message goes, and by which rung of the ladder. The commit has the last word.
public enum RoutingDecision: Hashable, Sendable {
    /// By a lease: holds only while that row does.
    case lease(Candidate, rung: Rung)
    /// Into a thread that exists.
    case thread(ThreadReference, rung: Rung)
    /// Several could be meant; the list is empty when only threads compete, without a lease.
    case held([Candidate])
    /// Nobody has this sender.
    case unclaimed
}

/// The ladder: quoted message → only candidate → only thread → held or unclaimed.
///
/// In two steps, so that one query answers all messages of a batch whose threads matter:
/// `firstPass` decides from the table alone or says that it needs the sender's threads, `decide` goes on with them.
public struct Resolver: Sendable {
    public let table: RoutingTable
    /// The day on which leases run or not.
    public let today: CalendarDay

    public init(table: RoutingTable, today: CalendarDay) {
        self.table = table
        self.today = today
    }

    public enum FirstPass: Hashable, Sendable {
        case decided(RoutingDecision)
        /// Ask for the sender's threads and the quoted one, then call `decide`.
        case needsThreads(Pending)
    }

    /// A message whose threads are being asked for.
    public struct Pending: Hashable, Sendable {
        public let candidates: CandidateList
        public let endpoint: Endpoint
    }

    /// What the table alone says about a message.
    public func firstPass(_ message: InboundMessage, at endpoint: Endpoint) -> FirstPass {
        let candidates = table.candidates(
            phone: message.sender.phone?.key, account: message.sender.account(at: endpoint), endpoint: endpoint,
            today: today)
        return firstPass(candidates, message, at: endpoint)
    }

    /// The same with all leases the database has for this sender.
    public func firstPass(_ message: InboundMessage, at endpoint: Endpoint, withRoutes routes: [Route]) -> FirstPass {
        firstPass(pending(at: endpoint, withRoutes: routes).candidates, message, at: endpoint)
    }

    /// What is left to decide when the database told the sender's leases.
    public func pending(at endpoint: Endpoint, withRoutes routes: [Route]) -> Pending {
        let admitted = routes.lazy.filter { endpoint.admits(landlord: $0.landlordID) }
        return Pending(
            candidates: CandidateList(of: admitted, today: today, graceDays: table.settings.leaseGraceDays),
            endpoint: endpoint)
    }

    private func firstPass(_ candidates: CandidateList, _ message: InboundMessage, at endpoint: Endpoint) -> FirstPass {
        let threadMayCount =
            candidates.counting.isEmpty && table.settings.conversationOutlivesLease
            && !message.sender.isKnownByNothing
        if message.quotedMessageID != nil || threadMayCount {
            return .needsThreads(Pending(candidates: candidates, endpoint: endpoint))
        }
        return .decided(decide(Pending(candidates: candidates, endpoint: endpoint), threads: []))
    }

    /// The whole ladder.
    /// - Parameter threads: those of the sender, and the one whose message is quoted.
    public func decide(_ pending: Pending, threads: [ThreadReference]) -> RoutingDecision {
        var open: [ThreadReference] = []
        for thread in threads where isOpen(thread, pending) {
            // A thread that is quoted and the sender's own comes twice.
            if let known = open.firstIndex(where: { $0.conversationID == thread.conversationID }) {
                open[known].isQuoted = open[known].isQuoted || thread.isQuoted
            } else {
                open.append(thread)
            }
        }
        if let quoted = open.first(where: \.isQuoted) { return .thread(quoted, rung: .quoted) }
        if let only = pending.candidates.only { return .lease(only, rung: .onlyCandidate) }
        let candidates = pending.candidates.candidates
        if !candidates.isEmpty { return .held(candidates) }
        switch open.count {
        case 0: return .unclaimed
        case 1: return .thread(open[0], rung: .onlyThread)
        default: return .held([])
        }
    }

    /// Whether a thread may still receive: its landlord on this endpoint, and with a lease or in spite of its end.
    private func isOpen(_ thread: ThreadReference, _ pending: Pending) -> Bool {
        pending.endpoint.admits(landlord: thread.landlordID)
            && (table.settings.conversationOutlivesLease || pending.candidates.contains(landlord: thread.landlordID))
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
