/// What happens to people and houses.
extension Generator {
    mutating func happen() {
        switch pick(100) {
        case 0..<16: stranger()
        case 16..<26: if let tenancy = pickTenancy() { end(tenancy) }
        case 26..<32: if let tenancy = pickTenancy() { redate(tenancy) }
        case 32..<44: move()
        case 44..<49: rentTwice()
        case 49..<55: rent(pickHuman(), from: pickLandlord())
        case 55..<60: shareNumber()
        case 60..<76: changeNumber(pickHuman())
        case 76..<83: renewAccount(pickHuman())
        case 83..<88: toggle()
        case 88..<90: if let tenancy = pickTenancy() { forget(tenancy) }
        case 90..<92: sell()
        case 92..<93: depart()
        case 93..<95: arrive()
        case 95..<98: humans[pickHuman()].showsNumber = [0, 10, 95, 100][pick(4)]
        default: if let said = answerable.last { tell(.block(said.name)) }
        }
    }

    // MARK: Landlords

    mutating func arrive() {
        let id = next(.landlord)
        var state = LandlordState(id: id, properties: [], isEnabled: !chance(12))
        tell(.landlord(.landlord(id, enabled: state.isEnabled)))
        for _ in 0...pick(3) {
            let property = next(.property)
            state.properties.append(property)
            tell(.landlord(.property(property, of: id)))
        }
        landlords.append(state)
    }

    private mutating func toggle() {
        let index = pickLandlord()
        landlords[index].isEnabled.toggle()
        tell(.landlord(.enabled(landlords[index].id, landlords[index].isEnabled)))
    }

    /// The first landlord stays: the number that is theirs stays with them.
    private mutating func depart() {
        let index = pickLandlord()
        guard index > 0, landlords.count(where: { !$0.isGone }) > shape.landlords / 2 else { return }
        landlords[index].isGone = true
        for tenancy in tenancies.indices where tenancies[tenancy].landlord == landlords[index].id {
            tenancies[tenancy].isOver = true
        }
        tell(.landlord(.landlordGone(landlords[index].id)))
    }

    private mutating func sell() {
        guard let tenancy = pickTenancy() else { return }
        let buyer = pickLandlord()
        let property = tenancies[tenancy].row.property
        for index in tenancies.indices where tenancies[index].row.property == property {
            tenancies[index].landlord = landlords[buyer].id
            truth.landlords[tenancies[index].human, default: []].insert(landlords[buyer].id)
        }
        for index in landlords.indices { landlords[index].properties.removeAll { $0 == property } }
        landlords[buyer].properties.append(property)
        tell(.landlord(.sold(property, to: landlords[buyer].id)))
    }

    // MARK: Tenants

    /// A lease, with a tenant record of its own.
    mutating func rent(_ human: Int, from landlord: Int, filed: Number? = nil) {
        guard let property = pickProperty(landlord) else { return }
        let tenant = next(.tenant)
        let number = filed ?? humans[human].number
        tell(.landlord(.tenant(tenant, of: landlords[landlord].id, number, style: pick(4))))
        lease(human, tenant, property, landlord, number)
    }

    private mutating func lease(_ human: Int, _ tenant: RowID, _ property: RowID, _ landlord: Int, _ number: Number) {
        let id = next(.lease)
        let today = now.day
        var row = LeaseRow(tenant: tenant, property: property)
        row.from = chance(10) ? nil : chance(15) ? today + pick(12) : today - pick(400)
        row.until = chance(60) ? nil : today + pick(90)
        tell(.landlord(.lease(id, row)))
        tenancies.append(
            Tenancy(lease: id, row: row, landlord: landlords[landlord].id, human: human, filed: number))
        truth.humans[id] = [human]
        truth.landlords[human, default: []].insert(landlords[landlord].id)
        restless.append(human)
    }

    /// The same tenant rents a second house from the same landlord.
    private mutating func rentTwice() {
        guard let tenancy = pickTenancy() else { return }
        let first = tenancies[tenancy]
        guard let landlord = landlords.firstIndex(where: { $0.id == first.landlord && !$0.isGone }),
            let property = pickProperty(landlord)
        else { return }
        lease(first.human, first.row.tenant, property, landlord, first.filed)
    }

    private mutating func move() {
        guard let tenancy = pickTenancy() else { return }
        let human = tenancies[tenancy].human
        if chance(80) { end(tenancy) }
        rent(human, from: pickLandlord())
    }

    /// Two who live together and have one telephone: the second is a tenant, too, there or somewhere else.
    private mutating func shareNumber() {
        guard let tenancy = pickTenancy() else { return }
        let first = tenancies[tenancy]
        let same = landlords.firstIndex { $0.id == first.landlord && !$0.isGone }
        rent(first.human, from: chance(60) ? same ?? pickLandlord() : pickLandlord())
    }

    mutating func end(_ tenancy: Int) {
        tenancies[tenancy].isOver = true
        restless.append(tenancies[tenancy].human)
        let until = now.day + pick(8) - 4
        let lease = tenancies[tenancy]
        // Some landlords say so, some let the last day pass, some give no last day.
        let event = LandlordEvent.leaseChanged(
            lease.lease, from: lease.row.from.map { min($0, until) }, until: chance(90) ? until : nil,
            isActive: chance(25))
        if chance(80) { tell(.landlord(event)) } else { clerical.add(event, at: now + Moment(pick(12 * 86_400))) }
    }

    private mutating func redate(_ tenancy: Int) {
        let lease = tenancies[tenancy]
        let until = chance(30) ? nil : now.day + pick(120) - 30
        tell(.landlord(.leaseChanged(lease.lease, from: lease.row.from, until: until, isActive: true)))
        restless.append(lease.human)
    }

    private mutating func forget(_ tenancy: Int) {
        let tenant = tenancies[tenancy].row.tenant
        for index in tenancies.indices where tenancies[index].row.tenant == tenant { tenancies[index].isOver = true }
        tell(.landlord(.tenantGone(tenant)))
        restless.append(tenancies[tenancy].human)
    }

    // MARK: People

    mutating func newHuman() -> Int {
        let recycled = chance(60) && !freeNumbers.isEmpty
        let number = recycled ? freeNumbers.remove(at: pick(freeNumbers.count)) : newNumber()
        let kind = pick(100)
        let human = Human(
            number: number, account: kind < 22 ? nil : newAccount(),
            showsNumber: kind < 22 ? 100 : kind < 84 ? 95 : 15, changedAt: now)
        humans.append(human)
        truth.tenures[number, default: []].append(.init(human: humans.count - 1, from: now))
        return humans.count - 1
    }

    private mutating func newNumber() -> Number {
        numberCount += 1
        return Number(index: numberCount)
    }

    mutating func newAccount() -> String {
        accountCount += 1
        return "GB.13491208655302\(accountCount)"
    }

    /// Somebody new, perhaps with a number that was another's; most become tenants, some write before.
    private mutating func stranger() {
        let human = newHuman()
        restless += [human, human]
        if chance(30) { return }
        rent(human, from: pickLandlord())
    }

    private mutating func changeNumber(_ human: Int) {
        let (old, oldAccount) = (humans[human].number, humans[human].account)
        let new = chance(15) && !freeNumbers.isEmpty ? freeNumbers.remove(at: pick(freeNumbers.count)) : newNumber()
        humans[human].number = new
        humans[human].changedAt = now
        if oldAccount != nil, chance(85) { humans[human].account = newAccount() }
        truth.handOver(from: old, to: new, by: human, at: now)
        freeNumbers.append(old)
        restless += [human, human]
        var changes: [Notice.Change] = chance(70) ? [.number(from: old, to: new)] : []
        if let oldAccount, let account = humans[human].account, account != oldAccount, chance(60) {
            changes.append(.account(from: oldAccount, to: account))
        }
        announce(changes, by: human)
        // The landlords hear of it, soon, late or never.
        for tenancy in tenancies.indices where tenancies[tenancy].human == human && tenancies[tenancy].filed == old {
            let event = LandlordEvent.tenantNumber(tenancies[tenancy].row.tenant, new, style: pick(4))
            tenancies[tenancy].filed = new
            switch pick(10) {
            case 0..<3: tell(.landlord(event))
            case 3..<7: clerical.add(event, at: now + Moment(pick(20 * 86_400)))
            default: tenancies[tenancy].filed = old
            }
        }
        now += Moment(2 + pick(60))
        if chance(50) { stranger() }
    }

    private mutating func renewAccount(_ human: Int) {
        guard let old = humans[human].account else { return }
        let new = newAccount()
        humans[human].account = new
        humans[human].changedAt = now
        restless += [human, human]
        if chance(75) { announce([.account(from: old, to: new)], by: human) }
    }

    // MARK: Picking

    mutating func pickHuman() -> Int { pick(humans.count) }

    mutating func pickLandlord() -> Int {
        while true {
            let index = chance(12) ? 0 : pick(landlords.count)
            if !landlords[index].isGone { return index }
        }
    }

    private mutating func pickProperty(_ landlord: Int) -> RowID? {
        let properties = landlords[landlord].properties
        return properties.isEmpty ? nil : properties[pick(properties.count)]
    }

    private mutating func pickTenancy() -> Int? {
        for _ in 0..<20 {
            let index = pick(tenancies.count)
            if !tenancies[index].isOver { return index }
        }
        return nil
    }
}
