public import Messaging

/// The landlords a sender's message could be for, at most one lease of each: people who share a phone at one landlord
/// share one thread, and a tenant with two leases is one candidate.
public struct CandidateList: Hashable, Sendable {
    /// Leases that run, one a landlord, oldest first.
    public private(set) var running = RouteList()
    /// Leases within their days of grace, one a landlord, oldest first; they count when none is running.
    public private(set) var inGrace = RouteList()

    /// The leases that count: those that run, or else those in grace.
    public var counting: RouteList { running.isEmpty ? inGrace : running }

    /// The candidates that count, in a stable order.
    public var candidates: [Candidate] { counting.map { Candidate($0) } }

    /// The only landlord there is, if there is one only.
    public var only: Candidate? {
        running.isEmpty ? inGrace.only.map { Candidate($0) } : running.only.map { Candidate($0) }
    }

    /// Whether a lease with this landlord runs or is in grace.
    public func contains(landlord id: UniqueID) -> Bool {
        running.contains { $0.landlordID == id } || inGrace.contains { $0.landlordID == id }
    }

    public init() {}

    /// From leases as they are: what does not route is left out, and of each landlord only one is kept.
    public init(of routes: some Sequence<Route>, today: CalendarDay, graceDays: Int32) {
        for route in routes { add(route, today: today, graceDays: graceDays) }
        settle()
    }

    mutating func add(_ route: Route, today: CalendarDay, graceDays: Int32) {
        switch route.standing(on: today, graceDays: graceDays) {
        case .running: Self.keepOldest(route, in: &running)
        case .inGrace: Self.keepOldest(route, in: &inGrace)
        case .notBegun, .over: break
        }
    }

    /// Puts the leases in their order, after the last was added.
    mutating func settle() {
        running.sort()
        inGrace.sort()
    }

    private static func keepOldest(_ route: Route, in leases: inout RouteList) {
        guard !leases.isEmpty, let same = leases.lastIndex(where: { $0.landlordID == route.landlordID }) else {
            leases.append(route)
            return
        }
        if route.precedes(leases[same]) { leases[same] = route }
    }
}
