/// What is so, whoever knows it: who rents under which lease, and who had which number when.
struct Truth {
    struct Tenure {
        var human: Int
        var from: Moment
        var until: Moment?
    }

    /// The humans who live under a lease; a couple may write from one number.
    var humans: [RowID: Set<Int>] = [:]
    /// The landlords a human ever rented from, sold houses included.
    var landlords: [Int: Set<RowID>] = [:]
    var tenures: [Number: [Tenure]] = [:]

    /// A human leaves one number for another.
    mutating func handOver(from old: Number, to new: Number, by human: Int, at: Moment) {
        if let last = tenures[old]?.indices.last { tenures[old]?[last].until = at }
        tenures[new, default: []].append(Tenure(human: human, from: at))
    }

    func rents(_ human: Int, from landlord: RowID) -> Bool { landlords[human]?.contains(landlord) ?? false }

    /// What a message hangs on: who sent it, who that is as far as was known, and everybody who wrote as them, and since
    /// when.
    struct Sender {
        var sent: Sent
        var person: PeopleHistory.Person?
        var realm: Int
        var voices: [Int: Int]
    }

    /// Why a message may have gone to a landlord whom its human never rented from: a fact about a number that nobody
    /// could know. `nil`: nothing excuses it.
    func excuse(
        _ sender: Sender, _ landlord: RowID, _ leases: LeaseHistory, _ people: PeopleHistory
    ) -> Divergence? {
        let numbers = numbers(sender, people)
        func excuse(_ human: Int) -> Divergence? {
            for number in numbers {
                let filed = leases.everFiled(under: number).filter { $0.row.landlord == landlord }
                if let reason = self.excuse(human, sender, number, filed, people) { return reason }
            }
            return nil
        }
        if let reason = excuse(sender.sent.human) { return reason }
        let others = takenForOne(sender, people).filter { $0 != sender.sent.human }
        return others.contains { rents($0, from: landlord) || excuse($0) != nil } ? .takenForOne : nil
    }

    /// The number was another's before, or is since, and the landlord files that one under it.
    private func excuse(
        _ human: Int, _ sender: Sender, _ number: Number, _ filed: [(row: LeaseHistory.Row, learnt: Moment)],
        _ people: PeopleHistory
    ) -> Divergence? {
        let told = Set(told(number, sender, people).map(\.between.lowerBound))
        let others = Set(filed.flatMap { humans[$0.row.lease] ?? [] })
        let theirs = (tenures[number] ?? []).filter { others.contains($0.human) }
        for own in (tenures[number] ?? []).reversed() where own.human == human {
            if let left = own.until, theirs.contains(where: { $0.from >= left }) {
                if !told.contains(left) { return .handedOnWithoutNotice }
                if sender.sent.number == number, sender.sent.account == nil, sender.sent.at <= left {
                    return .lateAcrossHandOver
                }
            }
            guard let left = theirs.compactMap(\.until).filter({ $0 <= own.from }).max() else { continue }
            if !told.contains(left) { return .handedOnWithoutNotice }
            if filed.contains(where: { $0.learnt >= left }) { return .landlordWroteItAgain }
        }
        return nil
    }

    /// Those who are one person with the sender, as far as is known: one after the other had a number, and nobody had
    /// told so when the second wrote.
    func takenForOne(_ sender: Sender, _ people: PeopleHistory) -> Set<Int> {
        var found: Set<Int> = [sender.sent.human]
        var open = found
        while let human = open.popFirst() {
            for number in numbers(sender, people) {
                let tenures = (tenures[number] ?? []).filter { sender.voices[$0.human] != nil }
                let told = told(number, sender, people)
                for own in tenures where own.human == human {
                    for other in tenures where !found.contains(other.human) {
                        let (first, second) = own.from < other.from ? (own, other) : (other, own)
                        let since = sender.voices[second.human] ?? .max
                        if told.contains(where: { $0.between.lowerBound == first.until && $0.tick < since }) {
                            continue
                        }
                        found.insert(other.human)
                        open.insert(other.human)
                    }
                }
            }
        }
        return found
    }

    /// The departures from a number of which the provider told.
    private func told(_ number: Number, _ sender: Sender, _ people: PeopleHistory) -> [PeopleHistory.Departure] {
        let identity = PeopleHistory.Identity(realm: sender.realm, value: .number(number))
        return people.departures(from: identity, asOf: .max).filter(\.isTold)
    }

    /// The number shown, and those the sender has or had.
    private func numbers(_ sender: Sender, _ people: PeopleHistory) -> [Number] {
        var numbers = [sender.sent.number].compactMap { $0 }
        for holding in sender.person.map({ people.holdings(of: $0, asOf: .max) }) ?? [] {
            guard case .number(let number) = holding.identity.value, holding.identity.realm == sender.realm,
                !numbers.contains(number)
            else { continue }
            numbers.append(number)
        }
        return numbers
    }
}

/// Which humans wrote as a person, and since when.
struct Voices {
    private var byPerson: [PeopleHistory.Person: [Int: Int]] = [:]

    mutating func heard(_ human: Int, as person: PeopleHistory.Person?, tick: Int) {
        guard let person, byPerson[person]?[human] == nil else { return }
        byPerson[person, default: [:]][human] = tick
    }

    /// Of those they were before, too.
    func of(_ person: PeopleHistory.Person?, _ people: PeopleHistory) -> [Int: Int] {
        let everybody = person.map { people.everybody($0) } ?? []
        return everybody.compactMap { byPerson[$0] }.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: min) }
    }
}
