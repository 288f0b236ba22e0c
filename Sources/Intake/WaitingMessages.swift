public import Messaging
public import Routing

/// Messages that wait for something to come true: unclaimed ones for a lease, held ones for one landlord, withheld ones
/// for the end of a reason.
public protocol WaitingMessages: Sendable {
    /// People who are known by these, now or before they moved, whether they have anything waiting or not.
    func people(
        knownBy keys: [PhoneKey], or accounts: [AccountIdentity]
    ) async throws(RecorderError) -> [UniqueID]

    /// People with unclaimed or held messages, in the order of their ids, after one of them.
    func unclaimedPeople(after: UniqueID?, limit: Int) async throws(RecorderError) -> [UniqueID]

    /// Of these, those with unclaimed or held messages to whom a lease or a thread may lead by now, once for each endpoint.
    func senders(among people: [UniqueID]) async throws(RecorderError) -> [WaitingSender]

    /// Gives the oldest that a sender has unclaimed at the endpoint where it belongs, or holds it, in one transaction.
    /// What was held between the landlord and others goes with it where that landlord is the only candidate left, and no
    /// question is open.
    /// - Returns: how many messages, fewer than the limit when none is left; `nil` when the destination does not hold any
    ///   more, and nothing was done.
    func claim(
        _ sender: WaitingSender, for destination: RecordedMessage.Destination, tableGeneration: UInt64, limit: Int
    ) async throws(RecorderError) -> Int?

    /// Landlords who are switched on and have withheld messages, in the order of their ids, after one of them.
    func withheldLandlords(after: UniqueID?, limit: Int) async throws(RecorderError) -> [UniqueID]

    /// The threads of these landlords with withheld messages that nothing withholds any more.
    func threadsToRelease(of landlords: [UniqueID]) async throws(RecorderError) -> [UniqueID]

    /// Lets the oldest withheld messages of a thread go on, in one transaction.
    /// - Returns: how many; fewer than the limit when none is left.
    func release(thread: UniqueID, limit: Int) async throws(RecorderError) -> Int
}

/// Somebody whose messages at an endpoint nobody had, as they are known there now.
public struct WaitingSender: Sendable {
    public var personID: UniqueID
    public var endpointID: UniqueID
    public var endpoint: EndpointReference
    public var phone: PhoneNumber?
    public var accountID: String?
    /// All leases the database has now for this sender.
    public var routes: [Route]

    public init(
        personID: UniqueID, endpointID: UniqueID, endpoint: EndpointReference, phone: PhoneNumber?, accountID: String?,
        routes: [Route]
    ) {
        self.personID = personID
        self.endpointID = endpointID
        self.endpoint = endpoint
        self.phone = phone
        self.accountID = accountID
        self.routes = routes
    }
}

/// What changed, and so may have ended the wait of some messages.
public struct HealingHints: Hashable, Sendable {
    public var keys: Set<PhoneKey> = []
    public var accounts: Set<AccountIdentity> = []
    public var landlords: Set<UniqueID> = []
    /// All that waits is to be looked through.
    public var isEverything = false

    public static let everything: HealingHints = {
        var hints = HealingHints()
        hints.isEverything = true
        return hints
    }()

    public init() {}

    /// What a change of the routing table hints at.
    /// - Parameter delta: `nil` = the table was loaded whole.
    public init(_ delta: RouteDelta?) {
        guard let delta else {
            isEverything = true
            return
        }
        keys = Set(delta.routes.keys)
        accounts = Set(delta.identities.keys.lazy.filter { $0.kind != .phone })
        keys.formUnion(
            delta.identities.keys.lazy.filter { $0.kind == .phone }.compactMap { UInt64($0.value) }
                .map { PhoneKey(folded: $0) })
        landlords = Set(delta.landlords.keys)
        // Whose endpoint it was may have been all that kept its senders from their landlords.
        isEverything = delta.endpoints != nil
    }

    public var isEmpty: Bool { !isEverything && keys.isEmpty && accounts.isEmpty && landlords.isEmpty }

    public mutating func formUnion(_ other: HealingHints) {
        keys.formUnion(other.keys)
        accounts.formUnion(other.accounts)
        landlords.formUnion(other.landlords)
        isEverything = isEverything || other.isEverything
    }
}
