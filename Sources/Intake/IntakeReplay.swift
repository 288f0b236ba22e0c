public import Journal
public import Messaging
public import Routing

// Replay: webhooks that are stored are decoded again, with what the decoder has learnt since.

/// Some stored webhooks in their order, between two places of a replay.
public struct ReplaySlice: Sendable {
    public typealias RequestID = Int64

    /// A stored webhook's place among all: they are in the order of receipt, journal and position.
    public struct Place: Hashable, Sendable {
        public var receivedAt: Timestamp
        public var journal: Int32
        public var position: JournalPosition

        public init(receivedAt: Timestamp, journal: Int32, position: JournalPosition) {
            self.receivedAt = receivedAt
            self.journal = journal
            self.position = position
        }
    }

    public var request: RequestID
    /// Up to where the replay has come; `nil` = nowhere.
    public var after: Place?
    public var webhooks: [StoredWebhook]
    /// Nothing follows.
    public var isLast: Bool

    public init(request: RequestID, after: Place?, webhooks: [StoredWebhook], isLast: Bool) {
        self.request = request
        self.after = after
        self.webhooks = webhooks
        self.isLast = isLast
    }

    /// Up to where it will have come.
    public var end: Place? { webhooks.last?.place ?? after }

    /// One webhook of it, as a slice of its own.
    fileprivate func part(_ index: Int) -> ReplaySlice {
        ReplaySlice(
            request: request, after: index == 0 ? after : webhooks[index - 1].place, webhooks: [webhooks[index]],
            isLast: isLast && index == webhooks.count - 1)
    }
}

/// A webhook as it stands in the log.
public struct StoredWebhook: Sendable {
    public var place: ReplaySlice.Place
    public var source: WebhookSource
    public var body: [UInt8]
    /// Indexes of its updates that are parked: those are tried again by a redrive.
    public var parked: Set<Int>

    public init(place: ReplaySlice.Place, source: WebhookSource, body: [UInt8], parked: Set<Int>) {
        self.place = place
        self.source = source
        self.body = body
        self.parked = parked
    }
}

/// What a batch that replays stored webhooks settles beside its messages and statuses.
public struct ReplayedWebhooks: Sendable {
    /// A webhook as today's decoder finds it.
    public struct Webhook: Hashable, Sendable {
        public var place: ReplaySlice.Place
        public var updates: Int
        public var statuses: Int
        /// How many of the batch's messages are its; they stand in its order.
        public var messages: Int
    }

    public var request: ReplaySlice.RequestID
    public var after: ReplaySlice.Place?
    public var end: ReplaySlice.Place?
    public var isLast: Bool
    public var webhooks: [Webhook] = []
    /// The database refused the data: nothing of these webhooks is changed.
    public var refused = 0

    init(_ slice: ReplaySlice) {
        request = slice.request
        after = slice.after
        end = slice.end
        isLast = slice.isLast
    }
}

/// What a slice came to.
public struct ReplayOutcome: Hashable, Sendable {
    public var webhooks = 0
    /// Messages that were ignored before, and are recorded now.
    public var recorded = 0
    /// Messages that were recorded, and have a body or a quote now.
    public var refreshed = 0
    /// Files that messages are known to carry now.
    public var files = 0
    /// Statuses applied again.
    public var statuses = 0
    /// Webhooks whose data the database refused.
    public var refused = 0

    public init() {}

    public static func += (a: inout ReplayOutcome, b: ReplayOutcome) {
        a.webhooks += b.webhooks
        a.recorded += b.recorded
        a.refreshed += b.refreshed
        a.files += b.files
        a.statuses += b.statuses
        a.refused += b.refused
    }
}

extension BatchPlanner {
    /// Messages and statuses of stored webhooks, decided as of now. What else they hold happened in the journal's
    /// order, and is not done again: identity changes above all.
    func draft(
        _ slice: ReplaySlice, into batch: RecordBatch, using generator: inout IdentifierGenerator
    ) -> Draft {
        var draft = Draft(batch: batch)
        var replay = ReplayedWebhooks(slice)
        for stored in slice.webhooks {
            let (messages, statuses) = (draft.batch.messages.count, draft.batch.statuses.count)
            let envelope = Envelope(
                source: stored.source, receivedAt: stored.place.receivedAt, signature: [], body: stored.body)
            let updates = DecodedEntry.decode(envelope).updates
            for (index, update) in updates.enumerated() where !stored.parked.contains(index) {
                let place = Place(
                    position: stored.place.position, index: index, source: stored.source,
                    receivedAt: stored.place.receivedAt, payload: stored.body)
                addAgain(update, at: place, to: &draft, using: &generator)
            }
            replay.webhooks.append(
                ReplayedWebhooks.Webhook(
                    place: stored.place, updates: updates.count, statuses: draft.batch.statuses.count - statuses,
                    messages: draft.batch.messages.count - messages))
        }
        // What was ignored and cannot be processed stays ignored.
        draft.batch.parked = []
        noteGenerations(in: &draft)
        draft.batch.replay = replay
        return draft
    }

    private func addAgain(
        _ update: InboundEvent, at place: Place, to draft: inout Draft,
        using generator: inout IdentifierGenerator
    ) {
        switch update {
        case .message(var message):
            message.sender = message.senderAfterChanges
            message.identityChanges = []
            add(.message(message), at: place, to: &draft, using: &generator)
        case .status: add(update, at: place, to: &draft, using: &generator)
        default: break
        }
    }
}

/// What a replay would do, found out without a gateway.
public enum ReplayPreview {
    /// The batch a slice would make with this table, as if nobody had a thread.
    public static func batch(of slice: ReplaySlice, table: RoutingTable, now: Timestamp) -> RecordBatch {
        var generator = IdentifierGenerator()
        let batch = RecordBatch(journal: 0, owner: UniqueID(high: 0, low: 0), after: .start, upTo: .start)
        let planner = BatchPlanner(table: table, now: now, limits: IntakeLimits())
        var draft = planner.draft(slice, into: batch, using: &generator)
        planner.settle(&draft, facts: draft.questions.map { _ in SenderFacts() }, using: &generator)
        return draft.batch
    }
}

extension Intake {
    /// Stored webhooks in one slice: what comes in meanwhile waits for no more than that.
    private static let replaySliceMax = 100

    /// Goes on with a replay: a slice between two batches, and slice after slice while nothing comes in.
    func replayWhenDue() async throws(Interruption) {
        guard now() >= nextReplay else { return }
        repeat {
            guard let slice = try? await recorder.replaySlice(limit: Self.replaySliceMax) else {
                nextReplay = now().advanced(bySeconds: limits.redriveInterval.components.seconds)
                return
            }
            try await replay(slice)
        } while !Task.isCancelled && journal.standing.last <= position
    }

    private func replay(_ slice: ReplaySlice) async throws(Interruption) {
        guard try await attempt(slice) != nil else { return }
        for index in slice.webhooks.indices {
            let part = slice.part(index)
            guard try await attempt(part) != nil else { continue }
            var without = part
            without.webhooks = []
            // Its place is passed all the same, so that the replay goes on behind it.
            _ = try await attempt(without, passing: part)
        }
    }

    /// Attempts that end: done (`nil`), or refused (the SQLSTATE). What is decided for people whom another gateway
    /// makes others just then is decided anew.
    /// - Parameter refused: the webhooks that are left out.
    private func attempt(
        _ slice: ReplaySlice, passing refused: ReplaySlice? = nil
    ) async throws(Interruption) -> String? {
        var decidedAnew = 0
        while true {
            let sqlState = try await attemptOnce(slice, passing: refused)
            guard sqlState == RecorderError.outdatedState, decidedAnew < limits.decidedAnewMax else { return sqlState }
            decidedAnew += 1
            try await pause(reason: "people became others while a replay decided", attempt: decidedAnew)
        }
    }

    private func attemptOnce(
        _ slice: ReplaySlice, passing refused: ReplaySlice?
    ) async throws(Interruption) -> String? {
        try await refusal { () async throws(Interruption) in
            // Without rules: what they say, they said when it came in, and nobody is answered after days.
            let planner = try await makePlanner(RulesInForce.none)
            let batch = RecordBatch(journal: checkpointNumber, owner: owner, after: fence, upTo: fence)
            try await commit(planner, receivedAt: now()) { planner in
                var draft = planner.draft(slice, into: batch, using: &generator)
                if let refused {
                    draft.batch.replay?.end = refused.end
                    draft.batch.replay?.refused = refused.webhooks.count
                }
                return draft
            }
        }
    }
}
