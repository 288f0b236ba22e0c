/// How far a message of ours has come, as the provider tells it.
///
/// A lattice: the rank only climbs, so statuses may come in any order and any number of times. `failed` ranks below
/// `delivered`: a late failure on one of a person's devices does not undo a delivery, a late delivery undoes a failure.
public enum DeliveryStatus: String, Sendable, CaseIterable {
    case queued
    case sent
    case failed
    case delivered
    case read
    /// A voice message was listened to.
    case played
    case deleted

    /// The place in the order; `gateway.status_rank` gives the same numbers.
    public var rank: Int {
        switch self {
        case .queued: 0
        case .sent: 1
        case .failed: 2
        case .delivered: 3
        case .read: 4
        case .played: 5
        case .deleted: 6
        }
    }
}
