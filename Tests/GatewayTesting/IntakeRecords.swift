package import Intake
package import Journal
package import Messaging
package import Routing

/// What intake has recorded.
package struct IntakeRecords: Sendable {
    /// A journal's number and a position in it.
    package struct Place: Hashable, Sendable {
        package let journal: Int32
        package let position: JournalPosition

        package init(journal: Int32, position: JournalPosition) {
            self.journal = journal
            self.position = position
        }
    }

    package struct MessageKey: Hashable, Sendable {
        package let endpoint: UniqueID
        package let id: String

        package init(endpoint: UniqueID, id: String) {
            self.endpoint = endpoint
            self.id = id
        }
    }

    package struct Webhook: Sendable {
        package let envelope: Envelope
        package let updates: Int
        package var counts: VerdictCounts
    }

    /// A body once, an update once, however often the body comes.
    package struct ParkedKey: Hashable, Sendable {
        package let payload: [UInt8]
        package let index: Int

        package init(payload: [UInt8], index: Int) {
            self.payload = payload
            self.index = index
        }
    }

    package struct Parked: Sendable {
        package let id: Int64
        package let place: Place
        package let update: ParkedUpdate
        package var isRequested = false
    }

    package struct Commit: Hashable, Sendable {
        package let journal: Int32
        package let owner: UniqueID
        package let after: JournalPosition
        package let upTo: JournalPosition
        package let redriven: [RedriveRequest.ID]
    }

    /// Somebody wants everything stored decoded again.
    package struct Replay: Sendable {
        package var isFinished = false
        package var place: ReplaySlice.Place?
        package var outcome = ReplayOutcome()

        package init() {}
    }

    package var journals: [UniqueID: Int32] = [:]
    package var checkpoints: [Int32: (position: JournalPosition, owner: UniqueID)] = [:]
    package var webhooks: [Place: Webhook] = [:]
    package var messages: [MessageKey: RecordedMessage] = [:]
    /// Ids of messages in the order in which they were recorded.
    package var order: [String] = []
    /// Statuses as they were applied, repeats among them.
    package var statuses: [StatusUpdate] = []
    package var sessions: [SessionUpdate] = []
    /// What was announced, in the order in which it was applied.
    package var identityChanges: [IdentityChange] = []
    package var parked: [ParkedKey: Parked] = [:]
    package var commits: [Commit] = []
    package var replays: [Replay] = []
    /// Landlords whose messages go no further.
    package var withheld: Set<UniqueID> = []
    /// The leases there are; `nil`: every lease holds.
    package var leases: [Route]?
    private var nextParkedID: Int64 = 1
    private var lastOutcome: RecordOutcome?

    package init() {}

    package func position(of journal: UniqueID) -> JournalPosition? {
        journals[journal].flatMap { checkpoints[$0]?.position }
    }

    /// Somebody wants this tried again.
    package mutating func request(_ key: ParkedKey) { parked[key]?.isRequested = true }

    var requests: [RedriveRequest] {
        parked.values.filter(\.isRequested).sorted { $0.id < $1.id }.map { parked in
            RedriveRequest(
                id: parked.id, position: parked.update.position, index: parked.update.index,
                source: parked.update.source,
                receivedAt: parked.update.receivedAt, payload: parked.update.payload)
        }
    }

    mutating func claim(_ journal: JournalIdentity) -> Checkpoint {
        let number = journals[journal.id] ?? Int32(journals.count + 1)
        journals[journal.id] = number
        let known = checkpoints[number]
        checkpoints[number] = (known?.position ?? .start, journal.owner)
        return Checkpoint(journal: number, position: known?.position ?? .start, wasKnown: known != nil)
    }

    /// Why a batch is not written at all, its data aside.
    func check(_ batch: RecordBatch) -> RecordResult? {
        guard let checkpoint = checkpoints[batch.journal] else { return .fenced(nil) }
        let isDone = !batch.isRehearsal && batch.upTo > batch.after && commits.last == Commit(batch)
        if isDone, var lastOutcome {
            lastOutcome.wasCommittedBefore = true
            lastOutcome.counts = VerdictCounts()
            for webhook in batch.webhooks {
                lastOutcome.counts +=
                    webhooks[Place(journal: batch.journal, position: webhook.position)]?.counts
                    ?? VerdictCounts()
            }
            return .recorded(lastOutcome)
        }
        guard checkpoint.position == batch.after, checkpoint.owner == batch.owner else {
            return .fenced(Checkpoint(journal: batch.journal, position: checkpoint.position, wasKnown: true))
        }
        let stale = batch.messages.indices.compactMap { index in
            staleRoutes(of: batch.messages[index]).map { StaleRoute(message: index, routes: $0) }
        }
        return stale.isEmpty ? nil : .staleRoutes(stale)
    }

    /// Leases filed under the number a sender shows.
    package func routes(of question: ThreadQuestion) -> [Route] {
        leases?.filter { $0.key == question.phone } ?? []
    }

    private func staleRoutes(of recorded: RecordedMessage) -> [Route]? {
        guard let leases, case .lease(let candidate, _) = recorded.destination else { return nil }
        let holds = leases.contains { $0.landlordID == candidate.landlordID && $0.key == candidate.routeKey }
        return holds ? nil : leases.filter { $0.key == recorded.message.sender.phone?.key }
    }

    /// The check that a webhook's verdicts add up.
    func violation(_ batch: RecordBatch) -> String? {
        guard batch.phase == .whole || batch.phase == .closes else { return nil }
        let messages = Dictionary(grouping: batch.messages, by: \.position)
        let holds = batch.webhooks.allSatisfy { webhook in
            let decided = webhook.statuses + webhook.ignored + webhook.parked + webhook.earlier.total
            return webhook.updates == decided + messages[webhook.position, default: []].count
        }
        return holds ? nil : "23514"
    }

    mutating func commit(_ batch: RecordBatch) -> RecordResult {
        if let replay = batch.replay { return .recorded(commit(batch, replay)) }
        var verdicts: [JournalPosition: VerdictCounts] = [:]
        var outcome = RecordOutcome(counts: VerdictCounts())
        for change in batch.identityChanges
        where messages[MessageKey(endpoint: change.endpoint.id, id: change.messageID)] == nil {
            identityChanges.append(change.change)
            outcome.isIdentityNews = true
        }
        for message in batch.messages {
            let verdict = add(message)
            verdicts[message.position, default: VerdictCounts()][verdict] += 1
            outcome.counts[verdict] += 1
        }
        statuses += batch.statuses.map(\.status)
        sessions += batch.sessions.map(\.update)
        let isLast = batch.phase == .whole || batch.phase == .closes
        for webhook in batch.webhooks where isLast {
            add(webhook, verdicts[webhook.position] ?? VerdictCounts(), batch.journal)
        }
        settle(batch, verdicts)
        guard isLast else { return .recorded(outcome) }
        checkpoints[batch.journal]?.position = batch.upTo
        commits.append(Commit(batch))
        lastOutcome = outcome
        return .recorded(outcome)
    }

    mutating func add(_ recorded: RecordedMessage) -> Verdict {
        let key = MessageKey(endpoint: recorded.endpoint.id, id: recorded.message.id)
        guard messages[key] == nil else { return .duplicate }
        messages[key] = recorded
        order.append(recorded.message.id)
        switch recorded.destination {
        case .lease(let candidate, _): return withheld.contains(candidate.landlordID) ? .withheld : .routed
        case .thread(let thread, _): return withheld.contains(thread.landlordID) ? .withheld : .routed
        case .landlord(let id, _): return withheld.contains(id) ? .withheld : .routed
        case .held: return .held
        case .unclaimed: return .unclaimed
        }
    }

    private mutating func add(_ webhook: RecordedWebhook, _ decided: VerdictCounts, _ journal: Int32) {
        let place = Place(journal: journal, position: webhook.position)
        guard webhooks[place] == nil else { return }
        var counts = decided
        counts += webhook.earlier
        counts.status += webhook.statuses
        counts.ignored += webhook.ignored
        counts.parked += webhook.parked
        webhooks[place] = Webhook(envelope: webhook.envelope, updates: webhook.updates, counts: counts)
    }

    private mutating func settle(_ batch: RecordBatch, _ verdicts: [JournalPosition: VerdictCounts]) {
        for update in batch.parked {
            let key = ParkedKey(payload: update.payload, index: update.index)
            let known = parked[key]
            let place = Place(journal: batch.journal, position: update.position)
            parked[key] = Parked(id: known?.id ?? nextParkedID, place: known?.place ?? place, update: update)
            if known == nil { nextParkedID += 1 }
        }
        for id in batch.redriven {
            guard let (key, row) = parked.first(where: { $0.value.id == id }) else { continue }
            let isParkedAgain = batch.parked.contains { $0.payload == key.payload && $0.index == key.index }
            if isParkedAgain { continue }
            parked[key] = nil
            var counts = verdicts[row.place.position] ?? VerdictCounts()
            counts.status += batch.statuses.count + batch.sessions.count
            counts.ignored += counts.total == 0 ? 1 : 0
            counts.parked -= 1
            webhooks[row.place]?.counts += counts
        }
    }
}

extension IntakeRecords.Commit {
    init(_ batch: RecordBatch) {
        self.init(
            journal: batch.journal, owner: batch.owner, after: batch.after, upTo: batch.upTo, redriven: batch.redriven)
    }
}
