package import Messaging

/// A queue of what is passed on to other handlers: lanes in `gateway.outbox`, each oldest first.
package protocol ForwardQueue<Lane, Content>: Sendable {
    /// What keeps an order of its own: a source of webhooks, an endpoint that rules name.
    associatedtype Lane: Hashable & Sendable
    /// What is handed over.
    associatedtype Content: Hashable & Sendable

    /// Takes the oldest jobs of a lane, in order, under a lease; none while another worker has the lane, and none that
    /// rests after a failure or stands behind one that does.
    /// - Parameter claim: a name never used before; `settle` must give the same one.
    func claim(
        _ lane: Lane, as claim: String, limit: ForwardLimit, leaseSeconds: Int
    ) async throws -> [ForwardJob<Content>]
    /// Stores what became of a run. Does nothing where the lease was lost meanwhile.
    func settle(_ settlement: ForwardSettlement) async throws
    /// Returns when a job may have become due, or after `seconds`, or when the task is cancelled.
    func jobsAvailable(atMostSeconds seconds: Int) async
}

/// Something that hands over to another handler.
package protocol Forwarder<Content>: Sendable {
    associatedtype Content: Hashable & Sendable

    /// One attempt. Never throws: every way it can end is an outcome. May be repeated for the same content.
    func forward(_ content: Content) async -> ForwardOutcome
}

/// How much a worker takes at once.
package struct ForwardLimit: Hashable, Sendable {
    package var jobs: Int
    /// Of bodies; one job always comes.
    package var bytes: Int64

    package init(jobs: Int, bytes: Int64) {
        precondition(jobs > 0 && bytes > 0, "a worker that takes nothing would wait for ever")
        self.jobs = jobs
        self.bytes = bytes
    }
}

/// A webhook to be passed on, as it came.
package struct ForwardedWebhook: Hashable, Sendable {
    /// The journal's id and the position in it. The same at every attempt: a receiver knows a repetition by it.
    package let id: String
    package let source: WebhookSource
    /// See `WebhookSignature.stored`; empty where it is not known.
    package let signature: [UInt8]
    /// The body, byte for byte.
    package let body: [UInt8]

    package init(id: String, source: WebhookSource, signature: [UInt8], body: [UInt8]) {
        self.id = id
        self.source = source
        self.signature = signature
        self.body = body
    }
}

/// What a rule orders to be told to a named endpoint.
package struct RuleDelivery: Hashable, Sendable {
    /// Of the row of `gateway.rule_actions`. The same at every attempt: a receiver knows a repetition by it.
    package let id: UniqueID
    /// The endpoint's name, as in the settings.
    package let endpoint: String
    /// One JSON object.
    package let body: [UInt8]

    package init(id: UniqueID, endpoint: String, body: [UInt8]) {
        self.id = id
        self.endpoint = endpoint
        self.body = body
    }
}

/// A claimed job.
package struct ForwardJob<Content: Hashable & Sendable>: Hashable, Sendable {
    package let id: Int64
    /// From 1; counts the attempts that ended in a failure, and this one.
    package let attempt: Int
    /// Since it was queued.
    package let ageSeconds: Int64
    /// `nil` when it is gone from the log of webhooks.
    package let content: Content?

    package init(id: Int64, attempt: Int, ageSeconds: Int64, content: Content?) {
        self.id = id
        self.attempt = attempt
        self.ageSeconds = ageSeconds
        self.content = content
    }
}

/// What became of a claimed run.
package struct ForwardSettlement: Hashable, Sendable {
    /// The name the run was claimed under, and its first job: the fence.
    package let claim: String
    package let head: Int64
    /// Taken by the receiver.
    package var done: [Int64] = []
    /// The first one that was not; the jobs behind it were not tried.
    package var failed: Failure?

    package struct Failure: Hashable, Sendable {
        package let job: Int64
        package let decision: ForwardDecision

        package init(job: Int64, decision: ForwardDecision) {
            self.job = job
            self.decision = decision
        }
    }

    package init(claim: String, head: Int64) {
        self.claim = claim
        self.head = head
    }
}

/// How one attempt ended.
package enum ForwardOutcome: Hashable, Sendable {
    /// The receiver answered with this status, and perhaps asked to be left alone for a while.
    case answered(status: Int, retryAfterSeconds: Int64?)
    /// No answer came; why, without the address.
    case unanswered(String)
}
