import Messaging
import Routing
import Testing

/// When messages are sent.
let noon = Timestamp(seconds: 1_772_366_400)

/// A thread with a landlord; `number` tells threads apart.
/// - Parameters:
///   - spokeHoursAgo: before noon; negative = after it.
///   - lastHoursAgo: of the newest message either way.
func makeThread(
    _ number: UInt64, landlord: UInt64 = 1, isQuoted: Bool = false, spokeHoursAgo: Double? = nil,
    lastHoursAgo: Double? = nil, isArchived: Bool = false
) -> ThreadReference {
    func at(_ hours: Double) -> Timestamp { noon.advanced(bySeconds: Int64(-hours * 3600)) }
    return ThreadReference(
        conversationID: uid(3000 + number), landlordID: uid(landlord), tenantID: uid(100), propertyID: nil,
        isQuoted: isQuoted, lastMessageAt: lastHoursAgo.map(at), lastOutboundAt: spokeHoursAgo.map(at),
        isArchived: isArchived)
}

func makeMessage(
    from phone: PhoneNumber? = PhoneNumber(digits: 447_911_000_001), account: String? = nil, quotes: String? = nil,
    text: String = "The tap drips.", taps token: ChoiceToken? = nil
) -> InboundMessage {
    var message = InboundMessage(
        endpoint: Endpoint.shared.reference, id: "wamid.1", sender: Sender(phone: phone, accountID: account),
        sentAt: noon, type: token == nil ? "text" : "interactive", body: text, quotedMessageID: quotes)
    message.replyPayload = token?.text
    return message
}

@Suite struct ResolverTests {
    /// A row of the ladder: what is known, and what comes of it.
    struct Row: CustomTestStringConvertible, Sendable {
        var name: String
        var routes: [Route] = []
        var quotes = false
        var threads: [ThreadReference] = []
        var endpoint = Endpoint.shared
        var outlives = true
        var asksForThreads: Bool
        var decision: RoutingDecision

        var testDescription: String { name }
    }

    static let one = Candidate(makeLease(1))
    static let two = Candidate(makeLease(2, landlord: 2))

    static let rows: [Row] = [
        Row(
            name: "one running lease decides without a query", routes: [makeLease(1)], asksForThreads: false,
            decision: .lease(one, rung: .onlyCandidate)),
        Row(
            name: "one lease in grace decides", routes: [makeLease(1, until: -2)], asksForThreads: false,
            decision: .lease(one, rung: .onlyCandidate)),
        Row(
            name: "two landlords are held", routes: [makeLease(1), makeLease(2, landlord: 2)], threads: [],
            asksForThreads: true,
            decision: .held([one, two])),
        Row(
            name: "a quoted message decides between two", routes: [makeLease(1), makeLease(2, landlord: 2)],
            quotes: true,
            threads: [makeThread(1), makeThread(2, landlord: 2, isQuoted: true)], asksForThreads: true,
            decision: .thread(makeThread(2, landlord: 2, isQuoted: true), rung: .quoted)),
        Row(
            name: "a quoted message wins over the only candidate", routes: [makeLease(1)], quotes: true,
            threads: [makeThread(2, landlord: 2, isQuoted: true)], asksForThreads: true,
            decision: .thread(makeThread(2, landlord: 2, isQuoted: true), rung: .quoted)),
        Row(
            name: "a quote of a message nobody knows changes nothing", routes: [makeLease(1)], quotes: true,
            threads: [makeThread(7)],
            asksForThreads: true, decision: .lease(one, rung: .onlyCandidate)),
        Row(
            name: "a quote of a message nobody knows leaves two held",
            routes: [makeLease(1), makeLease(2, landlord: 2)], quotes: true,
            threads: [makeThread(7)], asksForThreads: true, decision: .held([one, two])),
        Row(
            name: "a quoted thread of a landlord who may not receive here does not count", routes: [makeLease(1)],
            quotes: true,
            threads: [makeThread(2, landlord: 2, isQuoted: true)], endpoint: .owned(by: 1), asksForThreads: true,
            decision: .lease(one, rung: .onlyCandidate)),
        Row(
            name: "without a lease the only thread goes on", threads: [makeThread(1)], asksForThreads: true,
            decision: .thread(makeThread(1), rung: .onlyThread)),
        Row(
            name: "a lease long over leaves its only thread", routes: [makeLease(1, until: -90)],
            threads: [makeThread(1)],
            asksForThreads: true, decision: .thread(makeThread(1), rung: .onlyThread)),
        Row(
            name: "the same thread twice is one", threads: [makeThread(1), makeThread(1)], asksForThreads: true,
            decision: .thread(makeThread(1), rung: .onlyThread)),
        Row(
            name: "two threads without a lease are held", threads: [makeThread(1), makeThread(2, landlord: 2)],
            asksForThreads: true,
            decision: .held([], threads: [makeThread(1), makeThread(2, landlord: 2)])),
        Row(
            name: "a thread of another owner is no thread here", threads: [makeThread(1), makeThread(2, landlord: 2)],
            endpoint: .owned(by: 2), asksForThreads: true,
            decision: .thread(makeThread(2, landlord: 2), rung: .onlyThread)),
        Row(name: "no lease and no thread is nobody's", asksForThreads: true, decision: .unclaimed),
        Row(
            name: "threads do not outlive leases where settings say so", threads: [makeThread(1)], outlives: false,
            asksForThreads: false, decision: .unclaimed),
        Row(
            name: "nor does a quote", quotes: true, threads: [makeThread(1, isQuoted: true)], outlives: false,
            asksForThreads: true, decision: .unclaimed),
        Row(
            name: "but a quote counts while the lease is in grace",
            routes: [makeLease(1, until: -2), makeLease(2, landlord: 2)], quotes: true,
            threads: [makeThread(1, isQuoted: true)], outlives: false, asksForThreads: true,
            decision: .thread(makeThread(1, isQuoted: true), rung: .quoted)),
        Row(
            name: "a lease that has not begun does not route", routes: [makeLease(1, from: 3)], asksForThreads: true,
            decision: .unclaimed),
    ]

    @Test("each rung of the ladder", arguments: rows)
    func ladder(row: Row) {
        let settings = RouteSettings(conversationOutlivesLease: row.outlives)
        let resolver = Resolver(table: makeTable(row.routes, settings: settings), today: today)
        switch resolver.firstPass(makeMessage(quotes: row.quotes ? "wamid.0" : nil), at: row.endpoint) {
        case .decided(let resolution):
            #expect(!row.asksForThreads)
            #expect(resolution.decision == row.decision)
        case .needsThreads(let pending):
            #expect(row.asksForThreads)
            #expect(resolver.decide(pending, SenderFacts(threads: row.threads)).decision == row.decision)
        }
    }

    @Test("a thread both quoted and open is quoted, in whichever order they come")
    func quotedTwice() {
        let resolver = Resolver(table: makeTable([]), today: today)
        guard case .needsThreads(let pending) = resolver.firstPass(makeMessage(quotes: "wamid.0"), at: .shared) else {
            Issue.record("a quote needs threads")
            return
        }
        for threads in [
            [makeThread(1), makeThread(1, isQuoted: true)], [makeThread(1, isQuoted: true), makeThread(1)],
        ] {
            let facts = SenderFacts(threads: threads)
            guard case .thread(_, rung: .quoted) = resolver.decide(pending, facts).decision else {
                Issue.record("expected the quoted thread")
                return
            }
        }
    }

    @Test("a sender without any identity is nobody's, and nothing is asked")
    func senderWithoutIdentity() {
        let resolver = Resolver(table: makeTable([makeLease(1)]), today: today)
        #expect(resolver.firstPass(makeMessage(from: nil), at: .shared) == .decided(Resolution(.unclaimed)))
    }

    @Test("a sender is known by the account id when there is no phone")
    func senderWithoutPhone() {
        let table = makeTable([makeLease(1)], identities: [link(account: "US.1", person: 7, to: .ann)])
        let pass = Resolver(table: table, today: today).firstPass(makeMessage(from: nil, account: "US.1"), at: .shared)
        #expect(pass == .decided(Resolution(.lease(Self.one, rung: .onlyCandidate))))
    }

    @Test(
        "an account id means what the endpoint's kind says",
        arguments: [
            (EndpointKind.cloud, IdentityKind.businessScopedID), (.messenger, .pageScopedID),
            (.instagram, .instagramScopedID),
            (.vpsSession, .lid),
        ])
    func accountKind(kind: EndpointKind, identity: IdentityKind) {
        let endpoint = Endpoint(
            id: uid(1), reference: EndpointReference(kind: kind, providerID: "1"), ownerID: nil, phoneScope: "",
            accountIDScope: "s")
        #expect(Sender(accountID: "9").account(at: endpoint) == AccountIdentity(kind: identity, scope: "s", value: "9"))
        #expect(Sender().account(at: endpoint) == nil)
    }

    @Test("after the commit refused, the database's leases decide in place of the table's")
    func resolvesAgain() {
        let resolver = Resolver(table: makeTable([makeLease(1)]), today: today)
        #expect(
            resolver.firstPass(makeMessage(), at: .shared, withRoutes: [makeLease(2, landlord: 2)])
                == .decided(Resolution(.lease(Self.two, rung: .onlyCandidate))))
        guard
            case .needsThreads(let two) = resolver.firstPass(
                makeMessage(), at: .shared, withRoutes: [makeLease(1), makeLease(2, landlord: 2)])
        else {
            Issue.record("of two landlords one may have spoken")
            return
        }
        #expect(resolver.decide(two, SenderFacts()).decision == .held([Self.one, Self.two]))
        #expect(
            resolver.firstPass(makeMessage(), at: .owned(by: 3), withRoutes: [makeLease(1)])
                != .decided(Resolution(.lease(Self.one, rung: .onlyCandidate))))
        guard case .needsThreads(let pending) = resolver.firstPass(makeMessage(), at: .shared, withRoutes: []) else {
            Issue.record("without a lease the threads count")
            return
        }
        #expect(resolver.decide(pending, SenderFacts()).decision == .unclaimed)
    }
}

@Suite struct RouteExplanationTests {
    @Test("says of each lease why it counts or not")
    func explains() {
        let ada = Landlord(id: uid(1), name: "Ada", isEnabled: true, signature: nil)
        let leases = [
            makeLease(1, landlord: 1, from: -50, learntAt: 200), makeLease(2, landlord: 1, from: -20, learntAt: 200),
            makeLease(3, landlord: 2, until: -4, learntAt: 200), makeLease(4, landlord: 3, from: 4, learntAt: 200),
            makeLease(5, landlord: 4, until: -60, learntAt: 200), makeLease(6, landlord: 5, learntAt: 99),
        ]
        let table = makeTable(
            leases, identities: [departure(of: 7, from: .ann, at: 100), link(phone: .bob, person: 7, to: .ann)],
            landlords: [ada])
        let lines = table.explain(phone: .ann, account: nil, endpoint: .shared, today: today)
        let outcomes = Dictionary(uniqueKeysWithValues: lines.map { ($0.route.leaseID, $0.outcome) })
        #expect(
            outcomes == [
                uid(1): .candidate, uid(2): .olderLease, uid(3): .runningPreferred, uid(4): .notBegun,
                uid(5): .over,
                uid(6): .formerHolder,
            ])
        #expect(lines.first { $0.route.leaseID == uid(1) }?.landlord == ada)
        #expect(lines.first { $0.route.leaseID == uid(3) }?.landlord == nil)
        let moved = table.explain(phone: .bob, account: nil, endpoint: .shared, today: today)
        #expect(moved.first { $0.route.leaseID == uid(6) }?.outcome == .candidate)
        #expect(moved.first { $0.route.leaseID == uid(1) }?.outcome == .nextHolder)
        #expect(
            table.explain(phone: .ann, account: nil, endpoint: .owned(by: 2), today: today).first {
                $0.route.leaseID == uid(1)
            }?
            .outcome == .otherOwner)
    }
}
