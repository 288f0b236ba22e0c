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
        _ sent: Sent, of person: PeopleHistory.Person?, _ landlord: RowID, _ leases: LeaseHistory,
        _ people: PeopleHistory,
        place: Place
    ) -> Divergence? {
        for number in numbers(sent, person, people) {
            let others = Set(
                leases.everFiled(under: number).filter { $0.landlord == landlord }
                    .flatMap { humans[$0.lease] ?? [] })
            guard !others.isEmpty, let tenures = tenures[number] else { continue }
            guard let own = tenures.last(where: { $0.human == sent.human }) else { return .numberNeverTheirs }
            let identity = PeopleHistory.Identity(realm: place.realm, value: .number(number))
            let told = people.departures(from: identity, asOf: .max).filter {
                $0.between.lowerBound == $0.between.upperBound
            }
            func wasTold(_ left: Moment) -> Bool { told.contains { $0.between.lowerBound == left } }
            if let left = own.until, tenures.contains(where: { others.contains($0.human) && $0.from >= left }) {
                // A later holder's landlord.
                if sent.number == number { return .lateAcrossHandOver }
                if !wasTold(left) { return .handedOnWithoutNotice }
            }
            let earlier = tenures.filter { others.contains($0.human) && $0.until ?? .max <= own.from }
            guard let left = earlier.compactMap(\.until).max() else { continue }
            return wasTold(left) ? .landlordWroteItAgain : .handedOnWithoutNotice
        }
        return nil
    }

    /// The number shown, and those the sender has or had.
    private func numbers(_ sent: Sent, _ person: PeopleHistory.Person?, _ people: PeopleHistory) -> [Number] {
        var numbers = [sent.number].compactMap { $0 }
        for holding in person.map({ people.holdings(of: $0, asOf: .max) }) ?? [] {
            if case .number(let number) = holding.identity.value, !numbers.contains(number) { numbers.append(number) }
        }
        return numbers
    }
}
