import Messaging

/// Who was who, as far as webhooks told: identities seen together, and the provider's notices, in the journal's order.
///
/// Written from the table "seen → then" of the schema's design, one rule after the other.
struct PeopleHistory {
    typealias Person = Int

    enum Value: Hashable {
        case number(Number)
        case account(String)

        var isNumber: Bool { if case .number = self { true } else { false } }
    }

    /// An identity inside its realm: what is learnt on a landlord's own number is worth nothing elsewhere.
    struct Identity: Hashable {
        var realm: Int
        var value: Value

        func isLike(_ other: Identity) -> Bool {
            realm == other.realm && value.isNumber == other.value.isNumber
        }
    }

    enum Parting: Hashable {
        /// The person has another number, or another id.
        case changed
        /// Another human shows it.
        case recycled
        /// A notice gave it to somebody else.
        case repointed
    }

    /// A person has an identity, from a tick to a tick.
    struct Holding {
        var identity: Identity
        var person: Person
        var since: Int
        var firstSeen: Moment
        var until: Int?
        var parting: Parting?
        /// Between these moments the person left it: one, where the provider told; a span, where it only showed.
        var leftBetween: ClosedRange<Moment>?
        /// The provider said so.
        var isTold = false
        /// The provider's word on it came later.
        var correction: (tick: Int, leftAt: Moment)?
    }

    var holdings: [Holding] = []
    var byIdentity: [Identity: [Int]] = [:]
    private var byPerson: [Person: [Int]] = [:]
    private var mergedInto: [Person: (into: Person, tick: Int)] = [:]
    private var absorbed: [Person: [Person]] = [:]
    /// Two people who may be one: nobody is merged.
    var conflicts: Set<[Person]> = []
    /// What somebody was thought to have written since a moment was another's.
    var handedOver: [(from: Person, to: Person, since: Moment, tick: Int)] = []
    private var nextPerson = 0

    /// A conversation that was opened, and for whom.
    struct Thread {
        var key: Key
        var person: Person
        var since: Int
        var conversation: UniqueID
        /// When the first message in it was sent; `.max`: it holds rows of notices alone.
        var firstSent: Moment
        var openedAt: Moment

        struct Key: Hashable {
            var landlord: RowID
            var tenant: RowID?
        }
    }

    private(set) var threads: [Thread] = []
    private var threadsOf: [Person: [Int]] = [:]
    private var threadAt: [UniqueID: Int] = [:]

    // MARK: Asking

    func root(_ person: Person, asOf tick: Int = .max) -> Person {
        var person = person
        while let merged = mergedInto[person], merged.tick <= tick { person = merged.into }
        return person
    }

    /// Who has an identity at a tick.
    func holder(_ identity: Identity, asOf tick: Int = .max) -> Person? {
        live(identity, asOf: tick).map { root(holdings[$0].person, asOf: tick) }
    }

    /// Who gave up an account id for another. It is nobody else's for ever, as a number is not.
    func formerHolder(_ identity: Identity, asOf tick: Int = .max) -> Person? {
        guard !identity.value.isNumber else { return nil }
        return (byIdentity[identity] ?? []).first {
            holdings[$0].parting == .changed && holdings[$0].until.map { $0 <= tick } ?? false
        }
        .map { root(holdings[$0].person, asOf: tick) }
    }

    /// Whose a number was at a moment that nobody has any more: the first to leave it since, if they were first seen
    /// with it since, too, or left it when the provider said. Else it may have been left already.
    func holder(_ phone: Identity, at moment: Moment, asOf tick: Int = .max) -> Person? {
        let left = (byIdentity[phone] ?? []).compactMap { index -> (holding: Holding, at: Moment, isTold: Bool)? in
            let holding = holdings[index]
            guard let until = holding.until, until <= tick, holding.parting != .repointed,
                let shown = holding.leftBetween?.upperBound
            else { return nil }
            let told = holding.correction.flatMap { $0.tick <= tick ? $0.leftAt : nil }
            let at = told ?? shown
            return at >= moment ? (holding, at, told != nil || holding.isTold) : nil
        }
        guard let first = left.min(by: { $0.at < $1.at }), first.holding.firstSeen >= moment || first.isTold else {
            return nil
        }
        return root(first.holding.person, asOf: tick)
    }

    func live(_ identity: Identity, asOf tick: Int = .max) -> Int? {
        (byIdentity[identity] ?? []).last { holdings[$0].since <= tick && holdings[$0].until.map { $0 > tick } ?? true }
    }

    /// When somebody was first seen with a number that another human showed since.
    func lost(_ identity: Identity, _ person: Person, asOf tick: Int) -> Moment? {
        holdings(of: person, asOf: tick).filter {
            $0.identity == identity && $0.parting == .recycled && $0.until.map { $0 <= tick } ?? false
        }
        .map(\.firstSeen).max()
    }

    /// When whoever has an identity was first seen with it.
    func firstSeen(_ identity: Identity, asOf tick: Int) -> Moment? {
        live(identity, asOf: tick).map { holdings[$0].firstSeen }
    }

    /// Everything a person has or had at a tick, also as those they were before.
    func holdings(of person: Person, asOf tick: Int) -> [Holding] {
        everybody(person, asOf: tick).flatMap { byPerson[$0] ?? [] }.map { holdings[$0] }.filter { $0.since <= tick }
    }

    /// A person, and those they were before.
    func everybody(_ person: Person, asOf tick: Int = .max) -> [Person] {
        var all: [Person] = []
        var open = [person]
        while let next = open.popLast() {
            all.append(next)
            open += (absorbed[next] ?? []).filter { mergedInto[$0].map { $0.tick <= tick } ?? false }
        }
        return all
    }

    /// What a person goes by now.
    func live(_ person: Person, realm: Int) -> (number: Number?, account: String?) {
        var found: (number: Number?, account: String?) = (nil, nil)
        for holding in holdings(of: person, asOf: .max) where holding.until == nil && holding.identity.realm == realm {
            switch holding.identity.value {
            case .number(let number): found.number = number
            case .account(let account): found.account = account
            }
        }
        return found
    }

    /// Somebody left a number; known since a tick, whether or not the provider told.
    struct Departure {
        var person: Person
        var between: ClosedRange<Moment>
        var isTold: Bool
        var tick: Int
    }

    /// Who left a number, known at a tick.
    func departures(from identity: Identity, asOf tick: Int) -> [Departure] {
        (byIdentity[identity] ?? []).compactMap { index in
            let holding = holdings[index]
            guard let until = holding.until, until <= tick, holding.parting == .changed, let left = holding.leftBetween
            else { return nil }
            let person = root(holding.person, asOf: tick)
            if let correction = holding.correction, correction.tick <= tick {
                return Departure(
                    person: person, between: correction.leftAt...correction.leftAt, isTold: true, tick: correction.tick)
            }
            return Departure(person: person, between: left, isTold: holding.isTold, tick: until)
        }
    }

    /// The threads a person has at a tick, also as those they were before.
    func threads(of person: Person, asOf tick: Int = .max) -> [Thread] {
        everybody(person, asOf: tick).flatMap { threadsOf[$0] ?? [] }.map { threads[$0] }.filter { $0.since <= tick }
    }

    func thread(_ conversation: UniqueID) -> Thread? { threadAt[conversation].map { threads[$0] } }

    /// Whether two conversations are one: threads of one key flow together when their people do.
    func flowTogether(_ a: UniqueID, _ b: UniqueID) -> Bool {
        guard a != b else { return true }
        guard let a = thread(a), let b = thread(b) else { return false }
        return a.key == b.key && root(a.person) == root(b.person)
    }

    // MARK: Seeing

    /// Identities in one message.
    mutating func see(_ number: Number?, _ account: String?, realm: Int, at: Moment, tick: Int) {
        var phone = number.map { Identity(realm: realm, value: .number($0)) }
        let id = account.map { Identity(realm: realm, value: .account($0)) }
        var byPhone = phone.flatMap { holder($0) }
        var byID = id.flatMap { holder($0) }
        // Late news contradicts nothing newer: it teaches that the number was theirs, and under a former id no more.
        let former = byID == nil ? id.flatMap { formerHolder($0) } : nil
        var past: Identity?
        if let shown = phone, let id, hasParted(shown, byPhone, from: id, byID ?? former, since: at) {
            past = shown
            (phone, byPhone) = (nil, nil)
        }
        if let former {
            if let past { notePast(past, of: former, at: at, tick: tick) }
            return
        }
        // A number alone that was somebody's before is theirs, and teaches nothing.
        if id == nil, byPhone == nil, let phone, holder(phone, at: at) != nil { return }
        if let holder = byPhone, let id, holder != byID, let other = liveAccount(of: holder, realm: realm),
            other != id, let phone
        {
            // An account id does not change while the number stays: another human has the number.
            part(phone, .recycled, tick: tick, between: at...at)
            byPhone = nil
        }
        if let phoned = byPhone, let known = byID, phoned != known {
            if threads(of: known).isEmpty {
                absorb(known, into: phoned, tick: tick)
                byID = phoned
            } else if threads(of: phoned).isEmpty {
                absorb(phoned, into: known, tick: tick)
            } else {
                conflicts.insert([min(phoned, known), max(phoned, known)])
            }
        }
        let person = byID ?? byPhone ?? makePerson()
        for identity in [phone, id].compactMap({ $0 }) where holder(identity) == nil {
            for other in live(of: person, like: identity) { leave(other, tick: tick, by: at) }
            hold(identity, person, tick: tick, at: at)
        }
        if let past { notePast(past, of: person, at: at, tick: tick) }
        for identity in [phone, id].compactMap({ $0 }) { seen[identity] = max(seen[identity] ?? at, at) }
    }

    /// Whether a number and an id that were shown together at a moment are known to have parted since.
    private func hasParted(
        _ phone: Identity, _ byPhone: Person?, from id: Identity, _ byID: Person?, since at: Moment
    ) -> Bool {
        if let byID, byPhone == byID { return false }
        let ofID = byID.map { holdings(of: $0, asOf: .max) } ?? []
        let hasMoved = ofID.contains { holding in
            if holding.identity == phone {
                return [.changed, .recycled].contains(holding.parting) && departure(holding) >= at
            }
            return holding.until == nil && holding.identity.isLike(phone) && holding.firstSeen > at
        }
        let ofPhone = byPhone.map { holdings(of: $0, asOf: .max) } ?? []
        let since = firstSeen(phone, asOf: .max) ?? .min
        return hasMoved
            || ofPhone.contains {
                $0.until == nil && $0.identity != id && $0.identity.isLike(id) && max($0.firstSeen, since) > at
            }
    }

    private func departure(_ holding: Holding) -> Moment {
        holding.correction?.leftAt ?? holding.leftBetween?.upperBound ?? .min
    }

    /// A number was somebody's at a moment, and until they were seen with another one; else somebody else showed it since.
    private mutating func notePast(_ phone: Identity, of person: Person, at: Moment, tick: Int) {
        guard !hasLeft(phone, person), lost(phone, person, asOf: .max) == nil else { return }
        let since = holdings(of: person, asOf: .max).filter { $0.until == nil && $0.identity.isLike(phone) }
        if let left = since.map(\.firstSeen).filter({ $0 > at }).min() {
            hold(phone, person, tick: tick, at: at, leftAt: left, isTold: false)
        } else {
            hold(phone, person, tick: tick, at: at)
            part(phone, .recycled, tick: tick, between: at...at)
        }
    }

    /// When an identity was last shown.
    private var seen: [Identity: Moment] = [:]
    func lastSeen(_ identity: Identity) -> Moment { seen[identity] ?? .min }

    private func liveAccount(of person: Person, realm: Int) -> Identity? {
        holdings(of: person, asOf: .max).first {
            $0.until == nil && !$0.identity.value.isNumber && $0.identity.realm == realm
        }?
        .identity
    }

    private func live(of person: Person, like identity: Identity) -> [Identity] {
        holdings(of: person, asOf: .max).filter {
            $0.until == nil && $0.identity != identity && $0.identity.isLike(identity)
        }.map(\.identity)
    }

    // MARK: Writing down

    /// A message of a person was put into a conversation.
    mutating func wrote(_ outcome: Outcome, sentAt: Moment, at: Moment, of person: Person, tick: Int) {
        guard let landlord = outcome.landlord, let conversation = outcome.conversation else { return }
        if let index = threadAt[conversation] {
            threads[index].firstSent = min(threads[index].firstSent, sentAt)
            return
        }
        threadAt[conversation] = threads.count
        threadsOf[person, default: []].append(threads.count)
        let key = Thread.Key(landlord: landlord, tenant: outcome.tenant)
        threads.append(
            Thread(
                key: key, person: person, since: tick, conversation: conversation, firstSent: sentAt, openedAt: at))
    }

    /// A holding turns out to be another person's.
    mutating func hand(_ index: Int, to person: Person, tick: Int) {
        var handed = holdings[index]
        (handed.person, handed.since) = (person, tick)
        (holdings[index].until, holdings[index].parting) = (holdings[index].until ?? tick, .repointed)
        byIdentity[handed.identity, default: []].append(holdings.count)
        byPerson[person, default: []].append(holdings.count)
        holdings.append(handed)
    }

    /// Threads turn out to be another person's: those in which nothing was sent before.
    mutating func handThreads(of person: Person, since moment: Moment, to other: Person) {
        let theirs = threads.indices.filter { root(threads[$0].person) == person }
        let old = Set(
            theirs.filter { min(threads[$0].firstSent, threads[$0].openedAt) <= moment }.map { threads[$0].key })
        for index in theirs where !old.contains(threads[index].key) {
            threadsOf[threads[index].person]?.removeAll { $0 == index }
            threads[index].person = other
            threadsOf[other, default: []].append(index)
        }
    }

    mutating func makePerson() -> Person {
        nextPerson += 1
        return nextPerson
    }

    mutating func hold(
        _ identity: Identity, _ person: Person, tick: Int, at: Moment, leftAt: Moment? = nil, isTold: Bool = true
    ) {
        let index = holdings.count
        holdings.append(
            Holding(
                identity: identity, person: person, since: tick, firstSeen: at, until: leftAt == nil ? nil : tick,
                parting: leftAt == nil ? nil : .changed, leftBetween: leftAt.map { at...$0 },
                isTold: leftAt != nil && isTold))
        byIdentity[identity, default: []].append(index)
        byPerson[person, default: []].append(index)
    }

    mutating func part(
        _ identity: Identity, _ parting: Parting, tick: Int, between: ClosedRange<Moment>?, isTold: Bool = false
    ) {
        guard let index = live(identity) else { return }
        holdings[index].until = tick
        holdings[index].parting = parting
        holdings[index].leftBetween = between
        holdings[index].isTold = isTold
    }

    /// Of two numbers or ids that both of two people had, the one first seen later stands.
    private mutating func keepLast(of person: Person, tick: Int) {
        func isEarlier(_ a: Holding, _ b: Holding) -> Bool { (a.firstSeen, a.since) < (b.firstSeen, b.since) }
        let live = holdings(of: person, asOf: .max).filter { $0.until == nil }
        for holding in live {
            let later = live.filter { $0.identity.isLike(holding.identity) && isEarlier(holding, $0) }
            if let last = later.max(by: isEarlier) { leave(holding.identity, tick: tick, by: last.firstSeen) }
        }
    }

    mutating func absorb(_ person: Person, into other: Person, tick: Int) {
        mergedInto[person] = (other, tick)
        absorbed[other, default: []].append(person)
        keepLast(of: other, tick: tick)
    }
}
