/// What the landlord application's tables said at every moment, row by row.
///
/// A moment is a tick: it grows by one with each thing that happens, so that "what the database knew when the table was
/// last refreshed" is one number.
struct LeaseHistory {
    /// A lease as the tables tell it: whose it is, and under which number its tenant is filed.
    struct Row: Hashable {
        var lease: RowID
        var tenant: RowID
        var landlord: RowID
        var property: RowID
        var number: Number
        var from: Day?
        var until: Day?
        var isActive: Bool
    }

    struct Version {
        var since: Int
        /// When the tenant was filed under the number: what was written after somebody left a number is about its
        /// next holder.
        var learnt: Moment
        /// `nil`: gone.
        var row: Row?
    }

    private struct Tenant {
        var landlord: RowID
        var number: Number
        /// When the number was written.
        var since: Moment
    }

    private(set) var enabled: [RowID: Bool] = [:]
    private var properties: [RowID: RowID] = [:]
    private var tenants: [RowID: Tenant] = [:]
    private var leases: [RowID: LeaseRow] = [:]
    private var ofTenant: [RowID: Set<RowID>] = [:]
    private var onProperty: [RowID: Set<RowID>] = [:]
    private var versions: [RowID: [Version]] = [:]
    /// Every lease that was ever filed under a number.
    private var filed: [Number: Set<RowID>] = [:]

    // MARK: Changing

    mutating func apply(_ event: LandlordEvent, tick: Int, at: Moment) {
        var touched: Set<RowID> = []
        switch event {
        case .landlord(let id, let isEnabled): enabled[id] = isEnabled
        case .enabled(let id, let isEnabled): if enabled[id] != nil { enabled[id] = isEnabled }
        case .landlordGone(let id):
            enabled[id] = nil
            tenants = tenants.filter { $0.value.landlord != id }
            properties = properties.filter { $0.value != id }
            touched = Set(leases.keys.filter { !isComplete($0) })
        case .property(let id, let owner): if exists(owner) { properties[id] = owner }
        case .sold(let id, let owner):
            if exists(owner), properties[id] != nil { properties[id] = owner }
            touched = onProperty[id] ?? []
        case .tenant(let id, let landlord, let number, _):
            if exists(landlord) { tenants[id] = Tenant(landlord: landlord, number: number, since: at) }
        case .tenantNumber(let id, let number, _):
            if tenants[id]?.number != number { tenants[id]?.since = at }
            tenants[id]?.number = number
            touched = ofTenant[id] ?? []
        case .tenantGone(let id):
            tenants[id] = nil
            touched = ofTenant[id] ?? []
        case .lease(let id, let row):
            leases[id] = row
            ofTenant[row.tenant, default: []].insert(id)
            onProperty[row.property, default: []].insert(id)
            touched = [id]
        case .leaseChanged(let id, let from, let until, let isActive):
            leases[id]?.from = from
            leases[id]?.until = until
            leases[id]?.isActive = isActive
            touched = [id]
        }
        for id in touched { note(id, tick: tick, at: at) }
    }

    private func isComplete(_ id: RowID) -> Bool {
        leases[id].map { tenants[$0.tenant] != nil && properties[$0.property] != nil } ?? false
    }

    /// Writes down what a row is now. The landlord of a lease is the one of its property; with the tenant or the
    /// property the lease goes, too.
    private mutating func note(_ id: RowID, tick: Int, at: Moment) {
        if !isComplete(id) { leases[id] = nil }
        let row = leases[id].flatMap { lease -> Row? in
            guard let tenant = tenants[lease.tenant], let landlord = properties[lease.property] else { return nil }
            return Row(
                lease: id, tenant: lease.tenant, landlord: landlord, property: lease.property, number: tenant.number,
                from: lease.from, until: lease.until, isActive: lease.isActive)
        }
        guard row != versions[id]?.last?.row else { return }
        let learnt = leases[id].flatMap { tenants[$0.tenant]?.since } ?? at
        versions[id, default: []].append(Version(since: tick, learnt: learnt, row: row))
        if let row { filed[row.number, default: []].insert(id) }
    }

    func exists(_ landlord: RowID) -> Bool { enabled[landlord] != nil }
    func exists(tenant: RowID) -> Bool { tenants[tenant] != nil }
    func exists(property: RowID) -> Bool { properties[property] != nil }
    func exists(lease: RowID) -> Bool { leases[lease] != nil }

    // MARK: Asking

    /// The leases filed under a number at a tick, and when each was written so.
    func leases(under number: Number, asOf tick: Int) -> [(row: Row, learnt: Moment)] {
        (filed[number] ?? []).sorted().compactMap { id in
            guard let version = versions[id]?.last(where: { $0.since <= tick }), let row = version.row,
                row.number == number
            else { return nil }
            return (row, version.learnt)
        }
    }

    /// Every lease ever filed under a number, gone ones too, and when each was written so.
    func everFiled(under number: Number) -> [(row: Row, learnt: Moment)] {
        (filed[number] ?? []).sorted().flatMap { id in
            (versions[id] ?? []).compactMap { version in version.row.map { ($0, version.learnt) } }
        }
        .filter { $0.row.number == number }
    }
}

extension LeaseHistory.Row {
    /// Days after its last one that a lease still counts, when none is running.
    static let graceDays = 30

    func runs(on today: Day) -> Bool {
        isActive && from.map { $0 <= today } ?? true && until.map { today <= $0 } ?? true
    }

    /// Over, and not for long; a lease without a last day that was ended has no days to count.
    func isInGrace(on today: Day) -> Bool {
        guard !runs(on: today), from.map({ $0 <= today }) ?? true, let until else { return false }
        return today <= until + Self.graceDays
    }
}
