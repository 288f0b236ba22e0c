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
    /// Messages moved in one transaction.
    static let moveMax = 500

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
        /// Unclaimed or held messages that are in a landlord's thread now.
        public var claimed = 0
        /// Unclaimed messages that several landlords could be meant by, as it turned out.
        public var held = 0
        /// Withheld messages that go on now.
        public var released = 0
        /// Senders and threads that were left as they are, and why the last of them was.
        public var failed = 0
        public var failure: String?

        public init() {}

        public var isEmpty: Bool { self == Outcome() }
    }

    /// Looks at what the hints name. An error leaves the rest as it is: the same hints again go on. What the database
    /// refuses of one sender or thread is left alone until it is looked at again.
    public func heal(_ hints: HealingHints) async throws(RecorderError) -> Outcome {
        var run = Run()
        if hints.isEverything {
            try await claimAll(&run)
            try await releaseAll(&run)
        } else {
            try await claim(hints, &run)
            try await release(of: Array(hints.landlords), &run)
        }
        return run.outcome
    }

    private struct Run {
        var outcome = Outcome()
        var failuresInARow = 0
    }

    /// Failures in a row that are no fault of the data, after which nothing more is tried: the database is in trouble.
    static let failuresInARowMax = 3

    /// Does something for one sender or thread, in whose way no other is to stand.
    private func apart(
        _ run: inout Run, _ body: (inout Run) async throws(RecorderError) -> Void
    ) async throws(RecorderError) {
        do throws(RecorderError) {
            try await body(&run)
            run.failuresInARow = 0
        } catch {
            if case .unavailable = error { run.failuresInARow += 1 }
            guard run.failuresInARow < Self.failuresInARowMax else { throw error }
            run.outcome.failed += 1
            run.outcome.failure = error.reason
        }
    }

    // MARK: Unclaimed

    private func claimAll(_ run: inout Run) async throws(RecorderError) {
        var last: UniqueID?
        repeat {
            let people = try await messages.unclaimedPeople(after: last, limit: Self.stepMax)
            try await claim(of: people, &run)
            last = people.count < Self.stepMax ? nil : people.last
        } while last != nil && !Task.isCancelled
    }

    private func claim(_ hints: HealingHints, _ run: inout Run) async throws(RecorderError) {
        let (keys, accounts) = (Array(hints.keys), Array(hints.accounts))
        for start in stride(from: 0, to: max(keys.count, accounts.count), by: Self.stepMax) {
            let people = try await messages.people(
                knownBy: Array(keys.dropFirst(start).prefix(Self.stepMax)),
                or: Array(accounts.dropFirst(start).prefix(Self.stepMax)))
            try await claim(of: people, &run)
        }
    }

    private func claim(of people: [UniqueID], _ run: inout Run) async throws(RecorderError) {
        guard !people.isEmpty, let table = table() else { return }
        let resolver = Resolver(table: table, today: now().day)
        for sender in try await messages.senders(among: people) {
            guard let endpoint = table.endpoint(sender.endpoint), endpoint.id == sender.endpointID else { continue }
            try await apart(&run) { run async throws(RecorderError) in
                try await claim(sender, at: endpoint, resolver, &run)
            }
        }
    }

    private func claim(
        _ sender: WaitingSender, at endpoint: Endpoint, _ resolver: Resolver, _ run: inout Run
    ) async throws(RecorderError) {
        let decision = try await decide(sender, at: endpoint, resolver)
        if case .unclaimed = decision { return }
        var count: Int?
        repeat {
            // A destination that does not hold is news: the change that ended it brings a hint of its own.
            count = try await messages.claim(
                sender, for: .init(decision), tableGeneration: resolver.table.generation, limit: Self.moveMax)
            if case .held = decision { run.outcome.held += count ?? 0 } else { run.outcome.claimed += count ?? 0 }
        } while count == Self.moveMax && !Task.isCancelled
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

    private func releaseAll(_ run: inout Run) async throws(RecorderError) {
        var last: UniqueID?
        repeat {
            let landlords = try await messages.withheldLandlords(after: last, limit: Self.stepMax)
            try await release(of: landlords, &run)
            last = landlords.count < Self.stepMax ? nil : landlords.last
        } while last != nil && !Task.isCancelled
    }

    private func release(of landlords: [UniqueID], _ run: inout Run) async throws(RecorderError) {
        for start in stride(from: 0, to: landlords.count, by: Self.stepMax) {
            let some = Array(landlords[start...].prefix(Self.stepMax))
            for thread in try await messages.threadsToRelease(of: some) {
                try await apart(&run) { run async throws(RecorderError) in
                    var count = 0
                    repeat {
                        count = try await messages.release(thread: thread, limit: Self.moveMax)
                        run.outcome.released += count
                    } while count == Self.moveMax && !Task.isCancelled
                }
            }
        }
    }
}
