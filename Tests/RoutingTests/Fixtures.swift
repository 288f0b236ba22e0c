import Messaging
import Routing

/// A reproducible source of randomness (SplitMix64): a failing test prints its seed.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ value >> 30) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ value >> 27) &* 0x94D0_49BB_1331_11EB
        return value ^ value >> 31
    }
}

func uid(_ number: UInt64) -> UniqueID { UniqueID(high: 0, low: number) }

let today = CalendarDay(year: 2026, month: 3, day: 1)
let cursor = RouteCursor(snapshot: "1:1:", epoch: "test")

extension PhoneKey {
    static let ann = PhoneKey(folded: 447_911_000_001)
    static let bob = PhoneKey(folded: 447_911_000_002)
}

/// A lease of property 900 + `lease` with landlord `landlord`, running unless told otherwise.
func makeLease(
    _ lease: UInt64, key: PhoneKey = .ann, landlord: UInt64 = 1, from: Int32? = -100, until: Int32? = nil,
    isActive: Bool = true, learntAt: Int64 = 0
) -> Route {
    Route(
        key: key, landlordID: uid(landlord), propertyID: uid(900 + lease),
        validFrom: from.map { today.advanced(by: $0) }, validUntil: until.map { today.advanced(by: $0) },
        isActive: isActive,
        learntAt: Timestamp(seconds: learntAt))
}

/// Which lease of `makeLease` it is.
extension Route {
    var leaseID: UniqueID { uid((propertyID?.low ?? 900) - 900) }
}
extension Candidate {
    var leaseID: UniqueID { uid((propertyID?.low ?? 900) - 900) }
}

extension Endpoint {
    /// The number that all landlords share.
    static let shared = Endpoint(
        id: uid(5000), reference: EndpointReference(kind: .cloud, providerID: "106540352242922"), ownerID: nil,
        phoneScope: "",
        accountIDScope: "portfolio")

    static func owned(by landlord: UInt64) -> Endpoint {
        Endpoint(
            id: uid(5000 + landlord),
            reference: EndpointReference(kind: .vpsSession, providerID: "session-\(landlord)"),
            ownerID: uid(landlord), phoneScope: "\(landlord)", accountIDScope: "\(landlord)")
    }

    func account(_ value: String) -> AccountIdentity {
        AccountIdentity(kind: reference.kind.accountIDKind, scope: accountIDScope, value: value)
    }
}

/// A link from an account id seen on the shared number to the key of one of its person's phones.
func link(account: String, person: UInt64, to key: PhoneKey) -> IdentityLink {
    IdentityLink(
        kind: .businessScopedID, scope: "portfolio", value: account, personID: uid(person), routeKey: key, movedAt: nil)
}

func link(phone: PhoneKey, person: UInt64, to key: PhoneKey) -> IdentityLink {
    IdentityLink(kind: .phone, scope: "", value: "\(phone.value)", personID: uid(person), routeKey: key, movedAt: nil)
}

func departure(of person: UInt64, from key: PhoneKey, at seconds: Int64) -> IdentityLink {
    IdentityLink(
        kind: .phone, scope: "", value: "\(key.value)", personID: uid(person), routeKey: nil,
        movedAt: Timestamp(seconds: seconds))
}

func makeTable(
    _ routes: [Route], identities: [IdentityLink] = [], landlords: [Landlord] = [], endpoints: [Endpoint] = [.shared],
    settings: RouteSettings = RouteSettings()
) -> RoutingTable {
    var builder = RoutingTableBuilder()
    builder.add(.routes(routes))
    builder.add(.landlords(landlords))
    builder.add(.identities(identities))
    builder.add(.endpoints(endpoints))
    builder.add(.settings(settings))
    return builder.finish(cursor: cursor)
}

extension RoutingTable {
    func candidates(phone: PhoneKey?, account: String? = nil, at endpoint: Endpoint = .shared) -> CandidateList {
        candidates(phone: phone, account: account.map { endpoint.account($0) }, endpoint: endpoint, today: today)
    }
}

/// The identities of some rows, as a delta names them.
func grouped(_ rows: [IdentityLink]) -> [AccountIdentity: [IdentityLink]] {
    Dictionary(grouping: rows) { AccountIdentity(kind: $0.kind, scope: $0.scope, value: $0.value) }
}
