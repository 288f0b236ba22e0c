public import Messaging

/// One landlord a message could be for, by a lease that is filed under a number of the sender's.
///
/// Which of the landlord's leases under that number it is says the transaction that records the message
/// (`gateway.sender_lease`): it knows tenants and leases by their ids, which the table does not keep.
@frozen
public struct Candidate: Hashable, Sendable {
    public var landlordID: UniqueID
    public var propertyID: UniqueID?
    /// The key the lease is filed under; it may differ from the sender's own number (an alias, an earlier number).
    public var routeKey: PhoneKey

    public init(landlordID: UniqueID, propertyID: UniqueID?, routeKey: PhoneKey) {
        self.landlordID = landlordID
        self.propertyID = propertyID
        self.routeKey = routeKey
    }
}

/// A conversation the sender already has.
public struct ThreadReference: Hashable, Sendable {
    public var conversationID: UniqueID
    public var landlordID: UniqueID
    /// `nil` for a thread a landlord took by hand, without a tenant record.
    public var tenantID: UniqueID?
    public var propertyID: UniqueID?
    /// The message quotes a message of this thread.
    public var isQuoted: Bool
    public var lastMessageAt: Timestamp?
    /// When the landlord spoke last.
    public var lastOutboundAt: Timestamp?
    /// The landlord has put it away.
    public var isArchived: Bool

    public init(
        conversationID: UniqueID, landlordID: UniqueID, tenantID: UniqueID?, propertyID: UniqueID?, isQuoted: Bool,
        lastMessageAt: Timestamp?, lastOutboundAt: Timestamp?, isArchived: Bool = false
    ) {
        self.conversationID = conversationID
        self.landlordID = landlordID
        self.tenantID = tenantID
        self.propertyID = propertyID
        self.isQuoted = isQuoted
        self.lastMessageAt = lastMessageAt
        self.lastOutboundAt = lastOutboundAt
        self.isArchived = isArchived
    }
}

/// The rung of the ladder that decided. The raw value stands in `routing_metadata.rung`.
public enum Rung: String, Sendable, CaseIterable {
    /// The message quotes one of a thread.
    case quoted
    /// Exactly one landlord's lease fits.
    case onlyCandidate = "only_candidate"
    /// No lease fits any more, and exactly one thread exists.
    case onlyThread = "only_thread"
    /// Several could be meant, one of them just spoke, and no other has an open thread.
    case landlordSpoke = "landlord_spoke"
    /// A rule of the administrators says so.
    case rule
    /// The sender was asked, and answers.
    case asked
}
