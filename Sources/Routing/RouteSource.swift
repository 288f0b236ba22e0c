public import Messaging

/// Where routes come from: the tables `gateway.routes`, `route_landlords`, `identity_feed` and `endpoints`.
public protocol RouteSource: Sendable {
    /// Everything, as one consistent picture, handed over in chunks so that no second copy of it stands in memory.
    /// - Parameter receive: called in order, on one task; routes first, then landlords, identities and endpoints.
    /// - Returns: the cursor of that picture.
    func loadAll(_ receive: (RouteChunk) throws -> Void) async throws -> RouteCursor

    /// What changed since a cursor, as one consistent picture, or `nil` when the cursor no longer reaches (changes were
    /// pruned, a bulk load, another cluster): then everything must be loaded again.
    func changes(since cursor: RouteCursor) async throws -> RouteDelta?

    /// Waits until something may have changed, at most so long. Many hints in a row are one; none is lost that came
    /// between two calls.
    ///
    /// A hint is all it is: whoever is told nothing asks for changes all the same, now and then.
    func changesAvailable(atMost limit: Duration) async -> RouteHint
}

/// What came of waiting for a hint.
public enum RouteHint: Hashable, Sendable {
    /// Something may have changed: it was said, or hints may have been missed, as when listening has just begun.
    case hinted
    /// Nothing was said.
    case quiet
    /// Hints cannot be received now. The source tries to listen again by itself, in later calls.
    case deaf(reason: String)
}

/// A moment in the life of the database that changes can be asked from. Opaque.
public struct RouteCursor: Hashable, Sendable {
    /// `pg_current_snapshot()` as text.
    public let snapshot: String
    /// Differs where the same snapshot would mean something else: another cluster or database, another timeline, another
    /// run of the server.
    public let epoch: String

    public init(snapshot: String, epoch: String) {
        self.snapshot = snapshot
        self.epoch = epoch
    }
}

/// One lease: this number belongs to a tenant of this landlord. A row of `gateway.routes`, as far as routing decides by it.
@frozen
public struct Route: Hashable, Sendable {
    public var key: PhoneKey
    public var landlordID: UniqueID
    public var propertyID: UniqueID?
    public var validFrom: CalendarDay?
    public var validUntil: CalendarDay?
    /// `false`: the lease's status is one of the ended ones; it still routes for the days of grace.
    public var isActive: Bool
    /// When the row last changed: newer than a number change means it was meant for the number's new holder.
    public var learntAt: Timestamp

    public init(
        key: PhoneKey, landlordID: UniqueID, propertyID: UniqueID?, validFrom: CalendarDay?, validUntil: CalendarDay?,
        isActive: Bool, learntAt: Timestamp
    ) {
        self.key = key
        self.landlordID = landlordID
        self.propertyID = propertyID
        self.validFrom = validFrom
        self.validUntil = validUntil
        self.isActive = isActive
        self.learntAt = learntAt
    }
}

/// A landlord as far as routing cares. A row of `gateway.route_landlords`.
public struct Landlord: Hashable, Sendable {
    public var id: UniqueID
    public var name: String?
    /// Opted in to WhatsApp. Off: messages are recorded in the thread and withheld.
    public var isEnabled: Bool
    /// The landlord's own signature template; `nil` = the rules file's.
    public var signature: String?

    public init(id: UniqueID, name: String?, isEnabled: Bool, signature: String?) {
        self.id = id
        self.name = name
        self.isEnabled = isEnabled
        self.signature = signature
    }
}

/// A row of `gateway.identity_feed`: what an identity says beyond its own digits.
public struct IdentityLink: Hashable, Sendable {
    public var kind: IdentityKind
    public var scope: String
    /// For a phone, its key as digits.
    public var value: String
    public var personID: UniqueID
    /// Routes filed under this key are this identity's, too. A phone's own key tells who has the number now, where
    /// somebody has left it.
    public var routeKey: PhoneKey?
    /// For a number its person has left: routes learnt before this moment are not its next holder's.
    public var movedAt: Timestamp?

    public init(
        kind: IdentityKind, scope: String, value: String, personID: UniqueID, routeKey: PhoneKey?, movedAt: Timestamp?
    ) {
        self.kind = kind
        self.scope = scope
        self.value = value
        self.personID = personID
        self.routeKey = routeKey
        self.movedAt = movedAt
    }
}

/// A part of a full load. One kind a chunk, a few thousand rows at most.
public enum RouteChunk: Sendable {
    /// About how many rows of all kinds will come; before all others, where the source knows.
    case estimate(rows: Int)
    case routes([Route])
    case landlords([Landlord])
    case identities([IdentityLink])
    case endpoints([Endpoint])
    case settings(RouteSettings)
}

/// Settings of the database that decide about leases (`gateway.settings`).
public struct RouteSettings: Hashable, Sendable {
    /// Days after its end that a lease still routes.
    public var leaseGraceDays: Int32
    /// Whether a thread that exists goes on after the lease and its grace.
    public var conversationOutlivesLease: Bool

    public init(leaseGraceDays: Int32 = 30, conversationOutlivesLease: Bool = true) {
        self.leaseGraceDays = leaseGraceDays
        self.conversationOutlivesLease = conversationOutlivesLease
    }
}

/// What changed: for each key named, all it holds now (nothing = the key is gone).
public struct RouteDelta: Sendable {
    public var cursor: RouteCursor
    public var routes: [PhoneKey: [Route]]
    public var landlords: [UniqueID: Landlord?]
    public var identities: [AccountIdentity: [IdentityLink]]
    /// All endpoints, when one of them changed.
    public var endpoints: [Endpoint]?
    public var settings: RouteSettings

    public init(
        cursor: RouteCursor, routes: [PhoneKey: [Route]] = [:], landlords: [UniqueID: Landlord?] = [:],
        identities: [AccountIdentity: [IdentityLink]] = [:], endpoints: [Endpoint]? = nil,
        settings: RouteSettings = RouteSettings()
    ) {
        self.cursor = cursor
        self.routes = routes
        self.landlords = landlords
        self.identities = identities
        self.endpoints = endpoints
        self.settings = settings
    }
}
