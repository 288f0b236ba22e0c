import Messaging
import Routing
import Testing

/// The rung between "only candidate" and the rules: whom of several the sender most likely answers.
@Suite struct LandlordSpokeTests {
    struct Row: CustomTestStringConvertible, Sendable {
        var name: String
        var routes = [makeLease(1), makeLease(2, landlord: 2)]
        var threads: [ThreadReference]
        var endpoint = Endpoint.shared
        var outlives = true
        /// The landlord it goes to; `nil` = held.
        var landlord: UInt64?

        var testDescription: String { name }
    }

    static let rows: [Row] = [
        Row(
            name: "one landlord spoke, the other has no thread", threads: [makeThread(1, spokeHoursAgo: 3)], landlord: 1
        ),
        Row(
            name: "the second of the candidates spoke", threads: [makeThread(2, landlord: 2, spokeHoursAgo: 3)],
            landlord: 2),
        Row(name: "at the end of the window", threads: [makeThread(1, spokeHoursAgo: 24)], landlord: 1),
        Row(name: "a second after the window", threads: [makeThread(1, spokeHoursAgo: 24 + 1.0 / 3600)]),
        Row(name: "a thread in which no landlord ever spoke", threads: [makeThread(1, lastHoursAgo: 1)]),
        Row(
            name: "our clock a little ahead of the provider's", threads: [makeThread(1, spokeHoursAgo: -1.0 / 60)],
            landlord: 1),
        Row(name: "spoken long after the message", threads: [makeThread(1, spokeHoursAgo: -2)]),
        Row(
            name: "both spoke",
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, spokeHoursAgo: 20)]),
        Row(
            name: "the other has an open thread, silent for long",
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, lastHoursAgo: 900)]),
        Row(
            name: "the other's thread is put away",
            threads: [
                makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, lastHoursAgo: 900, isArchived: true),
            ],
            landlord: 1),
        Row(
            name: "the other's thread is put away, and in use all the same",
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, lastHoursAgo: 2, isArchived: true)]),
        Row(
            name: "who spoke has put the thread away", threads: [makeThread(1, spokeHoursAgo: 1, isArchived: true)],
            landlord: 1),
        Row(
            name: "two threads of the one who spoke",
            threads: [makeThread(1, spokeHoursAgo: 5), makeThread(3, spokeHoursAgo: 1)], landlord: 1),
        Row(
            name: "who spoke is no candidate any more", threads: [makeThread(3, landlord: 3, spokeHoursAgo: 1)]),
        Row(
            name: "a former landlord spoke, too",
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(3, landlord: 3, spokeHoursAgo: 2)]),
        Row(
            name: "a former landlord's old thread is no candidate's",
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(3, landlord: 3, lastHoursAgo: 2)], landlord: 1),
        Row(
            name: "without leases threads compete, and one of them is open beside", routes: [],
            threads: [makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, lastHoursAgo: 900)]),
        Row(
            name: "without leases, the other put away", routes: [],
            threads: [
                makeThread(1, spokeHoursAgo: 1), makeThread(2, landlord: 2, lastHoursAgo: 900, isArchived: true),
            ],
            landlord: 1),
        Row(
            name: "threads count beside leases also where they do not outlive them",
            threads: [makeThread(1, spokeHoursAgo: 1)], outlives: false, landlord: 1),
    ]

    @Test("the landlord who just spoke is meant if nobody else has an open thread", arguments: rows)
    func spoke(row: Row) throws {
        let table = makeTable(row.routes, settings: RouteSettings(conversationOutlivesLease: row.outlives))
        let resolver = Resolver(table: table, today: today)
        guard case .needsThreads(let pending) = resolver.firstPass(makeMessage(), at: row.endpoint) else {
            Issue.record("several could be meant, and nothing is asked")
            return
        }
        switch resolver.decide(pending, SenderFacts(threads: row.threads)).decision {
        case .thread(let thread, rung: .landlordSpoke):
            #expect(row.landlord.map(uid) == thread.landlordID)
            #expect(
                thread.lastOutboundAt
                    == row.threads.filter { $0.landlordID == thread.landlordID }
                    .compactMap(\.lastOutboundAt).max())
        case .held: #expect(row.landlord == nil)
        case let other: Issue.record("\(other)")
        }
    }

    @Test("the window is the rules file's", arguments: [(12, true), (11, false)])
    func window(hours: Int, isMeant: Bool) {
        let resolver = Resolver(
            table: makeTable([makeLease(1), makeLease(2, landlord: 2)]), today: today, landlordSpokeHours: hours)
        guard case .needsThreads(let pending) = resolver.firstPass(makeMessage(), at: .shared) else { return }
        let decision = resolver.decide(pending, SenderFacts(threads: [makeThread(1, spokeHoursAgo: 12)])).decision
        #expect((decision == .thread(makeThread(1, spokeHoursAgo: 12), rung: .landlordSpoke)) == isMeant)
    }

    @Test("a quote and an only candidate come first")
    func earlierRungs() {
        let two = Resolver(table: makeTable([makeLease(1), makeLease(2, landlord: 2)]), today: today)
        guard case .needsThreads(let quoting) = two.firstPass(makeMessage(quotes: "q"), at: .shared) else { return }
        let threads = [makeThread(1, spokeHoursAgo: 1), makeThread(4, landlord: 4, isQuoted: true)]
        #expect(two.decide(quoting, SenderFacts(threads: threads)).decision == .thread(threads[1], rung: .quoted))
        let one = Resolver(table: makeTable([makeLease(1)]), today: today)
        guard case .needsThreads(let only) = one.firstPass(makeMessage(quotes: "q"), at: .shared) else { return }
        let other = SenderFacts(threads: [makeThread(2, landlord: 2, spokeHoursAgo: 1)])
        #expect(one.decide(only, other).decision == .lease(Candidate(makeLease(1)), rung: .onlyCandidate))
    }
}
