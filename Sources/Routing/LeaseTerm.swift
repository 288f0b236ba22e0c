public import Messaging

/// What a lease is on a given day.
public enum LeaseStanding: Sendable, Hashable {
    /// Active, begun and not over: it routes.
    case running
    /// Over or ended, and the days of grace after its last day are not: it routes when none is running.
    case inGrace
    /// Begins on a later day.
    case notBegun
    /// Ended, and the days of grace are past or cannot be counted, for it has no last day.
    case over
}

/// The first and last day of a lease in four bytes.
///
/// Days outside 1900-01-01…2079-06-03 are kept as the nearest that fits: nobody asks about today from out there.
struct LeaseTerm: Hashable, Sendable, BitwiseCopyable {
    /// 0 = open, otherwise one more than the days since 1900-01-01.
    private let first: UInt16
    /// `.max` = open, otherwise days since 1900-01-01.
    private let last: UInt16

    /// 1900-01-01, in days since 1970.
    private static let origin: Int32 = -25_567

    init(from: CalendarDay?, until: CalendarDay?) {
        first = from.map { UInt16(clamping: max(1, Self.days($0) + 1)) } ?? 0
        last = until.map { UInt16(clamping: min(Int(UInt16.max) - 1, Self.days($0))) } ?? .max
    }

    private static func days(_ day: CalendarDay) -> Int { Int(day.daysSince1970) - Int(origin) }

    var from: CalendarDay? {
        first == 0 ? nil : CalendarDay(daysSince1970: Self.origin + Int32(first) - 1)
    }

    var until: CalendarDay? {
        last == .max ? nil : CalendarDay(daysSince1970: Self.origin + Int32(last))
    }
}

extension Route {
    /// What this lease is on a day.
    /// - Parameter graceDays: days after the last one that it still routes.
    public func standing(on today: CalendarDay, graceDays: Int32) -> LeaseStanding {
        if let validFrom, today < validFrom { return .notBegun }
        if isActive, validUntil.map({ today <= $0 }) ?? true { return .running }
        guard let validUntil else { return .over }
        return today <= validUntil.advanced(by: max(0, graceDays)) ? .inGrace : .over
    }

    /// Which of two leases with one landlord speaks for the sender: the older one (an open beginning is the oldest). Of
    /// leases that begin on one day the transaction that records chooses by ids that are not known here
    /// (`gateway.sender_lease`); the order here is the same every time, and no more.
    func precedes(_ other: Route) -> Bool {
        let begin = validFrom?.daysSince1970 ?? .min
        let otherBegin = other.validFrom?.daysSince1970 ?? .min
        if begin != otherBegin { return begin < otherBegin }
        if propertyID != other.propertyID {
            guard let propertyID, let otherID = other.propertyID else { return propertyID == nil }
            return propertyID < otherID
        }
        return validUntil?.daysSince1970 ?? .max < other.validUntil?.daysSince1970 ?? .max
    }
}

extension Candidate {
    /// The candidate a lease makes.
    public init(_ route: Route) {
        self.init(landlordID: route.landlordID, propertyID: route.propertyID, routeKey: route.key)
    }
}
