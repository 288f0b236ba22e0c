package import Messaging

/// What the database has about a message, for `Explanation`.
package struct RecordedFacts: Sendable {
    package var id: UniqueID
    package var isIncoming: Bool
    package var endpointID: UniqueID
    package var type: String
    /// For the rules; shown to nobody.
    package var body: String?
    package var quotedMessageID: String?
    package var phone: PhoneNumber?
    /// What the sender's person is known by at this endpoint now; what the message itself showed is not kept.
    package var accountID: String?
    package var personID: UniqueID?
    package var sentAt: Timestamp
    package var recordedAt: Timestamp
    package var place: Explanation.Place?
    package var routingStatus: String
    package var metadata: Metadata
    /// Of a message of ours.
    package var sent: Explanation.Sent
    package var candidates: [Explanation.Place] = []
    package var actions: [Explanation.Action] = []
    package var questions: [Explanation.Question] = []
    package var jobs: [Explanation.Job] = []
    package var acts: [Explanation.Act] = []

    /// `routing_metadata`.
    package struct Metadata: Hashable, Sendable {
        package var rung: String?
        package var table: Int64?
        package var rules: Int64?
        package var matched: [String] = []
        package var tags: [String] = []
        package var priority: String?
        package var question: UniqueID?
        package var choice: Int?
        package var claimedAt: Timestamp?
        package var releasedAt: Timestamp?
        /// Of an automatic answer of ours.
        package var rule: String?
        package var answers: UniqueID?

        package init() {}
    }

    package init(
        id: UniqueID, isIncoming: Bool, endpointID: UniqueID, type: String, body: String?, quotedMessageID: String?,
        phone: PhoneNumber?, accountID: String?, personID: UniqueID?, sentAt: Timestamp, recordedAt: Timestamp,
        place: Explanation.Place?, routingStatus: String, metadata: Metadata, sent: Explanation.Sent
    ) {
        self.id = id
        self.isIncoming = isIncoming
        self.endpointID = endpointID
        self.type = type
        self.body = body
        self.quotedMessageID = quotedMessageID
        self.phone = phone
        self.accountID = accountID
        self.personID = personID
        self.sentAt = sentAt
        self.recordedAt = recordedAt
        self.place = place
        self.routingStatus = routingStatus
        self.metadata = metadata
        self.sent = sent
    }

    /// The message as intake had it, as far as it was kept.
    package func message(at endpoint: Endpoint) -> InboundMessage {
        var message = InboundMessage(
            endpoint: endpoint.reference, id: "", sender: Sender(phone: phone, accountID: accountID), sentAt: sentAt,
            type: type, body: body, quotedMessageID: quotedMessageID)
        if let question = metadata.question, let choice = metadata.choice {
            message.replyPayload = ChoiceToken(question: question, choice: choice).text
        }
        return message
    }
}

/// An identity of a person who may be the sender.
package struct KnownIdentity: Hashable, Sendable {
    package var kind: String
    package var value: String
    package var personID: UniqueID
    package var firstSeen: Timestamp
    package var retiredAt: Timestamp?
    package var retiredReason: String?

    package init(
        kind: String, value: String, personID: UniqueID, firstSeen: Timestamp, retiredAt: Timestamp?,
        retiredReason: String?
    ) {
        self.kind = kind
        self.value = value
        self.personID = personID
        self.firstSeen = firstSeen
        self.retiredAt = retiredAt
        self.retiredReason = retiredReason
    }
}

/// A conversation that its landlord or an administrator blocked.
package struct BlockedThread: Hashable, Sendable {
    package var landlordID: UniqueID
    package var tenantID: UniqueID?

    package init(landlordID: UniqueID, tenantID: UniqueID?) {
        self.landlordID = landlordID
        self.tenantID = tenantID
    }
}
