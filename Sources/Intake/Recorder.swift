public import Journal
public import Messaging
public import Routing

/// Writes what was decided, all of a batch or nothing, fenced by the journal's checkpoint.
public protocol Recorder: Sendable {
    /// Makes this process the recorder of a journal and tells how far the database has come with it (I11).
    func claim(_ journal: JournalIdentity) async throws(RecorderError) -> Checkpoint

    /// Writes a batch and moves the checkpoint from `batch.after` to `batch.upTo`, in one transaction; or a step of it,
    /// by its phase. After an error, and after `.fenced`, nothing is left of a transaction that was open.
    func record(_ batch: RecordBatch) async throws(RecorderError) -> RecordResult

    /// Undoes the steps of a transaction that will not be closed. Nothing to be done is no error.
    func abandon() async

    /// Parked updates somebody asked to be tried again, oldest first.
    func redriveRequests(limit: Int) async throws(RecorderError) -> [RedriveRequest]

    /// The next stored webhooks of the oldest replay that is not done; `nil` when none is asked for.
    func replaySlice(limit: Int) async throws(RecorderError) -> ReplaySlice?
}

/// What the database knows of a journal.
public struct Checkpoint: Hashable, Sendable {
    /// The short number of the journal in the database.
    public let journal: Int32
    /// Everything up to here is recorded.
    public let position: JournalPosition
    /// `false`: the database had never heard of this journal, and made it known now at position zero.
    public let wasKnown: Bool

    public init(journal: Int32, position: JournalPosition, wasKnown: Bool) {
        self.journal = journal
        self.position = position
        self.wasKnown = wasKnown
    }
}

/// Some webhooks in journal order, with all that was decided about their updates.
public struct RecordBatch: Sendable {
    public var journal: Int32
    public var owner: UniqueID
    public var after: JournalPosition
    /// Equal to `after` for a redrive: nothing new was read.
    public var upTo: JournalPosition
    public var phase = RecordingPhase.whole
    /// Applied before anything else of the batch, in order. Those of a message that is recorded already were applied
    /// with it.
    public var identityChanges: [RecordedIdentityChange] = []
    public var webhooks: [RecordedWebhook] = []
    public var messages: [RecordedMessage] = []
    public var statuses: [RecordedStatus] = []
    public var sessions: [RecordedSession] = []
    public var parked: [ParkedUpdate] = []
    /// Generation of the routing table the decisions were made with; stands in `routing_metadata`.
    public var tableGeneration: UInt64 = 0
    /// Generation of the rules the decisions were made with; beside it. 0 = no rules were asked.
    public var rulesGeneration: Int64 = 0
    /// Parked updates that this batch settles: deleted, and moved from `parked` in their webhook's counts.
    public var redriven: [RedriveRequest.ID] = []
    /// Set for a replay: nothing new was read, and `messages` and `statuses` come from webhooks that have their rows.
    public var replay: ReplayedWebhooks?
    /// Everything is done and then undone: to find out what the database would refuse.
    public var isRehearsal = false

    public init(journal: Int32, owner: UniqueID, after: JournalPosition, upTo: JournalPosition) {
        self.journal = journal
        self.owner = owner
        self.after = after
        self.upTo = upTo
    }
}

/// Which part of a transaction a batch is. One whose later updates hang on what its earlier ones do to identities is
/// recorded in steps; what is between them sees the steps before, through the lookups, and nobody else does.
public enum RecordingPhase: Hashable, Sendable {
    /// All of it.
    case whole
    /// The first step; a transaction still open is undone. `after` and `upTo` of all steps are those of the whole.
    case opens
    case continues
    /// The last step: it writes the webhook, which all steps name, and moves the checkpoint.
    case closes
}

/// The provider's word, in a message, that one and the same person has another identity.
public struct RecordedIdentityChange: Sendable {
    public var endpoint: Endpoint
    /// The provider's id of the message.
    public var messageID: String
    public var change: IdentityChange
    /// When the provider says it; clamped as the message's own time.
    public var at: Timestamp

    public init(endpoint: Endpoint, messageID: String, change: IdentityChange, at: Timestamp) {
        self.endpoint = endpoint
        self.messageID = messageID
        self.change = change
        self.at = at
    }
}

/// A webhook's own row: its bytes, and the verdicts decided before the database is asked.
public struct RecordedWebhook: Sendable {
    public var position: JournalPosition
    public var envelope: Envelope
    public var event: String
    /// All of its updates.
    public var updates: Int
    public var statuses: Int
    public var ignored: Int
    public var parked: Int
    /// Verdicts the database gave to messages of the webhook in earlier steps. Not zero only where it is the one
    /// webhook of a batch.
    public var earlier = VerdictCounts()

    public init(
        position: JournalPosition, envelope: Envelope, event: String, updates: Int, statuses: Int, ignored: Int,
        parked: Int
    ) {
        self.position = position
        self.envelope = envelope
        self.event = event
        self.updates = updates
        self.statuses = statuses
        self.ignored = ignored
        self.parked = parked
    }
}

/// A message, whom it is for, and why.
public struct RecordedMessage: Sendable {
    public var id: UniqueID
    /// Of the webhook it came in; for a redrive, of the webhook it once came in.
    public var position: JournalPosition
    public var endpoint: Endpoint
    public var message: InboundMessage
    /// Clamped to what the partitions hold.
    public var sentAt: Timestamp
    public var destination: Destination
    /// In the thread, and not passed on to the landlord: a rule says so.
    public var isWithheld = false
    /// Names of the rules that matched, in order.
    public var matchedRules: [String] = []
    /// What is to be done about it beside filing it, in order. Done once: a message that is recorded already orders
    /// nothing.
    public var orders: [RecordedOrder] = []

    public init(
        id: UniqueID, position: JournalPosition, endpoint: Endpoint, message: InboundMessage, sentAt: Timestamp,
        destination: Destination
    ) {
        self.id = id
        self.position = position
        self.endpoint = endpoint
        self.message = message
        self.sentAt = sentAt
        self.destination = destination
    }

    /// Where the message goes if the commit agrees.
    public enum Destination: Sendable {
        /// By a lease: holds only while that row of `gateway.routes` does.
        case lease(Candidate, rung: Rung)
        /// Into a thread that exists, found by a quote or because it outlives its lease.
        case thread(ThreadReference, rung: Rung)
        /// To a landlord with whom the sender has neither; filed under no tenant.
        case landlord(UniqueID, rung: Rung)
        /// Several could be meant: by their leases, or, where only threads compete, by those.
        case held([Candidate], threads: [ThreadReference] = [])
        /// Nobody has this sender.
        case unclaimed
    }
}

public struct RecordedStatus: Sendable {
    /// Whom a message went to, as somebody of whom two identities are shown: an alias may be learnt.
    public struct Recipient: Sendable {
        public var phone: PhoneNumber
        public var accountID: String
        public var parentAccountID: String?

        public init(phone: PhoneNumber, accountID: String, parentAccountID: String? = nil) {
            self.phone = phone
            self.accountID = accountID
            self.parentAccountID = parentAccountID
        }
    }

    public var endpointID: UniqueID
    public var status: StatusUpdate
    /// `nil` when the status shows nothing that the routing table does not know.
    public var recipient: Recipient?

    public init(endpointID: UniqueID, status: StatusUpdate, recipient: Recipient? = nil) {
        self.endpointID = endpointID
        self.status = status
        self.recipient = recipient
    }
}

/// How a session of a session server fares.
public struct RecordedSession: Sendable {
    public var endpointID: UniqueID
    public var update: SessionUpdate

    public init(endpointID: UniqueID, update: SessionUpdate) {
        self.endpointID = endpointID
        self.update = update
    }
}

/// An update that could not be processed, kept with its bytes until somebody redrives it.
public struct ParkedUpdate: Sendable {
    public var position: JournalPosition
    /// Its place among the webhook's updates, from 0.
    public var index: Int
    public var source: WebhookSource
    public var receivedAt: Timestamp
    /// `not_json`, `unknown_endpoint`, `rejected_by_database`, …: bounded.
    public var reason: String
    /// Masked: shown to administrators and logged.
    public var detail: String
    /// For `unknown_endpoint`, the one it names: becomes known, is redriven.
    public var endpoint: EndpointReference?
    /// The whole body of the webhook it came in.
    public var payload: [UInt8]

    public init(
        position: JournalPosition, index: Int, source: WebhookSource, receivedAt: Timestamp, reason: String,
        detail: String,
        endpoint: EndpointReference?, payload: [UInt8]
    ) {
        self.position = position
        self.index = index
        self.source = source
        self.receivedAt = receivedAt
        self.reason = reason
        self.detail = detail
        self.endpoint = endpoint
        self.payload = payload
    }
}

/// A parked update to be tried again.
public struct RedriveRequest: Sendable {
    public typealias ID = Int64
    public var id: ID
    public var position: JournalPosition
    public var index: Int
    public var source: WebhookSource
    public var receivedAt: Timestamp
    public var payload: [UInt8]

    public init(
        id: ID, position: JournalPosition, index: Int, source: WebhookSource, receivedAt: Timestamp, payload: [UInt8]
    ) {
        self.id = id
        self.position = position
        self.index = index
        self.source = source
        self.receivedAt = receivedAt
        self.payload = payload
    }
}

/// What recording a batch came to.
public enum RecordResult: Sendable {
    /// Committed. `counts` holds the verdicts of the batch's messages as the commit decided them.
    case recorded(RecordOutcome)
    /// Nothing was written: these messages (indexes into `batch.messages`) go by routes that do not hold any more.
    /// They are to be resolved again with the candidates the database has now.
    case staleRoutes([StaleRoute])
    /// Nothing was written: the checkpoint is not where the batch believed, or another process owns the journal.
    case fenced(Checkpoint?)
}

public struct StaleRoute: Sendable {
    public var message: Int
    /// All routes the database has now for this sender.
    public var routes: [Route]

    public init(message: Int, routes: [Route]) {
        self.message = message
        self.routes = routes
    }
}

public struct RecordOutcome: Sendable {
    public var counts: VerdictCounts
    /// People seen for the first time, and contradictions found between identities.
    public var peopleResolved = 0
    public var identityConflicts = 0
    /// Senders who are asked which landlord they mean, messages that an answer released, and automatic answers queued.
    public var asked = 0
    public var released = 0
    public var answered = 0
    /// Identities were learnt or changed that routes go by: a table in memory from before the commit does not know.
    public var isIdentityNews = false
    /// The batch, with all its steps, had been committed before, and we had not heard of it: nothing was written now,
    /// and `counts` holds every verdict of its webhooks, also those that are decided without the database.
    public var wasCommittedBefore = false
    /// Of a replay alone.
    public var replayed: ReplayOutcome?

    public init(counts: VerdictCounts) { self.counts = counts }
}

/// Why recording failed, sorted by what may be done about it (I4).
public enum RecorderError: Error, Sendable {
    /// The data itself was refused (SQLSTATE class 22, a failed check): halve the batch, park what remains.
    case dataRejected(sqlState: String, detail: String)
    /// The same, however often it was tried, finds a person it goes by absorbed by another (SQLSTATE 40001): by somebody
    /// beside it, or by what the batch itself teaches. Decide anew, and less at once.
    case outdated(String)
    /// Anything else (connection, permission, missing table or partition, disk, deadlock): the same batch again later.
    case unavailable(String)
}

extension RecorderError {
    /// Why, for people.
    package var reason: String {
        switch self {
        case .dataRejected(let sqlState, let detail): "SQLSTATE \(sqlState): \(detail)"
        case .outdated(let reason), .unavailable(let reason): reason
        }
    }

    /// The SQLSTATE of a refusal that the same batch again would meet again.
    var refusal: String? {
        switch self {
        case .dataRejected(let sqlState, _): sqlState
        case .outdated: Self.outdatedState
        case .unavailable: nil
        }
    }

    static let outdatedState = "40001"
}

/// Facts about senders that the routing table does not hold, or not yet. In the transaction that the recorder has open,
/// if it has one.
public protocol ConversationLookup: Sendable {
    /// The sender's threads with the one of the quoted message if it is the sender's, and what the sender was asked.
    func facts(for questions: [ThreadQuestion]) async throws(RecorderError) -> [SenderFacts]

    /// All leases that may be the sender's as the database knows it now, whatever their standing.
    func routes(for questions: [ThreadQuestion]) async throws(RecorderError) -> [[Route]]
}

/// Asked for a message that quotes another or taps an option, or whose sender has not exactly one running lease.
public struct ThreadQuestion: Sendable {
    public var endpoint: Endpoint
    public var phone: PhoneKey?
    public var accountID: String?
    public var quotedMessageID: String?
    /// Of the tapped option.
    public var questionID: UniqueID?
    /// When the sender showed this number: a lease written since under another is not theirs. `nil`: at no one moment.
    public var sentAt: Timestamp?

    public init(
        endpoint: Endpoint, phone: PhoneKey?, accountID: String?, quotedMessageID: String?,
        questionID: UniqueID? = nil, sentAt: Timestamp? = nil
    ) {
        self.sentAt = sentAt
        self.endpoint = endpoint
        self.phone = phone
        self.accountID = accountID
        self.quotedMessageID = quotedMessageID
        self.questionID = questionID
    }
}
