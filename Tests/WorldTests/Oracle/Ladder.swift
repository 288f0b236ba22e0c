import Messaging

/// Where a message goes by the rules, from what was known at chosen moments.
///
/// Taking leases, identities and threads from different moments is how the oracle says "the table in memory was old":
/// the ideal takes all three from the moment of the message.
struct Ladder {
    let leases: LeaseHistory
    let people: PeopleHistory

    /// What is known when.
    struct Knowledge: Hashable {
        var leases: Int
        var identities: Int
        var threads: Int
        /// When it is recorded: the landlord is whose the leases known before say, the lease the one that speaks by now.
        var recorded: Int

        init(at tick: Int) { (leases, identities, threads, recorded) = (tick, tick, tick, tick) }
    }

    /// What the ladder needs of a message.
    struct Question {
        var number: Number?
        var account: String?
        /// When they were shown; `nil`: at no one moment.
        var sentAt: Moment?
        var place: Place
        /// The conversation of the message it quotes.
        var quoted: UniqueID?
        /// Since when it can be quoted.
        var quotedSince = 0
        var today: Day
        /// Threads that are blocked: a quote alone finds them.
        var blocked: Set<UniqueID>
    }

    enum Answer: Hashable {
        /// By a lease.
        case lease(landlord: RowID, tenant: RowID)
        /// Into a thread there is.
        case thread(landlord: RowID, tenant: RowID?)
        case held
        case unclaimed

        var landlord: RowID? {
            switch self {
            case .lease(let landlord, _), .thread(let landlord, _): landlord
            case .held, .unclaimed: nil
            }
        }
        var tenant: RowID? {
            switch self {
            case .lease(_, let tenant): tenant
            case .thread(_, let tenant): tenant
            case .held, .unclaimed: nil
            }
        }
    }

    // MARK: The rungs

    func answer(_ question: Question, knowing knowledge: Knowledge) -> Answer {
        answers(question, knowing: knowledge)[0]
    }

    /// One, but where a landlord's leases under two numbers of the sender begin on the same day: either speaks.
    func answers(_ question: Question, knowing knowledge: Knowledge) -> [Answer] {
        let threads = threads(question, knowledge)
        if let quoted = question.quoted, question.quotedSince <= knowledge.threads,
            let thread = threads.first(where: { $0.conversation == quoted })
        {
            return [.thread(landlord: thread.key.landlord, tenant: thread.key.tenant)]
        }
        let counting = counting(candidates(question, knowledge, isGenerous: false), question)
        if let first = counting.min(by: isOlder) {
            if counting.contains(where: { $0.landlord != first.landlord }) { return [.held] }
            let even = counting.filter { $0.number != first.number && $0.from == first.from }
            return ([first] + even).map {
                .lease(landlord: first.landlord, tenant: speaking(for: $0, question, knowledge).tenant)
            }
        }
        // Two threads with one key flowed together when their people did, and a block outlives that.
        let shut = Set(threads.filter { question.blocked.contains($0.conversation) }.map(\.key))
        let open = Set(threads.map(\.key)).subtracting(shut)
        if let only = open.first, open.count == 1 { return [.thread(landlord: only.landlord, tenant: only.tenant)] }
        return [open.isEmpty ? .unclaimed : .held]
    }

    /// The leases that run, and where none does those in their days of grace.
    private func counting(_ candidates: [LeaseHistory.Row], _ question: Question) -> [LeaseHistory.Row] {
        let running = candidates.filter { $0.runs(on: question.today) }
        return running.isEmpty ? candidates.filter { $0.isInGrace(on: question.today) } : running
    }

    /// Which lease of a landlord a message goes by: one under the same number, as they are when it is recorded. Where there
    /// is none any more the message does not go there at all.
    private func speaking(
        for row: LeaseHistory.Row, _ question: Question, _ knowledge: Knowledge
    ) -> LeaseHistory.Row {
        var knowledge = knowledge
        knowledge.leases = knowledge.recorded
        let now = candidates(question, knowledge, isGenerous: false).filter {
            $0.landlord == row.landlord && $0.number == row.number
        }
        // The commit takes one that counts yesterday or tomorrow, where none counts today.
        let spare = [-1, 1].flatMap { days in
            var question = question
            question.today += days
            return counting(now, question)
        }
        return counting(now, question).min(by: isOlder) ?? spare.min(by: isOlder) ?? row
    }

    /// Of people who share a phone at one landlord, the tenant with the oldest lease names the thread.
    private func isOlder(_ a: LeaseHistory.Row, _ b: LeaseHistory.Row) -> Bool {
        if a.from != b.from { return a.from ?? .min < b.from ?? .min }
        return (a.tenant, a.lease) < (b.tenant, b.lease)
    }

    /// Who has a claim on a message: a lease that counts in whatever standing, or a thread with its sender.
    func claims(_ question: Question, knowing knowledge: Knowledge) -> Set<RowID> {
        let leases = candidates(question, knowledge, isGenerous: true).filter {
            $0.runs(on: question.today) || $0.isInGrace(on: question.today)
        }
        return Set(leases.map(\.landlord)).union(threads(question, knowledge).map(\.key.landlord))
    }

    /// What the answer hangs on, for whoever looks into a violation.
    func explanation(_ question: Question, knowing knowledge: Knowledge) -> [String] {
        guard let person = sender(question, asOf: knowledge.identities) else { return ["nobody knows the sender"] }
        let holdings = people.holdings(of: person, asOf: knowledge.identities)
        let held = holdings.map { holding in
            let until = holding.until.flatMap { $0 <= knowledge.identities ? holding.parting : nil }
            return "person \(person) has \(holding.identity.value) of realm \(holding.identity.realm)"
                + (until.map { " no more: \($0) \(Self.span(holding.leftBetween))" } ?? "")
        }
        let leases = candidates(question, knowledge, isGenerous: false).map { "may go by \($0)" }
        let threads = threads(question, knowledge).map { "has a thread with \($0.key)" }
        let numbers = holdings.map(\.identity.value) + (question.number.map { [.number($0)] } ?? [])
        return held + leases + threads + history(of: Set(numbers), question, knowledge)
    }

    /// Who left these numbers, and what is filed under them.
    private func history(
        of values: Set<PeopleHistory.Value>, _ question: Question, _ knowledge: Knowledge
    ) -> [String] {
        values.flatMap { value -> [String] in
            guard case .number(let number) = value else { return [] }
            let identity = PeopleHistory.Identity(realm: question.place.realm, value: value)
            return people.departures(from: identity, asOf: knowledge.identities).map {
                "person \($0.person) left \(number) \(Self.span($0.between))"
            }
                + leases.leases(under: number, asOf: knowledge.leases).map {
                    "under \(number) since \($0.learnt - Generator.start)s: \($0.row)"
                }
        }
    }

    private static func span(_ between: ClosedRange<Moment>?) -> String {
        between.map { "from \($0.lowerBound - Generator.start)s to \($0.upperBound - Generator.start)s" } ?? ""
    }

    // MARK: Who

    /// The person the sender is: the account's before the number's, for a number can be given to somebody else. A number
    /// alone that nobody has any more is whose it was.
    func sender(_ question: Question, asOf tick: Int) -> PeopleHistory.Person? {
        let account = question.account.flatMap { holder(.account($0), question, tick) ?? former($0, question, tick) }
        if let known = account ?? question.number.flatMap({ holder(.number($0), question, tick) }) { return known }
        guard question.account == nil, let number = question.number, let sentAt = question.sentAt else { return nil }
        let identity = PeopleHistory.Identity(realm: question.place.realm, value: .number(number))
        return people.holder(identity, at: sentAt, asOf: tick)
    }

    /// Number and account id are two people's, and nobody may merge them.
    func isInConflict(_ question: Question, asOf tick: Int) -> Bool {
        guard let number = question.number, let account = question.account,
            let byNumber = holder(.number(number), question, tick)
        else { return false }
        return holder(.account(account), question, tick).map { $0 != byNumber } ?? false
    }

    private func former(_ account: String, _ question: Question, _ tick: Int) -> PeopleHistory.Person? {
        people.formerHolder(PeopleHistory.Identity(realm: question.place.realm, value: .account(account)), asOf: tick)
    }

    private func holder(
        _ value: PeopleHistory.Value, _ question: Question, _ tick: Int
    ) -> PeopleHistory.Person? {
        people.holder(PeopleHistory.Identity(realm: question.place.realm, value: value), asOf: tick)
    }

    private func threads(_ question: Question, _ knowledge: Knowledge) -> [PeopleHistory.Thread] {
        guard let person = sender(question, asOf: knowledge.threads) else { return [] }
        return people.threads(of: person, asOf: knowledge.threads).filter { admits($0.key.landlord, question) }
    }

    private func admits(_ landlord: RowID, _ question: Question) -> Bool {
        question.place.owner.map { $0 == landlord } ?? true
    }

    // MARK: Leases

    /// The leases that may be the sender's: under the number they show, and under numbers they are known to have or to
    /// have had. Of a number somebody left, what was written before belongs to who left, what was written since to who
    /// came.
    /// - Parameter isGenerous: a lease written while nobody knows whether the number had been left may be either's;
    ///   else it is the leaver's.
    private func candidates(
        _ question: Question, _ knowledge: Knowledge, isGenerous: Bool
    ) -> [LeaseHistory.Row] {
        let tick = knowledge.identities
        let person = sender(question, asOf: tick)
        let held = person.map { people.holdings(of: $0, asOf: tick) } ?? []
        var rows: Set<LeaseHistory.Row> = []
        var numbers = Set(
            held.compactMap { holding -> Number? in
                guard case .number(let number) = holding.identity.value, holding.identity.realm == question.place.realm,
                    isLive(holding, tick) || holding.parting == .changed
                else { return nil }
                return number
            })
        if let shown = question.number { numbers.insert(shown) }
        for number in numbers {
            for lease in leases.leases(under: number, asOf: knowledge.leases)
            where admits(lease.row.landlord, question)
                && isMeant(
                    lease.learnt, number, for: person, shown: number == question.number, question, tick, isGenerous)
            {
                rows.insert(lease.row)
            }
        }
        return Array(rows)
    }

    private func isLive(_ holding: PeopleHistory.Holding, _ tick: Int) -> Bool {
        holding.until.map { $0 > tick } ?? true
    }

    /// Whether a lease written at a moment under a number is meant for this person, and not for another who had the
    /// number before or has had it since.
    private func isMeant(
        _ learnt: Moment, _ number: Number, for person: PeopleHistory.Person?, shown: Bool, _ question: Question,
        _ tick: Int, _ isGenerous: Bool
    ) -> Bool {
        let identity = PeopleHistory.Identity(realm: question.place.realm, value: .number(number))
        let departures = people.departures(from: identity, asOf: tick)
        // A number shown with the id of somebody who had it is theirs as it was then: the message comes late. Of one that
        // another id showed since, what was written before they were seen with it is theirs for sure.
        let holdsIt = people.holder(identity, asOf: tick) == person
        let lost = holdsIt || !shown ? nil : person.flatMap { people.lost(identity, $0, asOf: tick) }
        let hasIt = holdsIt || shown && lost == nil && !departures.contains { $0.person == person }
        let leftAt = hasIt ? nil : departures.filter { $0.person == person }.map(\.between.upperBound).max() ?? lost
        let before = departures.filter { departure in
            departure.person != person && leftAt.map { departure.between.upperBound <= $0 } ?? true
        }.map(\.between)
        // The provider tells whole seconds: the last one is the leaver's.
        if let came = before.map({ isGenerous ? $0.lowerBound - 1 : $0.upperBound }).max(), learnt <= came {
            return false
        }
        if let leftAt, leftAt == lost ? learnt >= leftAt : learnt > leftAt { return false }
        // Who shows one number had left every other by then, but for one they were first seen with later.
        if question.number != nil, !shown, let sentAt = question.sentAt, learnt > sentAt {
            return people.firstSeen(identity, asOf: tick).map { learnt < $0 } ?? false
        }
        return true
    }
}
