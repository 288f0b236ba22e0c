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

    /// Why a message may have gone to a landlord whom its human never rented from; `nil`: nothing excuses it.
    func excuse(
        _ sent: Sent, _ landlord: RowID, recordedAt: Moment, _ leases: LeaseHistory, _ people: PeopleHistory,
        place: Place
    ) -> Divergence? {
        for number in numbers(sent, people, place) {
            let others = Set(
                leases.everFiled(under: number).filter { $0.landlord == landlord }
                    .flatMap { humans[$0.lease] ?? [] })
            guard !others.isEmpty, let tenures = tenures[number] else { continue }
            guard let own = tenures.last(where: { $0.human == sent.human }) else { return .numberNeverTheirs }
            let later = tenures.contains { others.contains($0.human) && $0.from >= own.until ?? .max }
            if later, own.until ?? .max <= recordedAt { return .lateAcrossHandOver }
            let earlier = tenures.filter { others.contains($0.human) && $0.until ?? .max <= own.from }
            guard let left = earlier.compactMap(\.until).max() else { continue }
            let identity = PeopleHistory.Identity(realm: place.realm, value: .number(number))
            let wasTold = people.departures(from: identity, asOf: .max).contains { $0.between.contains(left) }
            return wasTold ? .landlordWroteItAgain : .handedOnWithoutNotice
        }
        return nil
    }

    /// The number shown, or those of the account.
    private func numbers(_ sent: Sent, _ people: PeopleHistory, _ place: Place) -> [Number] {
        if let number = sent.number { return [number] }
        guard let account = sent.account,
            let person = people.holder(.init(realm: place.realm, value: .account(account)))
        else { return [] }
        return people.holdings(of: person, asOf: .max).compactMap {
            if case .number(let number) = $0.identity.value { number } else { nil }
        }
    }
}
