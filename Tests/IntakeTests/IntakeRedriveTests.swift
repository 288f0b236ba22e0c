import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite("Intake: parked updates tried again", .timeLimit(.minutes(1)))
struct IntakeRedriveTests {
    /// Records one webhook, then asks for its parked updates to be tried again, and waits until nobody asks any more.
    private func redrive(
        _ updates: [Update], in world: World, after change: () -> Void = {}
    ) async {
        world.journal.append(makeEnvelope(updates))
        await world.runToEnd()
        change()
        world.database.change { records in for key in records.parked.keys { records.request(key) } }
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.database.until { records in records.parked.values.allSatisfy { !$0.isRequested } }
            }
        }
    }

    @Test("updates whose endpoint became known are settled, and move in their webhook's counts")
    func endpointKnown() async {
        let world = World()
        let updates: [Update] = [
            .message("m1"), .messageElsewhere("m2"), .messageElsewhere("m3", from: .tenantOfTwo), .ignored,
            .statusElsewhere("s1"), .messageElsewhere("m4", from: .formerTenant),
        ]
        await redrive(updates, in: world) { world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) } }
        #expect(world.parked.isEmpty)
        #expect(world.recorded == ["m1", "m2", "m3", "m4"])
        #expect(world.database.records.statuses.map(\.messageID) == ["s1"])
        #expect(world.counts(at: 1) == VerdictCounts([.routed, .routed, .held, .ignored, .status, .routed]))
        #expect(world.commits.dropFirst().allSatisfy { $0 == 1...1 })
    }

    @Test(
        "an update that still cannot be processed is parked again, once",
        arguments: [
            Update.undecodable, .messageElsewhere("m1"), .statusElsewhere("s1"),
        ])
    func parkedAgain(update: Update) async {
        let world = World()
        await redrive([.ignored, update], in: world)
        #expect(world.parked.map(\.index) == [1])
        #expect(world.counts(at: 1) == VerdictCounts([.ignored, .parked]))
        #expect(world.turnstile.count(of: .record) == 2)
    }

    @Test("an update that the database refuses again is parked again, and stops nothing")
    func refusedAgain() async {
        let world = World()
        world.poison.change { $0 = ["m1": "22021", "m2": "22021"] }
        await redrive([.message("m1"), .message("m2"), .message("m3")], in: world) {
            world.poison.change { $0 = ["m1": "22001"] }
        }
        #expect(world.recorded == ["m3", "m2"])
        #expect(world.parked.map(\.index) == [0])
        #expect(world.parked[0].reason == "rejected_by_database")
        #expect(world.parked[0].detail == "SQLSTATE 22001")
        #expect(world.counts(at: 1) == VerdictCounts([.routed, .routed, .parked]))
    }

    @Test("an update whose threads cannot be looked up for its data is parked again, and recorded once they can")
    func refusedByLookup() async {
        let world = World()
        world.poison.change { $0["q"] = "22021" }
        await redrive([.message("m1", quoting: "q")], in: world)
        #expect(world.parked.map(\.reason) == ["rejected_by_database"])
        await redrive([.message("m2")], in: world) { world.poison.change { $0 = [:] } }
        #expect(world.parked.isEmpty)
        #expect(world.recorded == ["m2", "m1"])
    }

    @Test("an update that was recorded meanwhile is a duplicate")
    func recordedMeanwhile() async {
        let world = World()
        await redrive([.messageElsewhere("m1")], in: world) {
            world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
            world.append(.messageElsewhere("m1"), .ignored)
        }
        await world.runToEnd(world.makeIntake(owner: 3))
        #expect(world.recorded == ["m1"])
        #expect(
            Set([world.counts(at: 1), world.counts(at: 2)]) == [
                .only(.duplicate), VerdictCounts([.routed, .ignored]),
            ]
                || Set([world.counts(at: 1), world.counts(at: 2)]) == [
                    .only(.routed), VerdictCounts([.duplicate, .ignored]),
                ])
    }

    @Test(
        "an outage meanwhile is waited out, and a lost answer changes nothing",
        arguments: [
            IntakeDatabase.Fault.unavailable, .answerLost,
        ])
    func outage(fault: IntakeDatabase.Fault) async {
        let world = World()
        await redrive([.messageElsewhere("m1")], in: world) {
            world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
            world.faults.change { $0[.record] = [fault, fault] }
        }
        #expect(world.recorded == ["m1"])
        #expect(world.parked.isEmpty)
        #expect(world.counts(at: 1) == .only(.routed))
    }

    @Test("what was read before the database was restored settles nothing in it")
    func restored() async {
        let world = World()
        let backup = world.database.records
        let messages = (1...30).map { Update.messageElsewhere("m\($0)") }
        world.journal.append(makeEnvelope(messages + messages.map { _ in .undecodable }))
        await world.runToEnd()
        world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
        world.database.change { records in for key in records.parked.keys where key.index < 30 { records.request(key) }
        }
        world.turnstile.hold(.record)
        await world.run(world.makeIntake(owner: 2)) { _ in
            await world.turnstile.untilHeld(.record)
            // The endpoint is known by now: what is parked this time has the ids that messages had.
            world.database.records = backup
            world.turnstile.release(.record)
            await world.database.until { !$0.webhooks.isEmpty }
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
        }
        #expect(world.recorded.count == 30)
        #expect(world.parked.count == 30)
        #expect(world.counts(at: 1)?.total == 60)
    }

    @Test("an idle intake looks for requests now and then")
    func whileIdle() async {
        let world = World()
        world.append(.messageElsewhere("m1"))
        await world.run { _ in
            await world.journal.untilConfirmed(1)
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
            world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
            world.database.change { records in for key in records.parked.keys { records.request(key) } }
            world.clock.advance(by: world.limits.redriveInterval)
            await world.database.until { $0.parked.isEmpty }
        }
        #expect(world.recorded == ["m1"])
    }

    @Test("a backlog is worked off between what comes in, a few at a time, and then without a pause")
    func backlog() async {
        var world = World()
        world.limits.batchEntriesMax = 1
        world.journal.append(makeEnvelope((1...135).map { .messageElsewhere("p\($0)") }))
        await world.runToEnd()
        world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
        world.database.change { records in for key in records.parked.keys { records.request(key) } }
        world.appendMessages(3)
        await world.run(world.makeIntake(owner: 2)) { _ in
            await world.database.until { $0.parked.isEmpty }
            await world.journal.untilConfirmed(4)
        }
        let redriven = world.database.records.commits.dropFirst().split { $0.redriven.isEmpty }.map(\.count)
        #expect(redriven == [10, 10, 10, 105])
    }

    @Test("that requests cannot be read is told, and holds up nothing")
    func unreadable() async {
        let world = World()
        world.faults.change { $0[.redriveRequests] = [.unavailable] }
        world.append(.message("m1"))
        await world.runToEnd()
        #expect(world.recorded == ["m1"])
        #expect(world.events.all { if case .redrivesUnread(let reason) = $0 { reason } else { nil } }.count == 1)
    }

    @Test("a busy intake looks for requests no more often than now and then")
    func whileBusy() async {
        var world = World()
        world.limits.batchEntriesMax = 1
        world.appendMessages(20)
        await world.run { _ in await world.journal.untilConfirmed(20) }
        #expect(world.turnstile.count(of: .redriveRequests) == 1)
    }
}
