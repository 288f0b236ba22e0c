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
/// a tenant under the number, that landlord has a claim, and where it files two, the message is held. A tenant who is
/// filed under a number after it was left is believed to be its next holder.
/// What depends on order follows the journal's order: a message that arrives after its number was handed on is its next
/// holder's (I2).
struct Oracle {
    let truth: Truth
    private(set) var leases = LeaseHistory()
    private(set) var people = PeopleHistory()
    var tally = Tally()
    /// Grows with every fact.
    var tick = 0
    /// When the table in memory was last made equal to the database: one moment, or one of several while intake itself
    /// had it refreshed.
    private var refreshed = [0]
    /// When the batch began that is being judged.
    private var batchBegan = 0
    /// When the batches since the last delivery began, and each of their webhooks.
    private var batches: [Int] = []
    var outcomes: [MessageName: Outcome] = [:]
    private var recordedAt: [MessageName: Int] = [:]
    private var notices: Set<MessageName> = []
    private var waiting: [MessageName: (sent: Sent, place: Place)] = [:]
    /// Messages nobody had, or that are held.
    var strays: [MessageName: Unclaimed] = [:]
    typealias Unclaimed = (sent: Sent, place: Place, person: PeopleHistory.Person)
    private var places: [MessageName: Place] = [:]
    private var replies: [RowID: (conversation: UniqueID, place: Place, isKnown: Bool)] = [:]
    var blocked: Set<UniqueID> = []
    /// Threads that a message of somebody went to for a reason that excuses it.
    private var excused: [Int: Set<UniqueID>] = [:]
    private var voices = Voices()
    private var endpoints: Set<Place> = [.main, .second, .owned]
    private var parkedStatuses: Set<String> = []
    private(set) var statuses = StatusHistory()
    /// What each webhook holds, in the order of the journal.
    private(set) var updateCounts: [Int] = []

    init(truth: Truth) { self.truth = truth }

    // MARK: What happens

    mutating func landlord(_ event: LandlordEvent, at: Moment) {
        tick += 1
        leases.apply(event, tick: tick, at: at)
    }

    mutating func refresh() { refreshed = [tick] }

    /// Since the last batches began, intake may have had the table refreshed.
    mutating func mayHaveRefreshed() { refreshed = Array(Set(refreshed + batches + [tick])) }

    mutating func endpointKnown(_ place: Place) { endpoints.insert(place) }

    /// Messages that waited for their endpoint to be known.
    var waitingNames: [MessageName] { waiting.keys.sorted() }

    mutating func replied(_ reply: Reply, in conversation: UniqueID, _ place: Place) {
        replies[reply.id] = (conversation, place, false)
        statuses.queued(reply.id)
    }

    /// From now on a reply can be quoted, and its statuses find it.
    mutating func answered(_ reply: RowID) {
        guard replies[reply] != nil else { return }
        replies[reply]?.isKnown = true
        statuses.answered(reply)
    }

    mutating func block(_ conversation: UniqueID) { blocked.insert(conversation) }

    /// Webhooks could not be recorded.
    mutating func stuck(_ messages: Set<MessageName>, _ why: String) {
        tally.isStuck = true
        tally.violations.append(.init(message: messages.min(), others: messages, what: "cannot be recorded: \(why)"))
    }

    /// Something is wrong that no single message shows.
    mutating func blame(_ what: String) { tally.violations.append(.init(what: what)) }

    /// Webhooks that arrived together are about to be recorded.
    mutating func delivered() { batches = [] }

    /// A batch was recorded, at this moment; `found` is where its messages are now.
    mutating func recorded(_ posts: [Post], at: Moment, found: [MessageName: Outcome]) {
        batchBegan = tick
        for name in waitingNames {
            guard let outcome = found[name], let (sent, place) = waiting.removeValue(forKey: name) else { continue }
            tally.redriven += 1
            judge(sent, in: place, at: at, outcome)
        }
        for post in posts {
            batches.append(tick)
            updateCounts.append(post.updates.count)
            for update in post.updates { recorded(update, of: post, at: at, found: found) }
        }
    }

    private mutating func recorded(_ update: Update, of post: Post, at: Moment, found: [MessageName: Outcome]) {
        switch update {
        case .other: tally.ignored += 1
        case .status(let reply, let word, let moment):
            tally.statuses += 1
            // Of what waits for its endpoint one is kept, of statuses too.
            guard endpoints.contains(post.place) || parkedStatuses.insert("\(update)").inserted else { return }
            statuses.told(reply, word, at: moment)
        case .notice(let notice):
            guard notices.insert(notice.name).inserted else { return tally.duplicates += 1 }
            apply(notice, in: post.place, at: at, found[notice.name])
        case .message(let sent):
            guard outcomes[sent.name] == nil else { return tally.duplicates += 1 }
            // Of what waits for its endpoint one is kept; the others wait beside it.
            guard waiting[sent.name] == nil else { return tally.duplicates += 1 }
            if let outcome = found[sent.name] {
                judge(sent, in: post.place, at: at, outcome)
            } else if post.place == .late {
                waiting[sent.name] = (sent, post.place)
            } else {
                tally.violated(sent.name, "is not recorded")
            }
        }
    }

    // MARK: Judging

    private mutating func apply(_ notice: Notice, in place: Place, at: Moment, _ outcome: Outcome?) {
        var question = Ladder.Question(
            number: notice.number, account: nil, sentAt: notice.at, place: place, quoted: nil, today: at.day,
            blocked: blocked)
        if case .number(let old, _) = notice.change { question.number = old }
        if case .account(let old, _) = notice.change { question.account = old }
        let before = ladder.claims(question, knowing: .init(at: tick))
        tick += 1
        switch notice.change {
        case .number(let old, let new):
            people.change(.number(old), .number(new), realm: place.realm, at: notice.at, tick: tick)
            question.number = new
            for (name, stray) in strays {
                strays[name]?.person = people.author(stray.person, sentAt: stray.sent.at, toldAt: tick)
            }
        case .account(let old, let new):
            people.change(.account(old), .account(new), realm: place.realm, at: notice.at, tick: tick)
            question.account = new
            // It shows the number that goes with the new id.
            if let number = notice.number {
                people.see(number, new, realm: place.realm, at: notice.at, tick: tick)
            }
        }
        // What comes after the change is decided when it is done.
        batches.append(tick)
        tick += 1
        voices.heard(notice.human, as: ladder.sender(question, asOf: tick), tick: tick)
        tally.notices += 1
        guard let outcome else {
            tally.violated(notice.name, "is not recorded")
            return
        }
        tally.count(outcome)
        let sent = Sent(
            name: notice.name, human: notice.human, number: question.number, account: question.account, at: notice.at)
        guard let person = ladder.sender(question, asOf: tick) else { return }
        guard let landlord = outcome.landlord else {
            strays[notice.name] = (sent, place, person)
            (outcomes[notice.name], places[notice.name]) = (outcome, place)
            return
        }
        let after = ladder.claims(question, knowing: .init(at: tick))
        if !before.contains(landlord), !after.contains(landlord) {
            tally.wrong(notice.name, "a notice went to \(landlord), who has no claim on its sender")
        }
        checkTruth(sent, question, outcome, landlord)
        write(sent, outcome, of: person, at: at)
    }

    // MARK: The end

    /// At the end: no message changes its landlord, and what was withheld from a landlord who is on now went on.
    mutating func closed(found: [MessageName: Outcome]) {
        for (name, judged) in outcomes.sorted(by: { $0.key < $1.key }) {
            guard let outcome = found[name] else {
                tally.violated(name, "was \(judged), and is gone")
                continue
            }
            let isOn = judged.landlord.map { leases.enabled[$0] ?? false } ?? false
            let isBlocked = outcome.conversation.map { self.isBlocked($0) } ?? false
            let due = judged.status == "opted_out" && isOn && !isBlocked ? ["delivered"] : [judged.status, "delivered"]
            if outcome.landlord != judged.landlord || outcome.tenant != judged.tenant || !due.contains(outcome.status) {
                let isWrong = outcome.landlord != judged.landlord
                tally.violations.append(
                    .init(message: name, isWrongLandlord: isWrong, what: "was \(judged), and is \(outcome) at the end"))
            }
        }
    }

    /// Every message that was recorded, and where it came in.
    var recordedNames: [(name: MessageName, place: Place)] {
        outcomes.keys.sorted().compactMap { name in places[name].map { (name, $0) } }
    }

    var ladder: Ladder { Ladder(leases: leases, people: people) }
    func known(_ asked: Ladder.Question) -> [String] { ladder.explanation(asked, knowing: .init(at: tick)) }

    private mutating func judge(_ sent: Sent, in place: Place, at: Moment, _ outcome: Outcome) {
        tick += 1
        tally.messages += 1
        tally.count(outcome)
        outcomes[sent.name] = outcome
        recordedAt[sent.name] = tick
        places[sent.name] = place
        people.see(sent.number, sent.account, realm: place.realm, at: sent.at, tick: tick)
        let question = Ladder.Question(
            number: sent.number, account: sent.account, sentAt: sent.at, place: place,
            quoted: conversation(of: sent.quotes, in: place), quotedSince: quotedSince(sent.quotes), today: at.day,
            blocked: blocked)
        voices.heard(sent.human, as: ladder.sender(question, asOf: tick), tick: tick)
        compare(sent, question, outcome)
        if let landlord = outcome.landlord { check(sent, question, outcome, landlord) }
        guard let person = ladder.sender(question, asOf: tick) else { return }
        if outcome.landlord == nil { strays[sent.name] = (sent, place, person) }
        write(sent, outcome, of: person, at: at)
    }

    /// The row of a notice is no sign that somebody wrote before.
    mutating func write(_ sent: Sent, _ outcome: Outcome, of person: PeopleHistory.Person, at: Moment) {
        let sentAt = notices.contains(sent.name) ? .max : sent.at
        people.wrote(outcome, sentAt: sentAt, at: at, of: person, tick: tick)
    }

    /// The thread of what a message quotes. The provider's ids belong to the number they were seen on.
    private func conversation(of quote: Quote?, in place: Place) -> UniqueID? {
        let quoted =
            switch quote {
            case .message(let name): outcomes[name].map { ($0.conversation, places[name]) }
            case .reply(let reply): replies[reply].flatMap { $0.isKnown ? ($0.conversation, $0.place) : nil }
            case nil: (UniqueID?, Place?)?.none
            }
        return quoted?.1 == place ? quoted?.0 : nil
    }

    /// A message can be quoted once it is recorded.
    private func quotedSince(_ quote: Quote?) -> Int {
        if case .message(let name) = quote { recordedAt[name] ?? 0 } else { 0 }
    }

    /// The ideal, or what the ideal would have been a moment ago.
    private mutating func compare(_ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome) {
        let ideal = ladder.answer(question, knowing: .init(at: tick))
        if outcome.agrees(withOneOf: ladder.answers(question, knowing: .init(at: tick))) { return tally.ideal += 1 }
        for (reason, knowledge) in knowledges
        where outcome.agrees(withOneOf: ladder.answers(question, knowing: knowledge)) {
            return tally.diverged(reason)
        }
        if outcome.landlord == nil, ladder.isInConflict(question, asOf: tick) {
            return tally.diverged(.peopleInConflict)
        }
        let what = "went \(outcome), where \(ideal) was due, and nothing explains it"
        tally.violated(sent.name, what, known: known(question))
    }

    /// What was known a moment ago, the least first: a message is decided by the table in memory, and by threads and
    /// identities as they were when its batch began. A batch may begin anew with any webhook.
    private var knowledges: [(reason: Divergence, Ladder.Knowledge)] {
        var all: [(Divergence, Ladder.Knowledge)] = []
        let began = [tick, batchBegan] + batches.reversed()
        for threads in began {
            for identities in began + refreshed {
                for leases in [tick] + refreshed {
                    var knowledge = Ladder.Knowledge(at: tick)
                    (knowledge.threads, knowledge.identities, knowledge.leases) = (threads, identities, leases)
                    let reason: Divergence =
                        leases != tick
                        ? .tableBehindLeases
                        : !began.contains(identities)
                            ? .tableBehindIdentities
                            : identities != tick ? .identityOfTheSameBatch : .threadOfTheSameBatch
                    if knowledge != .init(at: tick) { all.append((reason, knowledge)) }
                }
            }
        }
        return all
    }

    /// Whether a thread is blocked, or one that flowed into it was.
    private func isBlocked(_ conversation: UniqueID) -> Bool {
        if blocked.contains(conversation) { return true }
        guard let thread = people.thread(conversation) else { return false }
        return people.threads(of: people.root(thread.person)).contains {
            $0.key == thread.key && blocked.contains($0.conversation)
        }
    }

    /// Why a message went to a landlord whom its human never rented from, if nobody could know better.
    private func excuse(
        _ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome, _ landlord: RowID
    ) -> Divergence? {
        let person = ladder.sender(question, asOf: tick)
        var voices = voices.of(person, people)
        voices[sent.human] = voices[sent.human] ?? tick
        let sender = Truth.Sender(sent: sent, person: person, realm: question.place.realm, voices: voices)
        if let reason = truth.excuse(sender, landlord, leases, people) { return reason }
        guard let conversation = outcome.conversation else { return nil }
        let isExcused = truth.takenForOne(sender, people).contains { human in
            excused[human]?.contains { people.flowTogether($0, conversation) } ?? false
        }
        return isExcused ? .inTheThreadOfSuch : nil
    }

    /// Whether the human rents from the landlord, or what excuses it.
    private mutating func checkTruth(
        _ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome, _ landlord: RowID
    ) {
        guard !truth.rents(sent.human, from: landlord) else { return }
        let what = "went \(outcome), from whom human \(sent.human) never rented"
        guard let reason = excuse(sent, question, outcome, landlord) else {
            return tally.wrong(sent.name, what, known: known(question))
        }
        tally.diverged(reason)
        if let conversation = outcome.conversation { excused[sent.human, default: []].insert(conversation) }
    }

    /// What no lag excuses.
    mutating func check(
        _ sent: Sent, _ question: Ladder.Question, _ outcome: Outcome, _ landlord: RowID
    ) {
        if !ladder.claims(question, knowing: .init(at: tick)).contains(landlord) {
            let what = "went \(outcome), who has no claim on its sender by what was known"
            tally.wrong(sent.name, what, known: known(question))
        }
        checkTruth(sent, question, outcome, landlord)
        let sender = ladder.sender(question, asOf: tick).map { people.root($0) }
        let owner = outcome.conversation.flatMap { people.thread($0) }.map { people.root($0.person) }
        let isAnothers = sender != nil && owner != nil && owner != sender
        if isAnothers { tally.diverged(.threadOfAnotherPerson) }
        let isBlocked = outcome.conversation.map(isBlocked) ?? false
        let open = leases.enabled[landlord] ?? false ? "delivered" : "opted_out"
        // A thread of its own may have flowed into a blocked one since, as the two became one.
        let due = isBlocked ? isAnothers ? ["blocked", open] : ["blocked"] : [open]
        if !due.contains(outcome.status) {
            tally.violated(sent.name, "is \(outcome.status), not \(due[0])")
        }
    }
}
