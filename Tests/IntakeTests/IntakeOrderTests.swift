import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite("Intake: order", .timeLimit(.minutes(1)))
struct IntakeOrderTests {
    @Test("webhooks are recorded in the journal's order, a commit a batch")
    func inOrder() async {
        let world = World()
        world.appendMessages(25)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25))
        #expect(world.commits == [0...10, 10...20, 20...25])
        #expect(world.turnstile.count(of: .record) == 3)
        #expect(world.reconciliations == [.begin])
    }

    @Test("ids ascend in the journal's order, also between the steps of a webhook: threads are sorted by them")
    func idsAscend() async {
        let world = World()
        for webhook in 0..<5 {
            world.append(
                .message("a\(webhook)"), .moved("b\(webhook)", from: .tenant, to: .stranger), .message("c\(webhook)"))
            world.append(.message("d\(webhook)"), .message("e\(webhook)"))
        }
        await world.runToEnd()
        let records = world.database.records
        #expect(records.order.count == 25)
        let byID = records.messages.values.sorted { $0.id < $1.id }.map(\.message.id)
        #expect(byID == records.order)
    }

    @Test("a batch ends where its bytes are enough")
    func bytes() async {
        var world = World()
        world.limits.batchBytesMax = makeEnvelope([.message("m1")]).body.count + 2
        world.appendMessages(5)
        await world.runToEnd()
        #expect(world.commits == [0...2, 2...4, 4...5])
    }

    @Test("every update is told with its verdict, batch by batch")
    func told() async {
        let world = World()
        let updates: [Update] = [
            .message("m1"), .message("m2", from: .tenantOfTwo), .message("m3", from: .stranger), .status("s1"),
            .ignored,
            .message("m4", from: .tenantOfNoReader), .undecodable, .messageElsewhere("m5"), .message("m1"),
        ]
        world.journal.append(makeEnvelope(updates))
        await world.runToEnd()
        var expected = VerdictCounts(updates.dropLast().map(\.verdict))
        expected.duplicate = 1
        #expect(world.counts(at: 1) == expected)
        let told = world.events.all {
            if case .recorded(let webhooks, let counts, _, _) = $0 { (webhooks, counts) } else { nil }
        }
        #expect(told.map(\.0) == [1])
        #expect(told.map(\.1) == [expected])
        #expect(ignored(world) == [["account:account_update": 1]])
    }

    private func ignored(_ world: World) -> [[String: Int]] {
        world.events.all { if case .ignored(let updates) = $0 { updates.counts } else { nil } }
    }

    @Test("what nothing acts on is told once by what it is, also in steps, and where the answer to the commit is lost")
    func ignoredIsTold() async {
        let world = World()
        world.append(.message("m1"), .ignored, .moved("m2", from: .tenant, to: .stranger), .ignored)
        world.append(.message("m3"))
        await world.runToEnd()
        #expect(ignored(world) == [["account:account_update": 2]])
        world.faults.change { $0[.record] = [.answerLost] }
        world.append(.ignored)
        await world.runToEnd()
        #expect(world.counts(at: 3) == .only(.ignored))
        #expect(ignored(world) == [["account:account_update": 2], ["account:account_update": 1]])
    }

    @Test("entries are confirmed after their commit, not before")
    func confirmedAfterCommit() async {
        let world = World()
        world.appendMessages(30)
        world.turnstile.hold(.record)
        await world.run { _ in
            await world.turnstile.untilHeld(.record)
            await world.turnstile.untilCalled(.read, times: 2)
            #expect(world.turnstile.count(of: .confirm) == 0)
            world.turnstile.release(.record)
            await world.journal.untilConfirmed(30)
        }
        var committed = JournalPosition.start
        for step in world.turnstile.history {
            if step.call == .record { committed = step.position }
            if step.call == .confirm { #expect(step.position == committed) }
        }
        #expect(world.turnstile.history.filter { $0.call == .confirm }.map(\.position) == [10, 20, 30])
    }

    @Test("the next batch is read while one is recorded, and only the next")
    func readAhead() async {
        let world = World()
        world.appendMessages(30)
        world.turnstile.hold(.record)
        await world.run { _ in
            await world.turnstile.untilHeld(.record)
            await world.turnstile.untilDone(2)
            #expect(world.turnstile.history == [.init(.read, 0), .init(.read, 10)])
            world.turnstile.release(.record)
            await world.journal.untilConfirmed(30)
        }
        #expect(world.recorded == messageIDs(30))
    }

    @Test("what comes while intake waits is recorded")
    func waits() async {
        let world = World()
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
            world.appendMessages(1)
            await world.journal.untilConfirmed(1)
            world.appendMessages(2, from: 2)
            await world.journal.untilConfirmed(3)
        }
        #expect(world.recorded == messageIDs(3))
    }

    @Test("a confirmation that fails stops nothing, and the next one makes up for it")
    func confirmationFails() async {
        let world = World()
        world.journalFaults.change { $0[.confirm] = 2 }
        world.appendMessages(30)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(30))
        #expect(world.turnstile.history.filter { $0.call == .confirm }.map(\.position) == [30])
    }

    @Test(
        "a body that cannot be decoded is parked, and the stream goes on",
        arguments: [
            [], [0], Array("{".utf8), Array("[]".utf8), Array(#"{"entry":1}"#.utf8),
            [UInt8](repeating: 0x5B, count: 5000),
        ] as [[UInt8]])
    func undecodable(body: [UInt8]) async {
        let world = World()
        world.appendMessages(1)
        world.journal.append(Envelope(source: .meta, receivedAt: beginning, signature: [], body: body))
        world.appendMessages(1, from: 2)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(2))
        #expect(world.parked.map(\.payload) == [body])
        #expect(world.counts(at: 2) == .only(.parked))
        #expect(world.commits == [0...3])
    }

    @Test("a message that comes again, in the same batch or later, is a duplicate")
    func duplicates() async {
        var world = World()
        world.limits.batchEntriesMax = 2
        for _ in 0..<3 { world.append(.message("m1")) }
        await world.runToEnd()
        #expect(world.recorded == ["m1"])
        #expect((1...3).map { world.counts(at: $0) } == [.only(.routed), .only(.duplicate), .only(.duplicate)])
    }
}
