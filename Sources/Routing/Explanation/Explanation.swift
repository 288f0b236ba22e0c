package import Messaging

/// Why a message went, or would go, where it goes: for people, and as JSON for programs. Says what, then why, then with
/// what it was decided.
package struct Explanation: Encodable, Sendable {
    /// In one line: what became of it, or what would.
    package var summary: String
    package var subject: Subject
    /// What was decided when it was recorded, and what came of it since; `nil` for one that was not written.
    package var then: Then?
    /// For a message of ours: why it was sent, and how it fares.
    package var ours: Ours?
    /// What would be decided now; `nil` for a message of ours.
    package var now: Decision?
    /// Whether that is the same.
    package var isUnchanged: Bool?
    /// What the sender is known by, now and before.
    package var identities: [Identity] = []
    /// What `now` is decided by.
    package var table: Source
    package var rules: Source

    /// Where a table or rules come from.
    package struct Source: Encodable, Hashable, Sendable {
        /// In words.
        package var source: String
        /// Of the running gateway alone.
        package var generation: Int64?

        package init(source: String, generation: Int64?) {
            self.source = source
            self.generation = generation
        }
    }

    /// The message.
    package struct Subject: Encodable, Hashable, Sendable {
        /// `nil` for one that was not written.
        package var id: UniqueID?
        /// Kind and provider's id.
        package var endpoint: String
        package var type: String
        package var sentAt: Timestamp
        package var recordedAt: Timestamp?
        /// Masked, unless it is asked for whole.
        package var phone: String?
        package var account: String?
    }

    /// A landlord, and what of theirs.
    package struct Place: Encodable, Hashable, Sendable {
        package var landlord: UniqueID
        package var landlordName: String?
        package var tenant: UniqueID?
        package var lease: UniqueID?
        package var property: UniqueID?
        package var propertyAddress: String?
        package var conversation: UniqueID?

        package init(
            landlord: UniqueID, landlordName: String?, tenant: UniqueID? = nil, lease: UniqueID? = nil,
            property: UniqueID? = nil, propertyAddress: String? = nil, conversation: UniqueID? = nil
        ) {
            self.landlord = landlord
            self.landlordName = landlordName
            self.tenant = tenant
            self.lease = lease
            self.property = property
            self.propertyAddress = propertyAddress
            self.conversation = conversation
        }
    }

    package struct Identity: Encodable, Hashable, Sendable {
        package var kind: String
        /// Masked, unless it is asked for whole.
        package var value: String
        package var person: UniqueID
        package var firstSeen: Timestamp
        /// Since when it is the person's no more, and why.
        package var retiredAt: Timestamp?
        package var retiredReason: String?
    }
}

// MARK: Then

extension Explanation {
    /// What stands on the record about a message that came in.
    package struct Then: Encodable, Hashable, Sendable {
        /// `routed`, `withheld`, `held` or `unclaimed`; as it stands today.
        package var verdict: String
        /// Of the ladder, or who decided instead: `assigned`, `reassigned`, `timeout`.
        package var rung: String?
        /// Why, in words.
        package var reason: String
        package var place: Place?
        /// Of the routing table and the rules that it was decided with; `nil` without any.
        package var tableGeneration: Int64?
        package var rulesGeneration: Int64?
        package var matchedRules: [String]
        /// For a message that waits.
        package var candidates: [Place]
        /// `opted_out`, `blocked`, `over_limit`, `by_rule`.
        package var withheld: String?
        package var question: UniqueID?
        package var choice: Int?
        package var tags: [String]
        package var priority: String?
        /// It waited without a landlord until then.
        package var claimedAt: Timestamp?
        /// It was withheld until then.
        package var releasedAt: Timestamp?
        /// What rules ordered, and what came of it.
        package var actions: [Action]
        /// What the sender was asked because of it, or answers with it.
        package var questions: [Question]
        /// What is still to be passed on, or could not be.
        package var jobs: [Job]
        /// What administrators did with it.
        package var acts: [Act]
    }

    package struct Action: Encodable, Hashable, Sendable {
        package var at: Timestamp
        package var rule: String
        package var action: String
        package var value: String?
        /// `done`, `waiting`, `queued`, `suppressed`, …
        package var outcome: String
        package var detail: String?
        package var closedAt: Timestamp?
        package var closedBy: String?
        package var sent: Sent?

        package init(
            at: Timestamp, rule: String, action: String, value: String?, outcome: String, detail: String?,
            closedAt: Timestamp?, closedBy: String?, sent: Sent?
        ) {
            self.at = at
            self.rule = rule
            self.action = action
            self.value = value
            self.outcome = outcome
            self.detail = detail
            self.closedAt = closedAt
            self.closedBy = closedBy
            self.sent = sent
        }
    }

    package struct Question: Encodable, Hashable, Sendable {
        package var id: UniqueID
        package var askedAt: Timestamp
        /// `open`, `answered`, `expired`, `cancelled`.
        package var status: String
        /// As they were shown, in order.
        package var choices: [String]
        package var expiresAt: Timestamp
        package var answeredAt: Timestamp?
        /// From 1.
        package var answer: Int?
        /// Messages that the answer let go.
        package var released: Int?
        package var sent: Sent?

        package init(
            id: UniqueID, askedAt: Timestamp, status: String, choices: [String], expiresAt: Timestamp,
            answeredAt: Timestamp?, answer: Int?, released: Int?, sent: Sent?
        ) {
            self.id = id
            self.askedAt = askedAt
            self.status = status
            self.choices = choices
            self.expiresAt = expiresAt
            self.answeredAt = answeredAt
            self.answer = answer
            self.released = released
            self.sent = sent
        }
    }

    /// A message of ours, and how far it has come.
    package struct Sent: Encodable, Hashable, Sendable {
        package var message: UniqueID
        /// `queued`, `sent`, `delivered`, `read`, `failed`, …
        package var status: String
        /// Of our call: `accepted`, `refused`, `uncertain`.
        package var outcome: String?
        package var errorCode: Int?
        package var errorDetail: String?
        package var deliveredAt: Timestamp?
        package var readAt: Timestamp?
        package var failedAt: Timestamp?
        /// Of its job, while there is one: `ready`, `sending`, `uncertain`, `dead`.
        package var job: String?
        package var lastError: String?

        package init(
            message: UniqueID, status: String, outcome: String?, errorCode: Int?, errorDetail: String?,
            deliveredAt: Timestamp?, readAt: Timestamp?, failedAt: Timestamp?, job: String?, lastError: String?
        ) {
            self.message = message
            self.status = status
            self.outcome = outcome
            self.errorCode = errorCode
            self.errorDetail = errorDetail
            self.deliveredAt = deliveredAt
            self.readAt = readAt
            self.failedAt = failedAt
            self.job = job
            self.lastError = lastError
        }
    }

    package struct Job: Encodable, Hashable, Sendable {
        package var kind: String
        package var state: String
        package var attempts: Int
        package var lastError: String?

        package init(kind: String, state: String, attempts: Int, lastError: String?) {
            self.kind = kind
            self.state = state
            self.attempts = attempts
            self.lastError = lastError
        }
    }

    /// A line of the audit log.
    package struct Act: Encodable, Hashable, Sendable {
        package var at: Timestamp
        package var actor: UniqueID?
        package var role: String?
        package var action: String
        /// JSON.
        package var detail: String

        package init(at: Timestamp, actor: UniqueID?, role: String?, action: String, detail: String) {
            self.at = at
            self.actor = actor
            self.role = role
            self.action = action
            self.detail = detail
        }
    }

    /// A message of ours, and why it was sent.
    package struct Ours: Encodable, Hashable, Sendable {
        /// In words.
        package var reason: String
        package var rule: String?
        /// The message it answers.
        package var answers: UniqueID?
        package var question: UniqueID?
        package var place: Place?
        package var sent: Sent
    }
}

// MARK: Now

extension Explanation {
    /// What is decided by a table and rules.
    package struct Decision: Encodable, Hashable, Sendable {
        /// `routed`, `withheld`, `held` or `unclaimed`.
        package var verdict: String
        /// `nil` where it waits.
        package var rung: String?
        /// Why, in words.
        package var reason: String
        package var place: Place?
        /// What the rules are asked with: `known`, `unknown`, `ambiguous`, `ended`, `landlord_off`.
        package var state: String
        package var withheld: String?
        /// The rungs in order, up to the one that decided; then the rules.
        package var ladder: [LadderStep]
        /// Whether the database was not needed beside the table.
        package var isByTableAlone: Bool
        package var leases: [Lease]
        package var threads: [Thread]
        package var rules: [MatchedRule]
        /// What they order, in order.
        package var orders: [Order]
        /// Whether the sender is asked which landlord is meant.
        package var asks: Bool
    }

    package struct Lease: Encodable, Hashable, Sendable {
        package var place: Place
        /// The number it is filed under, masked unless it is asked for whole.
        package var phone: String
        package var counts: Bool
        /// Why it counts or not, in words.
        package var outcome: String
    }

    package struct Thread: Encodable, Hashable, Sendable {
        package var place: Place
        package var isQuoted: Bool
        package var isArchived: Bool
        package var lastMessageAt: Timestamp?
        package var landlordSpokeAt: Timestamp?
    }

    package struct MatchedRule: Encodable, Hashable, Sendable {
        package var name: String
        /// File and line.
        package var place: String?
    }

    package struct Order: Encodable, Hashable, Sendable {
        package var rule: String
        /// In words.
        package var action: String
    }
}
