/// A story from beginning to end, in the order in which things happen to the gateway. It can be told with parts left
/// out: an action whose subject is not there does nothing.
struct Step {
    var at: Moment
    var action: Action
}

enum Action {
    /// The landlord application writes its tables.
    case landlord(LandlordEvent)
    /// A webhook arrives, perhaps not for the first time.
    case post(Post)
    /// The table in memory takes up what changed; or is loaded anew.
    case refresh(full: Bool)
    /// The webhooks that arrived are recorded, in batches of at most so many.
    case settle
    /// The landlord answers in the thread of a message, if it is in one.
    case reply(Reply)
    /// The provider's answer to our send tells the id of a reply.
    case answered(RowID)
    /// The thread of a message is blocked.
    case block(MessageName)
    case endpointKnown(Place)
}

/// A change of the landlord application's tables.
enum LandlordEvent {
    case landlord(RowID, enabled: Bool)
    case enabled(RowID, Bool)
    /// The login is deleted, and all that hangs on it.
    case landlordGone(RowID)
    case property(RowID, of: RowID)
    case sold(RowID, to: RowID)
    case tenant(RowID, of: RowID, Number, style: Int)
    case tenantNumber(RowID, Number, style: Int)
    case tenantGone(RowID)
    case lease(RowID, LeaseRow)
    case leaseChanged(RowID, from: Day?, until: Day?, isActive: Bool)
}

struct LeaseRow: Hashable {
    var tenant: RowID
    var property: RowID
    var from: Day?
    var until: Day?
    var isActive = true
}

struct Reply {
    var id: RowID
    var to: MessageName
    var at: Moment
}

/// A webhook: the same post twice is the same bytes.
struct Post {
    var id: Int
    var place: Place
    var updates: [Update]
}

enum Update {
    case message(Sent)
    /// `user_changed_number` or `user_changed_user_id`.
    case notice(Notice)
    case status(of: RowID, DeliveryWord, at: Moment)
    /// A field nothing acts on.
    case other
}

enum DeliveryWord: String, CaseIterable { case sent, delivered, read, played, failed }

/// A message as it was sent.
struct Sent {
    var name: MessageName
    /// Who truly wrote it.
    var human: Int
    var number: Number?
    var account: String?
    var at: Moment
    var quotes: Quote?
}

enum Quote: Hashable {
    case message(MessageName)
    case reply(RowID)
}

/// The provider's word that somebody goes by another number or id.
struct Notice {
    enum Change: Hashable {
        case number(from: Number, to: Number)
        case account(from: String, to: String)
    }
    var name: MessageName
    var human: Int
    var change: Change
    /// The number a notice of a new id shows, if any.
    var number: Number?
    var at: Moment
}
