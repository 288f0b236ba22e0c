import Journal
import Messaging
import Routing
import Webhooks

/// A journal entry with what the decoder made of it.
struct DecodedEntry: Sendable {
    let position: JournalPosition
    let envelope: Envelope
    var webhook: DecodedWebhook

    init(_ entry: JournalEntry) {
        position = entry.position
        envelope = entry.envelope
        webhook = Self.decode(entry.envelope)
    }

    static func decode(_ envelope: Envelope) -> DecodedWebhook {
        switch envelope.source {
        case .meta: MetaWebhookDecoder().decode(envelope.body, receivedAt: envelope.receivedAt)
        case .vps: VPSWebhookDecoder().decode(envelope.body, receivedAt: envelope.receivedAt)
        }
    }
}

/// Turns decoded webhooks into a batch. Pure: the table is a snapshot, the clock was read before.
struct BatchPlanner {
    let resolver: Resolver
    let rules: RulesInForce
    let now: Timestamp
    let limits: IntakeLimits
    /// The table may be out of date: the database is asked about every sender.
    var asksDatabase: Bool

    /// A batch, and the messages of it about whose senders the database is to be asked.
    struct Draft {
        /// A message whose destination is not decided.
        struct Pending {
            var message: Int
            var pending: Resolver.Pending
            /// The table knows no lease of the sender, or is not to be asked: the database's count.
            var needsRoutes: Bool
        }

        var batch: RecordBatch
        var pending: [Pending] = []
        /// Verdicts that need no database.
        var counts = VerdictCounts()
        /// Of them the ignored ones, by what they are.
        var ignored = IgnoredUpdates()

        /// About the threads of the senders of `pending`, in its order.
        var questions: [ThreadQuestion] { pending.map(question) }

        /// About the leases of those that need them, in the same order.
        var routeQuestions: [ThreadQuestion] { pending.filter(\.needsRoutes).map(question) }

        private func question(_ pending: Pending) -> ThreadQuestion {
            let recorded = batch.messages[pending.message]
            let message = recorded.message
            return ThreadQuestion(
                endpoint: pending.pending.endpoint, phone: message.sender.phone?.key,
                accountID: message.sender.accountID, quotedMessageID: message.quotedMessageID,
                questionID: pending.pending.token?.question, sentAt: recorded.sentAt)
        }
    }

    init(
        table: RoutingTable, now: Timestamp, limits: IntakeLimits, rules: RulesInForce = .none,
        asksDatabase: Bool = false
    ) {
        resolver = Resolver(table: table, today: now.day, landlordSpokeHours: rules.rules.landlordSpokeHours)
        self.rules = rules
        self.now = now
        self.limits = limits
        self.asksDatabase = asksDatabase
    }

    /// - Parameter refused: updates (by webhook and index) that the database will not take; they are parked.
    func draft(
        _ entries: ArraySlice<DecodedEntry>, into batch: RecordBatch, refusing refused: Refusals,
        using generator: inout IdentifierGenerator
    ) -> Draft {
        var draft = Draft(batch: batch)
        noteGenerations(in: &draft)
        draft.batch.webhooks.reserveCapacity(entries.count)
        draft.batch.messages.reserveCapacity(entries.count)
        resolver.table.prefetch(entries.flatMap(\.webhook.senderKeys))
        for entry in entries {
            let before = draft.counts
            add(entry, entry.webhook.updates.indices, refusing: refused, to: &draft, using: &generator)
            draft.batch.webhooks.append(
                RecordedWebhook(
                    position: entry.position, envelope: entry.envelope, event: entry.webhook.event,
                    updates: entry.webhook.updates.count, statuses: draft.counts.status - before.status,
                    ignored: draft.counts.ignored - before.ignored, parked: draft.counts.parked - before.parked))
        }
        return draft
    }

    /// What the decisions of a batch are made with.
    func noteGenerations(in draft: inout Draft) {
        draft.batch.tableGeneration = resolver.table.generation
        draft.batch.rulesGeneration = rules.generation
    }

    /// Some updates of a webhook, without the webhook itself.
    func add(
        _ entry: DecodedEntry, _ range: Range<Int>, refusing refused: Refusals, to draft: inout Draft,
        using generator: inout IdentifierGenerator
    ) {
        for index in range {
            let place = Place(
                position: entry.position, index: index, source: entry.envelope.source,
                receivedAt: entry.envelope.receivedAt, payload: entry.envelope.body)
            if let sqlState = refused[entry.position, index] {
                refuse(place, sqlState: sqlState, in: &draft)
            } else {
                add(entry.webhook.updates[index], at: place, to: &draft, using: &generator)
            }
        }
    }

    /// What a message announces about its sender's identities; nothing on an endpoint that nobody knows.
    func identityChanges(of update: InboundEvent) -> [RecordedIdentityChange] {
        guard case .message(let message) = update, message.endpoint.kind.isRouted,
            let endpoint = resolver.table.endpoint(message.endpoint)
        else { return [] }
        return message.identityChanges.map {
            RecordedIdentityChange(
                endpoint: endpoint, messageID: message.id, change: $0, at: clamped(message.sentAt))
        }
    }

    /// Where an update stands, and what must be kept of it if it cannot be processed.
    struct Place {
        let position: JournalPosition
        let index: Int
        let source: WebhookSource
        let receivedAt: Timestamp
        let payload: [UInt8]
    }

    func add(
        _ update: InboundEvent, at place: Place, to draft: inout Draft,
        using generator: inout IdentifierGenerator
    ) {
        if let label = update.ignoredLabel {
            draft.counts.ignored += 1
            return draft.ignored.note(label)
        }
        switch update {
        case .ignored, .echo, .history, .account, .preference, .receipt: break
        case .session(let session):
            guard let endpoint = resolver.table.endpoint(session.endpoint) else {
                return parkUnknown(session.endpoint, place, in: &draft)
            }
            draft.counts.status += 1
            draft.batch.sessions.append(RecordedSession(endpointID: endpoint.id, update: bounded(session)))
        case .undecodable(let reason, let detail, _):
            park(place, reason: reason.rawValue, detail: detail, endpoint: nil, in: &draft)
        case .status(let status):
            guard let endpoint = resolver.table.endpoint(status.endpoint) else {
                return parkUnknown(status.endpoint, place, in: &draft)
            }
            draft.counts.status += 1
            draft.batch.statuses.append(
                RecordedStatus(
                    endpointID: endpoint.id, status: bounded(status), recipient: recipient(of: status, at: endpoint)))
        case .message(let message):
            guard let endpoint = resolver.table.endpoint(message.endpoint) else {
                return parkUnknown(message.endpoint, place, in: &draft)
            }
            add(message, at: endpoint, place.position, to: &draft, using: &generator)
        }
    }

    private func add(
        _ message: InboundMessage, at endpoint: Endpoint, _ position: JournalPosition, to draft: inout Draft,
        using generator: inout IdentifierGenerator
    ) {
        var recorded = RecordedMessage(
            id: generator.nextID(at: now), position: position, endpoint: endpoint, message: message,
            sentAt: clamped(message.sentAt), destination: .unclaimed)
        recorded.message.sender = message.senderAfterChanges
        let place = draft.batch.messages.count
        func waitForRoutes() {
            let unknown = resolver.pending(recorded.message, at: endpoint, withRoutes: [])
            wait(unknown, for: place, sentAt: recorded.sentAt, needsRoutes: true, in: &draft)
        }
        if asksDatabase {
            waitForRoutes()
        } else {
            switch resolver.firstPass(recorded.message, at: endpoint) {
            case .decided(let resolution):
                switch resolution.decision {
                // Nobody is a stranger, or between two landlords, by the table alone: it may not know yet.
                case .unclaimed, .held: waitForRoutes()
                case .lease, .thread, .landlord: conclude(resolution, on: &recorded, using: &generator)
                }
            case .needsThreads(let pending):
                let isSettled = pending.candidates.only != nil
                wait(pending, for: place, sentAt: recorded.sentAt, needsRoutes: !isSettled, in: &draft)
            }
        }
        draft.batch.messages.append(recorded)
    }

    /// A message is dated within bounds here: that time counts, not the provider's.
    private func wait(
        _ pending: Resolver.Pending, for message: Int, sentAt: Timestamp, needsRoutes: Bool, in draft: inout Draft
    ) {
        var pending = pending
        pending.at = sentAt
        draft.pending.append(.init(message: message, pending: pending, needsRoutes: needsRoutes))
    }

    /// What the ladder made of a message, and what the rules say to it.
    private func conclude(
        _ resolution: Resolution, on recorded: inout RecordedMessage, using generator: inout some RandomNumberGenerator
    ) {
        let isAnswerable = recorded.sentAt >= now.advanced(bySeconds: -limits.answerableSecondsMax)
        let ruling = rules.ruling(
            on: resolution, recorded.message, sentAt: recorded.sentAt, at: recorded.endpoint, table: resolver.table,
            mayAnswer: isAnswerable)
        recorded.destination = .init(ruling.decision)
        recorded.isWithheld = ruling.isWithheld
        recorded.matchedRules = ruling.matched
        recorded.orders = RecordedOrder.orders(of: ruling, rules.rules, at: now, using: &generator)
    }

    /// Settles what waited for the database: `facts` answers `draft.questions`, `routes` `draft.routeQuestions`, in
    /// order.
    func settle(
        _ draft: inout Draft, facts: [SenderFacts], routes: [[Route]] = [],
        using generator: inout some RandomNumberGenerator
    ) {
        var routes = routes[...]
        var answered: Set<UniqueID> = []
        for (waiting, facts) in zip(draft.pending, facts) {
            var pending = waiting.pending
            if waiting.needsRoutes, let found = routes.popFirst() {
                pending = resolver.pending(
                    draft.batch.messages[waiting.message].message, at: pending.endpoint, withRoutes: found)
                pending.at = waiting.pending.at
            }
            var facts = facts
            if !answered.isEmpty {
                // An earlier message of the batch answers: the next one is a message again.
                for index in facts.questions.indices where answered.contains(facts.questions[index].id) {
                    facts.questions[index].isOpen = false
                }
            }
            let resolution = resolver.decide(pending, facts)
            if resolution.answer != nil { answered.formUnion(facts.questions.map(\.id)) }
            conclude(resolution, on: &draft.batch.messages[waiting.message], using: &generator)
        }
        draft.pending = []
    }

    /// Resolves messages again whose routes did not hold, with the routes the database has now.
    func resolveAgain(
        _ stale: [StaleRoute], in draft: inout Draft, using generator: inout some RandomNumberGenerator
    ) {
        for route in stale {
            let recorded = draft.batch.messages[route.message]
            switch resolver.firstPass(recorded.message, at: recorded.endpoint, withRoutes: route.routes) {
            case .decided(let resolution):
                conclude(resolution, on: &draft.batch.messages[route.message], using: &generator)
            case .needsThreads(let pending):
                wait(pending, for: route.message, sentAt: recorded.sentAt, needsRoutes: false, in: &draft)
            }
        }
    }

    /// Parks an update that the database will not take.
    func refuse(_ place: Place, sqlState: String, in draft: inout Draft) {
        park(place, reason: "rejected_by_database", detail: "SQLSTATE \(sqlState)", endpoint: nil, in: &draft)
    }

    private func park(
        _ place: Place, reason: String, detail: String, endpoint: EndpointReference?, in draft: inout Draft
    ) {
        draft.counts.parked += 1
        draft.batch.parked.append(
            ParkedUpdate(
                position: place.position, index: place.index, source: place.source, receivedAt: place.receivedAt,
                reason: reason, detail: detail, endpoint: endpoint, payload: place.payload))
    }

    /// Of the longest id an endpoint can have, in bytes (`gateway.endpoints.provider_id`).
    private static let providerIDLengthMax = 512

    private func parkUnknown(_ endpoint: EndpointReference, _ place: Place, in draft: inout Draft) {
        // A longer one never becomes known, and an index would refuse it.
        let canBecomeKnown = endpoint.providerID.utf8.count <= Self.providerIDLengthMax
        park(
            place, reason: "unknown_endpoint",
            detail: "no endpoint \(endpoint.kind.rawValue) \(endpoint.providerID.prefix(64))",
            endpoint: canBecomeKnown ? endpoint : nil, in: &draft)
    }

    /// A status with times that the database can hold. The callback data is open to every app on the account: a time that
    /// cannot be one of ours is not looked up.
    private func bounded(_ status: StatusUpdate) -> StatusUpdate {
        var status = status
        status.at = clamped(status.at)
        if let queued = status.correlation?.sentAt, queued.microseconds < 0 || queued != min(queued, clamped(queued)) {
            status.correlation = nil
        }
        return status
    }

    /// Of the longest account id that is kept, in bytes (`gateway.identities.value`).
    private static let accountIDLengthMax = 512

    /// Whom a status speaks of, where it shows more of them than the table knows for sure.
    private func recipient(of status: StatusUpdate, at endpoint: Endpoint) -> RecordedStatus.Recipient? {
        guard let recipient = status.recipient, let account = recipient.account(at: endpoint),
            let phone = recipient.phone,
            asksDatabase || !resolver.table.knows(account, has: phone.key, at: endpoint),
            // Longer ones the database refuses, and with them the status.
            max(account.value.utf8.count, recipient.parentAccountID?.utf8.count ?? 0) <= Self.accountIDLengthMax
        else { return nil }
        return .init(phone: phone, accountID: account.value, parentAccountID: recipient.parentAccountID)
    }

    private func bounded(_ session: SessionUpdate) -> SessionUpdate {
        var session = session
        session.at = clamped(session.at)
        return session
    }

    /// Keeps a message inside what the partitions hold; its own bytes keep the provider's time.
    private func clamped(_ moment: Timestamp) -> Timestamp {
        let earliest = now.advanced(bySeconds: -limits.pastSecondsMax)
        let latest = now.advanced(bySeconds: limits.futureSecondsMax)
        return min(max(moment, earliest), latest)
    }
}

extension DecodedWebhook {
    /// Numbers that routes will be looked up by.
    fileprivate var senderKeys: [PhoneKey] {
        updates.compactMap { update in
            if case .message(let message) = update { message.sender.phone?.key } else { nil }
        }
    }
}

/// Updates the database refused, by webhook and index, with its SQLSTATE.
struct Refusals: Sendable {
    private var states: [JournalPosition: [Int: String]] = [:]

    static let none = Refusals()

    subscript(position: JournalPosition, index: Int) -> String? {
        get { states.isEmpty ? nil : states[position]?[index] }
        set { states[position, default: [:]][index] = newValue }
    }

    var isEmpty: Bool { states.isEmpty }
}

extension InboundMessage {
    /// The sender as they are known once the changes that this message announces are applied: it shows the old number,
    /// which is nobody's then or somebody else's. Beside a number that changed, an account id that did not is left out:
    /// it may be the old one or the new one.
    var senderAfterChanges: Sender {
        guard !identityChanges.isEmpty else { return sender }
        var sender = sender
        var account: String?
        for change in identityChanges {
            switch change {
            case .phone(let from, let to):
                if sender.phone?.key == from.key { sender.phone = to }
                if account == nil, sender.phone != nil { sender.accountID = nil }
            case .account(let from, let to):
                account = to
                if sender.accountID == nil || sender.accountID == from { sender.accountID = to }
            }
        }
        return sender
    }
}

extension RecordedMessage.Destination {
    init(_ decision: RoutingDecision) {
        switch decision {
        case .lease(let candidate, let rung): self = .lease(candidate, rung: rung)
        case .thread(let thread, let rung): self = .thread(thread, rung: rung)
        case .landlord(let id, let rung): self = .landlord(id, rung: rung)
        case .held(let candidates, let threads): self = .held(candidates, threads: threads)
        case .unclaimed: self = .unclaimed
        }
    }
}
