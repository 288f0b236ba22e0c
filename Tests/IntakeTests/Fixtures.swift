import GatewayTesting
import Intake
import Journal
import Messaging
import Routing

func uid(_ number: UInt64) -> UniqueID { UniqueID(high: 0, low: number) }

/// 2026-03-01 10:00 UTC: when every test begins.
let beginning = Timestamp(seconds: 1_772_359_200)

/// Somebody who writes, and what the routing table and the threads say of them.
enum Person: UInt64, CaseIterable, Sendable {
    /// Has a lease with landlord 1.
    case tenant = 447_911_000_001
    /// Has leases with landlords 1 and 2.
    case tenantOfTwo = 447_911_000_002
    /// Has a lease with landlord 3, who is switched off.
    case tenantOfNoReader = 447_911_000_003
    /// Has no lease, and a thread with landlord 1.
    case formerTenant = 447_911_000_004
    case stranger = 447_911_000_005

    var key: PhoneKey { PhoneKey(folding: rawValue) }
    var phone: PhoneNumber { PhoneNumber(digits: rawValue)! }

    var verdict: Verdict {
        switch self {
        case .tenant, .formerTenant: .routed
        case .tenantOfTwo: .held
        case .tenantOfNoReader: .withheld
        case .stranger: .unclaimed
        }
    }
}

func lease(_ number: UInt64, of person: Person, landlord: UInt64) -> Route {
    Route(
        key: person.key, landlordID: uid(landlord), propertyID: uid(200 + number), validFrom: nil, validUntil: nil,
        isActive: true, learntAt: Timestamp(seconds: 0))
}

let standardLeases = [
    lease(1, of: .tenant, landlord: 1), lease(2, of: .tenantOfTwo, landlord: 1),
    lease(3, of: .tenantOfTwo, landlord: 2),
    lease(4, of: .tenantOfNoReader, landlord: 3),
]

func thread(landlord: UInt64, isQuoted: Bool = false) -> ThreadReference {
    ThreadReference(
        conversationID: uid(300 + landlord), landlordID: uid(landlord), tenantID: nil, propertyID: nil,
        isQuoted: isQuoted,
        lastMessageAt: nil, lastOutboundAt: nil)
}

extension Endpoint {
    static let shared = cloud(5000, "106540352242922")
    /// In no table, until a test puts it there.
    static let strange = cloud(5001, "999")

    private static func cloud(_ id: UInt64, _ providerID: String) -> Endpoint {
        Endpoint(
            id: uid(id), reference: EndpointReference(kind: .cloud, providerID: providerID), ownerID: nil,
            phoneScope: "",
            accountIDScope: "portfolio")
    }
}

func makeTable(_ leases: [Route] = standardLeases, endpoints: [Endpoint] = [.shared]) -> RoutingTable {
    var builder = RoutingTableBuilder()
    builder.add(.routes(leases))
    builder.add(.endpoints(endpoints))
    return builder.finish(cursor: RouteCursor(snapshot: "1:1:", epoch: "test"))
}

/// An update as a test speaks of it; each is a change of its own in the webhook.
enum Update: Hashable, Sendable {
    case message(String, from: Person = .tenant, quoting: String? = nil, sentAt: Timestamp = beginning)
    case status(String)
    /// On an endpoint that the table does not know.
    case messageElsewhere(String, from: Person = .tenant)
    case statusElsewhere(String)
    /// Shows an account id, alone or beside the number.
    case shown(String, from: Person, withNumber: Bool)
    /// The provider's notice that somebody took another number.
    case moved(String, from: Person, to: Person, isElsewhere: Bool = false)
    case ignored
    case undecodable

    /// What becomes of it the first time it comes.
    var verdict: Verdict {
        switch self {
        case .message(_, let person, let quoted, _): quoted == nil ? person.verdict : .routed
        case .status: .status
        case .messageElsewhere, .statusElsewhere, .undecodable, .moved(_, _, _, true): .parked
        case .shown, .moved: .unclaimed
        case .ignored: .ignored
        }
    }

    var id: String? {
        switch self {
        case .message(let id, _, _, _), .status(let id), .messageElsewhere(let id, _), .statusElsewhere(let id),
            .shown(let id, _, _), .moved(let id, _, _, _):
            id
        case .ignored, .undecodable: nil
        }
    }

    fileprivate var change: String {
        switch self {
        case .message(let id, let person, let quoted, let sentAt):
            Self.change(.shared, "messages", Self.message(id, person, quoted, sentAt))
        case .messageElsewhere(let id, let person):
            Self.change(.strange, "messages", Self.message(id, person, nil, beginning))
        case .status(let id): Self.change(.shared, "statuses", Self.status(id))
        case .statusElsewhere(let id): Self.change(.strange, "statuses", Self.status(id))
        case .shown(let id, let person, let withNumber):
            Self.change(.shared, "messages", Self.shown(id, person, withNumber))
        case .moved(let id, let old, let new, let isElsewhere):
            Self.change(isElsewhere ? .strange : .shared, "messages", Self.moved(id, old, new))
        case .ignored: #"{"field":"account_update","value":{}}"#
        case .undecodable: Self.change(.shared, "messages", "17")
        }
    }

    private static func change(_ endpoint: Endpoint, _ list: String, _ element: String) -> String {
        let metadata = #"{"phone_number_id":"\#(endpoint.reference.providerID)"}"#
        return #"{"field":"messages","value":{"metadata":\#(metadata),"\#(list)":[\#(element)]}}"#
    }

    private static func message(_ id: String, _ person: Person, _ quoted: String?, _ sentAt: Timestamp) -> String {
        let context = quoted.map { #","context":{"id":"\#($0)"}"# } ?? ""
        return
            #"{"id":"\#(id)","from":"\#(person.rawValue)","timestamp":"\#(sentAt.seconds)","type":"text","#
            + #""text":{"body":"hello"}\#(context)}"#
    }

    private static func shown(_ id: String, _ person: Person, _ withNumber: Bool) -> String {
        let number = withNumber ? #""from":"\#(person.rawValue)","# : ""
        return #"{"id":"\#(id)",\#(number)"from_user_id":"GB.\#(person.rawValue)","#
            + #""timestamp":"\#(beginning.seconds)","type":"text","text":{"body":"hello"}}"#
    }

    private static func moved(_ id: String, _ old: Person, _ new: Person) -> String {
        #"{"id":"\#(id)","from":"\#(old.rawValue)","timestamp":"\#(beginning.seconds)","type":"system","#
            + #""system":{"type":"user_changed_number","wa_id":"\#(new.rawValue)"}}"#
    }

    private static func status(_ id: String) -> String {
        #"{"id":"\#(id)","status":"delivered","timestamp":"\#(beginning.seconds)"}"#
    }
}

/// A webhook of Meta's with these updates.
func makeEnvelope(_ updates: [Update], receivedAt: Timestamp = beginning) -> Envelope {
    let changes = updates.map(\.change).joined(separator: ",")
    let body = #"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[\#(changes)]}]}"#
    return Envelope(source: .meta, receivedAt: receivedAt, signature: [1], body: Array(body.utf8))
}

extension VerdictCounts {
    init(_ verdicts: some Sequence<Verdict>) {
        self.init()
        for verdict in verdicts { self[verdict] += 1 }
    }

    static func only(_ verdict: Verdict, _ count: Int = 1) -> VerdictCounts {
        VerdictCounts(repeatElement(verdict, count: count))
    }
}
