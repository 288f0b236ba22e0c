import GatewayTesting
import Journal
import Messaging
import Routing
import Testing

@testable import Intake

/// Webhooks as a decoder gives them, whatever their bytes.
private func makeEntry(_ position: Int64, _ updates: [InboundEvent]) -> DecodedEntry {
    let envelope = Envelope(
        source: .meta, receivedAt: beginning, signature: [], body: [UInt8(truncatingIfNeeded: position)])
    var entry = DecodedEntry(JournalEntry(position: JournalPosition(position), envelope: envelope))
    entry.webhook = DecodedWebhook(event: "messages", updates: updates)
    return entry
}

private func status(to recipient: Sender?) -> InboundEvent {
    var status = StatusUpdate(endpoint: Endpoint.shared.reference, messageID: "out", status: .sent, at: beginning)
    status.recipient = recipient
    return .status(status)
}

private func text(
    _ id: String, from phone: UInt64?, account: String? = nil, _ changes: [IdentityChange] = [],
    at endpoint: Endpoint = .shared
) -> InboundEvent {
    let sender = Sender(phone: phone.flatMap { PhoneNumber(digits: $0) }, accountID: account)
    var message = InboundMessage(
        endpoint: endpoint.reference, id: id, sender: sender, sentAt: beginning, type: "text", body: "hello")
    message.identityChanges = changes
    return .message(message)
}

private let old = Person.tenant.rawValue
private let new: UInt64 = 447_911_000_099
private let move = IdentityChange.phone(from: PhoneNumber(digits: old)!, to: PhoneNumber(digits: new)!)

/// Whoever writes from the new number has the old one's lease, once the change is applied.
private func followsMove(_ question: ThreadQuestion, _ records: IntakeRecords) -> [Route] {
    question.phone == PhoneKey(folding: new) && records.identityChanges.contains(move) ? [standardLeases[0]] : []
}

@Suite("Intake: identities that change", .timeLimit(.minutes(1)))
struct IntakeIdentityTests {
    /// Records entries the way the loop does.
    private func record(_ world: World, _ entries: [DecodedEntry], with intake: Intake? = nil) async throws {
        let intake = intake ?? world.makeIntake()
        try await world.passingTime {
            try await intake.reconcile(isForeign: false)
            try await intake.settled(entries[...]).get()
        }
    }

    private let story = [
        makeEntry(1, [text("before", from: old)]),
        makeEntry(
            2,
            [
                text("early", from: new), text("notice", from: old, [move]), text("late", from: new),
                .status(
                    StatusUpdate(endpoint: Endpoint.shared.reference, messageID: "s", status: .read, at: beginning)),
            ]),
        makeEntry(3, [text("after", from: new)]),
    ]

    private func checkStory(_ world: World, _ note: Comment? = nil) {
        #expect(world.recorded == ["before", "early", "notice", "late", "after"], note)
        #expect(world.database.records.identityChanges == [move], note)
        var counts = VerdictCounts()
        (counts.unclaimed, counts.routed, counts.status) = (1, 2, 1)
        #expect(world.counts(at: 2) == counts, note)
        #expect(world.counts(at: 3) == .only(.routed), note)
        let told = world.events.all { event -> VerdictCounts? in
            guard case .recorded(_, let counts, _, _) = event else { return nil }
            return counts
        }
        #expect(told.reduce(into: 0) { $0 += $1.total } == 6, note)
        #expect(told.reduce(into: 0) { $0 += $1.unclaimed } == 1, note)
    }

    @Test("a webhook is decided in its own order, and what it changes counts from there on")
    func order() async throws {
        let world = World(routes: followsMove)
        try await record(world, story)
        checkStory(world)
        #expect(world.commits == [0...1, 1...2, 2...3])
    }

    @Test("whatever fails between two steps undoes them all, and nothing is done twice", arguments: 0..<24)
    func failsBetween(call: Int) async throws {
        let calls = Watched(0)
        let world = World(
            chaos: { what in
                guard [.record, .routes, .threads].contains(what) else { return nil }
                let number = calls.change { count in
                    defer { count += 1 }
                    return count
                }
                guard number == call / 2 else { return nil }
                return call % 2 == 0 || what != .record ? .unavailable : .answerLost
            }, routes: followsMove)
        try await record(world, story)
        checkStory(world, "call \(call)")
    }

    @Test("a refused message after a change is parked alone", arguments: ["early", "late", "s"])
    func refusedBeside(id: String) async throws {
        let world = World(routes: followsMove)
        world.poison.change { $0[id] = "22021" }
        try await record(world, story)
        #expect(world.parked.map(\.detail) == ["SQLSTATE 22021"])
        #expect(world.recorded == ["before", "early", "notice", "late", "after"].filter { $0 != id })
        #expect(world.database.records.identityChanges == [move])
        #expect(world.counts(at: 2)?.total == 4)
        #expect(world.counts(at: 2)?.parked == 1)
    }

    @Test("a refused notice changes nothing")
    func refusedNotice() async throws {
        let world = World(routes: followsMove)
        world.poison.change { $0["notice"] = "22021" }
        try await record(world, story)
        #expect(world.parked.map(\.index) == [1])
        #expect(world.database.records.identityChanges.isEmpty)
        #expect(world.counts(at: 3) == .only(.unclaimed))
    }

    @Test("a notice that comes again does nothing")
    func repeatedNotice() async throws {
        let world = World(routes: followsMove)
        try await record(world, story)
        try await record(world, [makeEntry(4, [text("notice", from: old, [move])])])
        #expect(world.database.records.identityChanges == [move])
        #expect(world.counts(at: 4, journal: 2) == .only(.duplicate))
    }

    @Test("a commit that was not heard of counts once, with every verdict")
    func unheardCommit() async throws {
        let closes = Watched(0)
        let world = World(
            chaos: { call in
                // Of the second webhook: before, change, after.
                guard call == .record else { return nil }
                let number = closes.change { count in
                    count += 1
                    return count
                }
                return number == 4 ? .answerLost : nil
            }, routes: followsMove)
        try await record(world, story)
        checkStory(world)
        #expect(world.turnstile.count(of: .record) == 6)
    }

    @Test("the sender of a notice is who they are after it")
    func senderAfterChanges() {
        func sender(_ event: InboundEvent) -> Sender? {
            guard case .message(let message) = event else { return nil }
            return message.senderAfterChanges
        }
        #expect(sender(text("n", from: old, [move])) == Sender(phone: PhoneNumber(digits: new)))
        #expect(sender(text("n", from: old, account: "US.1", [move])) == Sender(phone: PhoneNumber(digits: new)))
        let rotation = IdentityChange.account(from: "US.1", to: "US.2")
        #expect(sender(text("n", from: nil, account: "US.1", [rotation])) == Sender(accountID: "US.2"))
        #expect(
            sender(text("n", from: old, account: "US.1", [move, rotation]))
                == Sender(phone: PhoneNumber(digits: new), accountID: "US.2"))
        #expect(
            sender(text("n", from: old, account: "US.1")) == Sender(phone: PhoneNumber(digits: old), accountID: "US.1"))
    }

    @Test("what a message teaches is recorded before what hangs on it is decided")
    func taught() {
        let table = makeTable()
        let teacher = text("m1", from: new, account: "US.1")
        let others = [text("m2", from: Person.stranger.rawValue), text("m3", from: old, account: "US.9")]
        for follower in [
            text("f", from: nil, account: "US.1"), text("f", from: new), text("f", from: old, account: "US.1"),
        ] {
            let entries = [[teacher], others, [follower], [follower]].enumerated().map { makeEntry(Int64($0), $1) }
            #expect(entries[...].countTogether(table: table) == 2)
            #expect(entries[2...].countTogether(table: table) == 2)
            let inOne = makeEntry(1, [teacher] + others + [follower, follower])
            #expect(inOne.steps(table: table) == [.updates(0..<3), .updates(3..<5)])
            #expect([inOne][...].countTogether(table: table) == 1)
        }
        let same = (0..<3).map { makeEntry($0, [teacher, teacher]) }
        #expect(same[...].countTogether(table: table) == 3)
        #expect(makeEntry(1, [teacher, teacher]).steps(table: table) == [.updates(0..<2)])
    }

    /// A table that knows whose number this is.
    private func table(_ accounts: String..., has phone: UInt64) -> RoutingTable {
        var builder = RoutingTableBuilder()
        builder.add(.endpoints([.shared]))
        builder.add(
            .identities(
                accounts.map {
                    IdentityLink(
                        kind: .businessScopedID, scope: "portfolio", value: $0, personID: uid(7),
                        routeKey: PhoneKey(folding: phone), movedAt: nil)
                }))
        return builder.finish(cursor: RouteCursor(snapshot: "", epoch: ""))
    }

    @Test("whoever shows a number that its holder was shown without is decided by what that taught")
    func numberLeft() {
        let table = table("US.1", has: old)
        let moved = text("m1", from: new, account: "US.1")
        for (follower, isAlone) in [
            (text("f", from: old), true), (text("f", from: old, account: "US.2"), true),
            (text("f", from: Person.stranger.rawValue), false),
        ] {
            let entries = [[moved], [follower]].enumerated().map { makeEntry(Int64($0), $1) }
            #expect(entries[...].countTogether(table: table) == (isAlone ? 1 : 2))
            #expect(makeEntry(1, [moved, follower]).steps(table: table).count == (isAlone ? 2 : 1))
        }
    }

    @Test("whoever had a number that somebody else shows is decided without it")
    func numberOfAnother() {
        let table = table("US.1", has: old)
        let teacher = text("m1", from: old, account: "US.2")
        for (follower, isAlone) in [
            (text("f", from: nil, account: "US.1"), true), (text("f", from: new, account: "US.1"), true),
            (text("f", from: nil, account: "US.2"), true), (text("f", from: nil, account: "US.3"), false),
        ] {
            let entries = [[teacher], [follower]].enumerated().map { makeEntry(Int64($0), $1) }
            #expect(entries[...].countTogether(table: table) == (isAlone ? 1 : 2))
        }
    }

    @Test("who may make one person of two is not recorded with a message of either", arguments: [true, false])
    func oneOfTwo(isNumberFirst: Bool) {
        let first = isNumberFirst ? text("m1", from: new) : text("m1", from: nil, account: "US.1")
        let teacher = text("m2", from: new, account: "US.1")
        let entries = [[first], [first], [teacher], [teacher]].enumerated().map { makeEntry(Int64($0), $1) }
        #expect(entries[...].countTogether(table: makeTable()) == 2)
        #expect(entries[2...].countTogether(table: makeTable()) == 2)
        #expect(makeEntry(1, [first, first, teacher]).steps(table: makeTable()) == [.updates(0..<2), .updates(2..<3)])
        let knowing = table("US.1", has: new)
        #expect(entries[...].countTogether(table: knowing) == 4)
        // One that may be too old does not know it.
        #expect(entries[...].countTogether(table: knowing, asksDatabase: true) == 2)
        let inOne = makeEntry(1, [first, teacher])
        #expect(inOne.steps(table: knowing) == [.updates(0..<2)])
        #expect(inOne.steps(table: knowing, asksDatabase: true) == [.updates(0..<1), .updates(1..<2)])
    }

    @Test("who may make one person of two is not recorded with a message by anything that is known of either")
    func oneOfTwoByWhatIsKnown() {
        let table = table("US.1", "US.2", has: old)
        let teacher = text("m1", from: new, account: "US.1")
        for (other, isAlone) in [
            (text("m2", from: old), true), (text("m2", from: nil, account: "US.2"), true),
            (text("m2", from: old, account: "US.2"), true), (text("m2", from: Person.stranger.rawValue), false),
        ] {
            for order in [[teacher, other], [other, teacher]] {
                let entries = order.enumerated().map { makeEntry(Int64($0), [$1]) }
                #expect(entries[...].countTogether(table: table) == (isAlone ? 1 : 2))
                #expect(makeEntry(1, order).steps(table: table).count == (isAlone ? 2 : 1))
            }
        }
    }

    @Test("what a status teaches of whom our message went to is recorded before what hangs on it is decided")
    func taughtByStatus() {
        let table = makeTable()
        let teacher = status(to: Sender(phone: PhoneNumber(digits: new), accountID: "US.1"))
        for follower in [text("f", from: nil, account: "US.1"), text("f", from: new)] {
            #expect(makeEntry(1, [teacher, follower]).steps(table: table) == [.updates(0..<1), .updates(1..<2)])
        }
        for other in [
            status(to: Sender(phone: PhoneNumber(digits: new))), status(to: Sender(accountID: "US.1")), teacher,
        ] {
            #expect(makeEntry(1, [teacher, other]).steps(table: table) == [.updates(0..<2)])
            #expect([makeEntry(1, [teacher]), makeEntry(2, [other])][...].countTogether(table: table) == 2)
        }
    }

    @Test("a recipient is handed on where the status shows more of them than the table knows")
    func recipients() {
        let whole = Sender(phone: PhoneNumber(digits: new), accountID: "US.1", parentAccountID: "US.ENT.1")
        func recipient(_ sender: Sender?, _ table: RoutingTable) -> RecordedStatus.Recipient? {
            let planner = BatchPlanner(table: table, now: beginning, limits: IntakeLimits())
            var generator = IdentifierGenerator()
            let batch = RecordBatch(journal: 1, owner: uid(1), after: .start, upTo: .start)
            let entry = makeEntry(1, [status(to: sender)])
            let draft = planner.draft([entry][...], into: batch, refusing: .none, using: &generator)
            return draft.batch.statuses.first?.recipient
        }
        let handed = recipient(whole, makeTable())
        #expect(handed?.phone == whole.phone && handed?.accountID == "US.1" && handed?.parentAccountID == "US.ENT.1")
        let long = Sender(phone: whole.phone, accountID: String(repeating: "x", count: 513))
        for part in [nil, Sender(phone: whole.phone), Sender(accountID: "US.1"), long] {
            #expect(recipient(part, makeTable()) == nil)
        }
        #expect(recipient(whole, table("US.1", has: new)) == nil)
        #expect(recipient(whole, table("US.1", has: old)) != nil)
    }

    @Test("what the table knows already needs no step of its own")
    func knownAlready() {
        let table = table("US.1", has: new)
        let entry = makeEntry(1, [text("m1", from: new, account: "US.1"), text("m2", from: nil, account: "US.1")])
        #expect(entry.steps(table: table) == [.updates(0..<2)])
        #expect([entry, entry][...].countTogether(table: table) == 2)
    }

    @Test("a sender the table does not know is looked for in the database")
    func nobodyIsAStrangerByTheTableAlone() async throws {
        let world = World(routes: { question, _ in
            question.phone == Person.stranger.key ? [lease(9, of: .stranger, landlord: 2)] : []
        })
        world.append(.message("m1", from: .stranger))
        world.append(.message("m2"))
        await world.runToEnd()
        #expect(world.counts(at: 1) == .only(.routed))
        #expect(world.turnstile.count(of: .routes) == 1)
    }

    @Test("while the table is stale the database is asked about everybody, and afterwards no more")
    func staleTable() async throws {
        let world = World(routes: { question, _ in
            question.phone == Person.tenant.key ? [lease(9, of: .tenant, landlord: 2)] : []
        })
        let stale = Watched(true)
        let refreshed = Watched(0)
        func makeIntake() -> Intake {
            Intake(
                journal: world.journal, recorder: world.database, lookup: world.database,
                table: { world.table.value }, isStale: { stale.value },
                refreshTable: { refreshed.change { $0 += 1 } }, owner: uid(1), limits: world.limits,
                clock: world.clock, now: world.now, observer: world.events)
        }
        let intake = makeIntake()
        try await record(world, [makeEntry(1, [text("m1", from: old)])], with: intake)
        stale.change { $0 = false }
        try await record(world, [makeEntry(2, [text("m2", from: old)])], with: intake)
        #expect(world.landlord(of: "m1") == uid(2))
        #expect(world.landlord(of: "m2") == uid(1))
        #expect(refreshed.value == 0)
        try await record(world, [makeEntry(3, [text("m3", from: old, [move])])], with: intake)
        #expect(refreshed.value == 1)
    }

    @Test("sessions are statuses, and pages are kept raw for now, known or not")
    func sessionsAndPages() {
        var generator = IdentifierGenerator()
        let planner = BatchPlanner(table: makeTable(), now: beginning, limits: IntakeLimits())
        let page = Endpoint(
            id: uid(6000), reference: EndpointReference(kind: .instagram, providerID: "1"), ownerID: nil,
            phoneScope: "", accountIDScope: "1")
        let unknown = EndpointReference(kind: .vpsSession, providerID: "nobody's")
        var draft = BatchPlanner.Draft(batch: RecordBatch(journal: 1, owner: uid(1), after: 0, upTo: 1))
        let updates: [InboundEvent] = [
            text("m1", from: nil, account: "ig", at: page),
            .status(StatusUpdate(endpoint: page.reference, messageID: "s", status: .read, at: beginning)),
            .session(
                SessionUpdate(endpoint: Endpoint.shared.reference, state: .connected, at: Timestamp(microseconds: .max))
            ),
            .session(SessionUpdate(endpoint: unknown, state: .connected, at: beginning)),
        ]
        planner.add(makeEntry(1, updates), updates.indices, refusing: .none, to: &draft, using: &generator)
        var counts = VerdictCounts()
        (counts.ignored, counts.status, counts.parked) = (2, 1, 1)
        #expect(draft.counts == counts)
        #expect(draft.batch.sessions.map(\.endpointID) == [Endpoint.shared.id])
        #expect(draft.batch.sessions[0].update.at == beginning.advanced(bySeconds: IntakeLimits().futureSecondsMax))
        #expect(draft.batch.parked.map(\.endpoint) == [unknown])
        #expect(draft.batch.messages.isEmpty)
    }
}
