/// What the provider says of people: its notices.
extension PeopleHistory {
    /// The provider says that somebody goes by another number or id. Before the first message under the new one or
    /// after it, and any number of times.
    mutating func change(
        _ old: Value, _ new: Value, realm: Int, at: Moment, tick: Int
    ) {
        let old = Identity(realm: realm, value: old)
        let new = Identity(realm: realm, value: new)
        var found = holder(new)
        if let found, hasLeft(old, found) { return correct(old, of: found, leftAt: at, tick: tick) }
        // Somebody first seen under the old value after the event is its next holder.
        let holding = live(old).flatMap { holdings[$0].firstSeen <= at ? $0 : nil }
        // Told after they had moved on.
        if holding == nil, let person = whoLeft(old, andHad: new) {
            return correct(old, of: person, leftAt: at, tick: tick)
        }
        // Notices come in any order: whoever left the new one since, and was not seen under it before, is the mover.
        let further = (byIdentity[new] ?? [])
            .filter { holdings[$0].parting == .changed && holdings[$0].firstSeen >= at && !cameByNotice($0, but: old) }
            .map { holdings[$0] }
            .min { ($0.leftBetween?.upperBound ?? .max) < ($1.leftBetween?.upperBound ?? .max) }
            .map { root($0.person) }
        if let further, let holding, root(holdings[holding].person) == further { return }
        // Whoever had it has left it since, whoever that was taken for; who has it now is its next holder.
        let gone = further == nil ? toldDepartures(from: new, after: at).min() : nil
        if let gone, firstSeen(new, asOf: .max).map({ $0 >= gone }) ?? false { found = nil }
        let mover = holding.map { root(holdings[$0].person) } ?? further ?? found ?? makePerson()
        if holding != nil {
            part(old, .changed, tick: tick, between: at...at, isTold: true)
            if old.value.isNumber { partNextHolder(of: old, from: mover, leftAt: at, tick: tick) }
        } else {
            hold(old, mover, tick: tick, at: at, leftAt: at)
        }
        if let further {
            if further != mover { join(further, mover, tick: tick) }
            return
        }
        guard let found, found != mover else {
            if found == nil { hold(new, mover, tick: tick, at: at, leftAt: gone) }
            return
        }
        if !join(found, mover, tick: tick) {
            part(new, .repointed, tick: tick, between: nil)
            hold(new, mover, tick: tick, at: at)
        }
    }

    private func toldDepartures(from identity: Identity, after moment: Moment) -> [Moment] {
        departures(from: identity, asOf: .max).filter(\.isTold).map(\.between.upperBound).filter { $0 > moment }
    }

    func hasLeft(_ identity: Identity, _ person: Person) -> Bool {
        holdings(of: person, asOf: .max).contains { $0.identity == identity && $0.parting == .changed }
    }

    private func whoLeft(_ old: Identity, andHad new: Identity) -> Person? {
        (byIdentity[old] ?? []).filter { holdings[$0].parting == .changed }.map { root(holdings[$0].person) }
            .first { person in holdings(of: person, asOf: .max).contains { $0.identity == new } }
    }

    /// When somebody left is the provider's to say, where it had only shown.
    private mutating func correct(_ identity: Identity, of person: Person, leftAt: Moment, tick: Int) {
        for index in byIdentity[identity] ?? [] where root(holdings[index].person) == person {
            guard holdings[index].parting == .changed, holdings[index].firstSeen <= leftAt,
                holdings[index].correction.map({ leftAt < $0.leftAt }) ?? true,
                let between = holdings[index].leftBetween, leftAt < between.upperBound
            else { continue }
            holdings[index].correction = (tick, leftAt)
        }
    }

    /// A person shows another number or id from a moment on, and has one at a time.
    mutating func leave(_ identity: Identity, tick: Int, by at: Moment) {
        guard let index = live(identity) else { return }
        let left = max(at, holdings[index].firstSeen)
        // One that a notice told of, and nobody showed, was theirs from then on.
        let had = max(lastSeen(identity), holdings[index].firstSeen)
        part(identity, .changed, tick: tick, between: min(had, left)...left)
    }

    /// Ids of somebody who had none when they left a number were shown with it since, and are its next holder's; and so
    /// are the threads in which nobody wrote before.
    private mutating func partNextHolder(of number: Identity, from mover: Person, leftAt: Moment, tick: Int) {
        let ids = holdings.indices.filter {
            root(holdings[$0].person) == mover && !holdings[$0].identity.value.isNumber
                && holdings[$0].identity.realm == number.realm && holdings[$0].parting != .repointed
        }
        guard ids.contains(where: { holdings[$0].until == nil }), ids.allSatisfy({ holdings[$0].firstSeen > leftAt })
        else { return }
        let next = makePerson()
        for index in ids { hand(index, to: next, tick: tick) }
        hold(number, next, tick: tick, at: ids.map { holdings[$0].firstSeen }.min() ?? leftAt)
        handThreads(of: mover, since: leftAt, to: next)
        handedOver.append((mover, next, leftAt, tick))
    }

    /// Who wrote what was thought to be a person's, by what a notice told at a tick.
    func author(_ person: Person, sentAt: Moment, toldAt tick: Int) -> Person {
        let before = root(person, asOf: tick - 1)
        return handedOver.first { $0.tick == tick && $0.from == before && $0.since < sentAt }?.to ?? person
    }

    /// Whether a holding began as its person left another identity, as a notice told.
    private func cameByNotice(_ index: Int, but old: Identity) -> Bool {
        let came = holdings[index]
        return holdings[..<index].contains {
            $0.identity != old && $0.identity.realm == came.identity.realm
                && $0.identity.value.isNumber == came.identity.value.isNumber && $0.parting == .changed
                && $0.leftBetween == came.firstSeen...came.firstSeen && root($0.person) == root(came.person)
        }
    }

    /// Makes one person of two where nothing is mixed by it, and else a conflict.
    @discardableResult
    private mutating func join(_ other: Person, _ mover: Person, tick: Int) -> Bool {
        let ours = Set(threads(of: mover).map(\.key))
        guard threads(of: other).allSatisfy({ $0.key.tenant != nil && ours.contains($0.key) }) else {
            conflicts.insert([min(other, mover), max(other, mover)])
            return false
        }
        absorb(other, into: mover, tick: tick)
        return true
    }
}
