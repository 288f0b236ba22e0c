public import Messaging
public import Routing

/// Lets messages go on whose wait is over: unclaimed ones are resolved again as if they came in now, withheld ones are
/// released. Everything here can be done again and by several processes at once; a message moves once.
public struct Healing: Sendable {
    private let messages: any WaitingMessages
    private let lookup: any ConversationLookup
    private let table: @Sendable () -> RoutingTable?
    private let now: @Sendable () -> Timestamp

    /// People or landlords looked at in one step.
    static let stepMax = 500
    /// Withheld messages released in one transaction.
    static let releaseMax = 500

    /// - Parameter table: the routing table as it is now; `nil` until it was loaded once: nothing is claimed before.
    public init(
        messages: any WaitingMessages, lookup: any ConversationLookup,
        table: @escaping @Sendable () -> RoutingTable?, now: @escaping @Sendable () -> Timestamp
    ) {
        self.messages = messages
        self.lookup = lookup
        self.table = table
        self.now = now
    }

    /// What became of what waited.
    public struct Outcome: Hashable, Sendable {
        /// Unclaimed messages that are in a landlord's thread now.
        public var claimed = 0
        /// Unclaimed messages that several landlords could be meant by, as it turned out.
        public var held = 0
        /// Withheld messages that go on now.
        public var released = 0

        public init() {}

        public var isEmpty: Bool { self == Outcome() }
    }

    /// Looks at what the hints name. An error leaves the rest as it is: the same hints again go on.
    public func heal(_ hints: HealingHints) async throws(RecorderError) -> Outcome {
        var outcome = Outcome()
        if hints.isEverything {
            try await claimAll(&outcome)
            try await releaseAll(&outcome)
        } else {
            try await claim(hints, &outcome)
            try await release(of: Array(hints.landlords), &outcome)
        }
        return outcome
    }

    // MARK: Unclaimed

    private func claimAll(_ outcome: inout Outcome) async throws(RecorderError) {
        var last: UniqueID?
        repeat {
            let people = try await messages.unclaimedPeople(after: last, limit: Self.stepMax)
            try await claim(of: people, &outcome)
            last = people.count < Self.stepMax ? nil : people.last
        } while last != nil && !Task.isCancelled
    }

    private func claim(_ hints: HealingHints, _ outcome: inout Outcome) async throws(RecorderError) {
        let (keys, accounts) = (Array(hints.keys), Array(hints.accounts))
        for start in stride(from: 0, to: max(keys.count, accounts.count), by: Self.stepMax) {
            let people = try await messages.people(
                knownBy: Array(keys.dropFirst(start).prefix(Self.stepMax)),
                or: Array(accounts.dropFirst(start).prefix(Self.stepMax)))
            try await claim(of: people, &outcome)
        }
    }

    private func claim(of people: [UniqueID], _ outcome: inout Outcome) async throws(RecorderError) {
        guard !people.isEmpty, let table = table() else { return }
        let resolver = Resolver(table: table, today: now().day)
        for sender in try await messages.senders(among: people) {
            guard let endpoint = table.endpoint(sender.endpoint), endpoint.id == sender.endpointID else { continue }
            let decision = try await decide(sender, at: endpoint, resolver)
            if case .unclaimed = decision { continue }
            // A destination that does not hold is news: the change that ended it brings a hint of its own.
            let count = try await messages.claim(
                sender, for: .init(decision), tableGeneration: table.generation)
            if case .held = decision { outcome.held += count ?? 0 } else { outcome.claimed += count ?? 0 }
        }
    }

    /// The ladder, for a message of this sender that came in now and quotes nothing.
    private func decide(
        _ sender: WaitingSender, at endpoint: Endpoint, _ resolver: Resolver
    ) async throws(RecorderError) -> RoutingDecision {
        let message = InboundMessage(
            endpoint: sender.endpoint, id: "", sender: Sender(phone: sender.phone, accountID: sender.accountID),
            sentAt: now(), type: "text")
        switch resolver.firstPass(message, at: endpoint, withRoutes: sender.routes) {
        case .decided(let resolution): return resolution.decision
        case .needsThreads(let pending):
            let facts = try await lookup.facts(for: [
                ThreadQuestion(
                    endpoint: endpoint, phone: sender.phone?.key, accountID: sender.accountID, quotedMessageID: nil)
            ])
            // What is being asked is for what comes in now to answer.
            return resolver.decide(pending, SenderFacts(threads: facts.first?.threads ?? [])).decision
        }
    }

    // MARK: Withheld

    private func releaseAll(_ outcome: inout Outcome) async throws(RecorderError) {
        var last: UniqueID?
        repeat {
            let landlords = try await messages.withheldLandlords(after: last, limit: Self.stepMax)
            try await release(of: landlords, &outcome)
            last = landlords.count < Self.stepMax ? nil : landlords.last
        } while last != nil && !Task.isCancelled
    }

    private func release(of landlords: [UniqueID], _ outcome: inout Outcome) async throws(RecorderError) {
        for start in stride(from: 0, to: landlords.count, by: Self.stepMax) {
            let some = Array(landlords[start...].prefix(Self.stepMax))
            for thread in try await messages.threadsToRelease(of: some) {
                var count = 0
                repeat {
                    count = try await messages.release(thread: thread, limit: Self.releaseMax)
                    outcome.released += count
                } while count == Self.releaseMax && !Task.isCancelled
            }
        }
    }
}
