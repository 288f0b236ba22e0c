import Messaging

/// Says for every message where it may go, from the rules and from nothing else, and judges where it went.
///
/// It keeps two histories. What the gateway could know: the landlords' tables at every tick, the notices and the
/// identities that webhooks showed, in the journal's order. And the truth: who wrote, whose lease it is.
///
/// **The wrong landlord** is one without a claim by what could be known when the message was recorded. A claim is
/// - a lease that runs or is in grace, filed under the number the message shows, or under a number its sender is known
///   to have or to have had; of a number that somebody is known to have left, only the leases written on the sender's
///   side of that moment;
/// - a thread of the sender. The sender is the person of the account id, and only without one the person of the number.
///
/// Of a number that changed hands without a word nobody can know. There the landlord's data decides: as long as it files
/// a tenant under the number, that landlord has a claim, and where it files two, the message is held. What a landlord
/// writes after a number was left is believed to be about the number's next holder, also when only a date was edited.
/// What depends on order follows the journal's order: a message that arrives after its number was handed on is its next
/// holder's (I2).
struct Oracle {
    let truth: Truth
    private(set) var leases = LeaseHistory()
    private(set) var people = PeopleHistory()
    private(set) var tally = Tally()
    /// Grows with every fact.
    private(set) var tick = 0
    /// When the table in memory was last made equal to the database.
    private var refreshed = 0
    /// When the batch began that is being judged.
    private var batchBegan = 0
    private var outcomes: [MessageName: Outcome] = [:]
    private var notices: Set<MessageName> = []
    private var waiting: [MessageName: (sent: Sent, place: Place)] = [:]
    private var replies: [RowID: UniqueID] = [:]
    private var blocked: Set<UniqueID> = []
    private var known: Set<Place> = [.main, .second, .owned]
    private(set) var statuses = StatusHistory()
    /// What each webhook holds, in the order of the journal.
    private(set) var updateCounts: [Int] = []

    init(truth: Truth) { self.truth = truth }

    // MARK: What happens

    mutating func landlord(_ event: LandlordEvent, at: Moment) {
        tick += 1
        leases.apply(event, tick: tick, at: at)
    }

    mutating func refresh() { refreshed = tick }

    mutating func endpointKnown(_ place: Place) { known.insert(place) }

    /// Messages that waited for their endpoint to be known.
    var waitingNames: [MessageName] { waiting.keys.sorted() }

    mutating func replied(_ reply: Reply, in conversation: UniqueID) {
        replies[reply.id] = conversation
        statuses.queued(reply.id)
    }

    mutating func answered(_ reply: RowID) { if replies[reply] != nil { statuses.answered(reply) } }

    mutating func block(_ conversation: UniqueID) { blocked.insert(conversation) }

    /// A batch was recorded, at this moment; `found` is where its messages are now.
    mutating func recorded(_ posts: [Post], at: Moment, found: [MessageName: Outcome]) {
        batchBegan = tick
        for name in waitingNames {
            guard let outcome = found[name], let (sent, place) = waiting.removeValue(forKey: name) else { continue }
            tally.redriven += 1
            judge(sent, in: place, at: at, outcome)
        }
        for post in posts {
            updateCounts.append(post.updates.count)
            for update in post.updates { recorded(update, of: post, at: at, found: found) }
        }
    }

    private mutating func recorded(_ update: Update, of post: Post, at: Moment, found: [MessageName: Outcome]) {
        switch update {
        case .other: tally.ignored += 1
        case .status(let reply, let word, let moment):
            tally.statuses += 1
            statuses.told(reply, word, at: moment)
        case .notice(let notice):
            guard notices.insert(notice.name).inserted else { return tally.duplicates += 1 }
            apply(notice, in: post.place, at: at, found[notice.name])
        case .message(let sent):
            guard outcomes[sent.name] == nil, waiting[sent.name] == nil else { return tally.duplicates += 1 }
            if let outcome = found[sent.name] {
                judge(sent, in: post.place, at: at, outcome)
            } else if post.place == .late {
                waiting[sent.name] = (sent, post.place)
            } else {
                tally.violations.append(.init(message: sent.name, what: "is not recorded"))
            }
        }
    }

    // MARK: Judging

    private mutating func apply(_ notice: Notice, in place: Place, at: Moment, _ outcome: Outcome?) {
        var question = Ladder.Question(
            number: notice.number, account: nil, place: place, quoted: nil, today: at.day, blocked: blocked)
        if case .number(let old, _) = notice.change { question.number = old }
        if case .account(let old, _) = notice.change { question.account = old }
        let before = ladder.claims(question, knowing: .init(at: tick))
        tick += 1
        switch notice.change {
        case .number(let old, let new):
            people.change(.number(old), .number(new), realm: place.realm, at: notice.at, tick: tick)
            question.number = new
        case .account(let old, let new):
            people.change(.account(old), .account(new), realm: place.realm, at: notice.at, tick: tick)
            question.account = new
        }
        tally.notices += 1
        guard let outcome else { return }
        tally.count(outcome)
        guard let landlord = outcome.landlord, let conversation = outcome.conversation else { return }
        let after = ladder.claims(question, knowing: .init(at: tick))
        if !before.contains(landlord), !after.contains(landlord) {
            tally.wrong(notice.name, "a notice went to \(landlord), who has no claim on its sender")
        }
        if let person = ladder.sender(question, asOf: tick) {
            people.wrote(
                notice.human, in: conversation, .init(landlord: landlord, tenant: outcome.tenant), of: person,
                tick: tick)
        }
    }

    private var ladder: Ladder { Ladder(leases: leases, people: people) }

    private mutating func judge(_ sent: Sent, in place: Place, at: Moment, _ outcome: Outcome) {
        tick += 1
        tally.messages += 1
        tally.count(outcome)
        outcomes[sent.name] = outcome
        people.see(sent.number, sent.account, realm: place.realm, at: sent.at, tick: tick)
        let question = Ladder.Question(
            number: sent.number, account: sent.account, place: place, quoted: conversation(of: sent.quotes),
            today: at.day, blocked: blocked)
        compare(sent, question, outcome)
        if let landlord = outcome.landlord { check(sent, question, outcome, landlord, at: at) }
        guard let landlord = outcome.landlord, let conversation = outcome.conversation,
            let person = ladder.sender(question, asOf: tick)
        else { return }
        people.wrote(
            sent.human, in: conversation, .init(landlord: landlord, tenant: outcome.tenant), of: person, tick: tick)
    }

    private func conversation(of quote: Quote?) -> UniqueID? {
        switch quote {
        case .message(let name): outcomes[name]?.conversation
        case .reply(let reply): replies[reply]
        case nil: nil
        }
    }

    /// The ideal, or what the ideal would have been a moment ago.
    private mutating func compare(_ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome) {
        let ladder = ladder
        let ideal = ladder.answer(question, knowing: .init(at: tick))
        if outcome.agrees(with: ideal) { return tally.ideal += 1 }
        for (reason, knowledge) in knowledges
        where outcome.agrees(with: ladder.answer(question, knowing: knowledge)) {
            return tally.diverged(reason)
        }
        tally.violations.append(
            .init(message: sent.name, what: "went \(outcome), where \(ideal) was due, and nothing explains it"))
    }

    /// What was known a moment ago, the least first: a message is decided by the table in memory, and by threads and
    /// identities as they were when its batch began.
    private var knowledges: [(reason: Divergence, Ladder.Knowledge)] {
        var all: [(Divergence, Ladder.Knowledge)] = []
        for threads in [tick, batchBegan] {
            for identities in [tick, batchBegan, refreshed] {
                for leases in [tick, refreshed] {
                    var knowledge = Ladder.Knowledge(at: tick)
                    (knowledge.threads, knowledge.identities, knowledge.leases) = (threads, identities, leases)
                    let reason: Divergence =
                        leases != tick
                        ? .tableBehindLeases
                        : identities == refreshed
                            ? .tableBehindIdentities
                            : identities != tick ? .identityOfTheSameBatch : .threadOfTheSameBatch
                    if knowledge != .init(at: tick) { all.append((reason, knowledge)) }
                }
            }
        }
        return all
    }

    /// What no lag excuses.
    private mutating func check(
        _ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome, _ landlord: RowID, at: Moment
    ) {
        if !ladder.claims(question, knowing: .init(at: tick)).contains(landlord) {
            tally.wrong(sent.name, "went \(outcome), who has no claim on its sender by what was known")
        }
        if !truth.rents(sent.human, from: landlord) {
            if let reason = truth.excuse(sent, landlord, recordedAt: at, leases, people, place: question.place) {
                tally.diverged(reason)
            } else {
                tally.wrong(sent.name, "went \(outcome), from whom human \(sent.human) never rented")
            }
        }
        let isOn = leases.enabled[landlord] ?? false
        let isBlocked = outcome.conversation.map { blocked.contains($0) } ?? false
        let due = isBlocked ? "blocked" : isOn ? "delivered" : "opted_out"
        if outcome.status != due {
            tally.violations.append(.init(message: sent.name, what: "is \(outcome.status), not \(due)"))
        }
        if let thread = outcome.conversation.flatMap({ people.thread($0) }),
            let person = ladder.sender(question, asOf: tick),
            people.root(thread.person) != people.root(person)
        {
            tally.diverged(.threadOfAnotherPerson)
        }
    }
}
