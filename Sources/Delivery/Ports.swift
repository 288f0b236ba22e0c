public import Messaging

/// The queue of things to send (`gateway.outbox`): claimed under a lease, finished with one of three outcomes.
public protocol OutboxStore: Sendable {
    /// Claims due jobs of one kind, oldest first, at most one per order key. A job whose earlier worker vanished in the
    /// middle of a send is not among them: it became uncertain.
    func claim(kind: OutboxKind, worker: String, limit: Int, leaseSeconds: Int) async throws -> [OutboxJob]
    /// Accepted by the provider under this id.
    func accepted(_ job: OutboxJob, providerID: String) async throws
    /// Known not sent: again after a delay, or (no delay) never.
    func refused(_ job: OutboxJob, code: Int32?, error: String, retryAfterMilliseconds: Int64?) async throws
    /// Not known whether sent: waits for a status that carries our id, and is not repeated.
    func uncertain(_ job: OutboxJob, error: String) async throws
    /// Buries uncertain jobs that no status came for; run about once a minute. Returns how many.
    func sweep() async throws -> Int
    /// Returns when a job may have become due, or after `seconds`, or when the task is cancelled.
    func jobsAvailable(atMostSeconds seconds: Int) async
}

/// What a job does, and by whom it is claimed. Each kind is claimed by itself, so that none blocks another.
public enum OutboxKind: String, Sendable, CaseIterable {
    case metaSend = "meta_send"
    /// Which landlord is meant? Of somebody who waits with the question on the screen: never behind replies.
    case ask
}

/// A claimed job.
public struct OutboxJob: Hashable, Sendable {
    public let id: Int64
    /// The fencing token: a worker whose lease ran out changes nothing.
    public let attempt: Int
    /// After this many attempts a refusal is final.
    public let attemptsMax: Int
    /// What to send; `nil` when the job's payload cannot be read.
    public let message: OutboundMessage?
    /// `ok`, or why the recipient must not be written to (`stopped_all`, `stopped_landlord`, `revoked`, `no_opt_in`);
    /// `question_closed` for a question that is answered or expired by now.
    public let permission: String

    public init(id: Int64, attempt: Int, attemptsMax: Int, message: OutboundMessage?, permission: String) {
        self.id = id
        self.attempt = attempt
        self.attemptsMax = attemptsMax
        self.message = message
        self.permission = permission
    }
}

/// Something that can send a message: the Graph API, a session server.
public protocol Sender: Sendable {
    /// One attempt. Never throws: every way it can end is an outcome.
    func send(_ message: OutboundMessage) async -> SendOutcome
}

/// How one attempt ended.
public enum SendOutcome: Hashable, Sendable {
    /// The provider has it, under this id.
    case accepted(providerID: String)
    /// The provider does not have it, and said why. `code` is its own error code where it gave one.
    case refused(code: Int32?, detail: String, retry: RetryAdvice)
    /// The request left and no answer came that settles it.
    case uncertain(detail: String)
}

/// What the provider's refusal means for another attempt.
public enum RetryAdvice: Hashable, Sendable {
    case never
    /// With the usual back-off.
    case later
    /// Not before this many milliseconds.
    case after(milliseconds: Int64)
}
