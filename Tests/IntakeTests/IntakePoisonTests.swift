import GatewayTesting
import Intake
import Journal
import Messaging
import Routing
import Testing

@Suite("Intake: data that the database refuses", .timeLimit(.minutes(1)))
struct IntakePoisonTests {
    @Test(
        "exactly the webhooks that the database refuses are parked, the rest is recorded in order",
        arguments: [
            [1], [10], [25], [1, 2], [9, 10, 11, 12], [1, 10, 11, 20, 21], Array(1...10), Array(1...25),
        ])
    func webhooks(poisonous: [Int]) async {
        let world = World()
        world.poison.change { poison in for number in poisonous { poison["m\(number)"] = "22021" } }
        world.appendMessages(25)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25).filter { id in !poisonous.contains { id == "m\($0)" } })
        #expect(world.parked.map(\.position.value) == poisonous.map(Int64.init))
        #expect(world.parked.allSatisfy { $0.reason == "rejected_by_database" && $0.detail == "SQLSTATE 22021" })
        for number in 1...25 {
            #expect(world.counts(at: Int64(number)) == .only(poisonous.contains(number) ? .parked : .routed))
        }
        #expect(world.toldParked.map(\.position.value) == poisonous.map(Int64.init))
    }

    @Test(
        "of a webhook of many updates exactly the refused ones are parked",
        arguments: [
            [0], [39], [0, 39], [17, 18], [3, 8, 21, 34], Array(0..<40),
        ])
    func updates(poisonous: [Int]) async {
        let world = World()
        let updates = (0..<40).map { $0 % 4 == 3 ? Update.status("\($0)") : .message("\($0)") }
        world.poison.change { poison in for index in poisonous { poison["\(index)"] = "22P05" } }
        world.append(.message("before"))
        world.journal.append(makeEnvelope(updates))
        world.append(.message("after"))
        await world.runToEnd()
        let left = (0..<40).filter { !poisonous.contains($0) }
        #expect(world.recorded == ["before"] + left.filter { $0 % 4 != 3 }.map { "\($0)" } + ["after"])
        #expect(world.database.records.statuses.map(\.messageID) == left.filter { $0 % 4 == 3 }.map { "\($0)" })
        #expect(world.parked.map(\.index) == poisonous)
        #expect(world.parked.allSatisfy { $0.position == 2 && $0.detail == "SQLSTATE 22P05" })
        #expect(world.toldParked.map(\.index) == poisonous)
        #expect(world.counts(at: 2)?.total == 40)
    }

    @Test("each refused update is parked with its own SQLSTATE")
    func sqlStates() async {
        let world = World()
        world.poison.change { $0 = ["m1": "22021", "m3": "22001"] }
        world.append(.message("m1"), .message("m2"), .message("m3"))
        await world.runToEnd()
        #expect(world.parked.map(\.detail) == ["SQLSTATE 22021", "SQLSTATE 22001"])
    }

    @Test("one refused update among a thousand webhooks costs some dozen attempts, not a thousand")
    func byHalves() async {
        var world = World()
        world.limits.batchEntriesMax = 1024
        world.poison.change { $0["m700"] = "22021" }
        world.appendMessages(1024)
        await world.runToEnd()
        #expect(world.recorded.count == 1023)
        #expect(world.turnstile.count(of: .record) <= 22)
    }

    @Test("to find the refused update, only the updates in question are tried")
    func rehearsals() async {
        let tried = Watched<[Int]>([])
        let world = World(refusal: { batch in
            if batch.isRehearsal { tried.change { $0.append(batch.messages.count + batch.parked.count) } }
            return nil
        })
        world.poison.change { $0["m1"] = "22021" }
        world.journal.append(makeEnvelope((0..<8).map { .message("m\($0)") }))
        await world.runToEnd()
        // The refusal is asked after the poison: these are the tries that went well.
        #expect(tried.value.allSatisfy { $0 < 8 })
        #expect(world.parked.map(\.index) == [1])
    }

    @Test("of updates that are refused together and never alone, the last one is parked")
    func refusedTogether() async {
        let world = World(refusal: { batch in
            Set(batch.messages.map(\.message.id)).isSuperset(of: ["m1", "m3"]) ? "23514" : nil
        })
        world.append(.message("m0"), .message("m1"), .message("m2"), .message("m3"), .message("m4"))
        world.append(.message("m5"))
        await world.runToEnd()
        #expect(world.parked.map(\.index) == [3])
        #expect(world.toldParked.map(\.index) == [3])
        #expect(world.recorded == ["m0", "m1", "m2", "m4", "m5"])
    }

    @Test("a stale lease beside a refused update does not hide it")
    func besideStaleLease() async {
        let world = World()
        world.database.change { $0.leases = [lease(9, of: .tenant, landlord: 2)] + standardLeases.dropFirst() }
        world.poison.change { $0["s1"] = "22021" }
        world.append(.message("m1"), .status("s1"), .message("m2"), .status("s2"))
        await world.runToEnd()
        #expect(world.recorded == ["m1", "m2"])
        #expect(world.landlord(of: "m1") == uid(2))
        #expect(world.parked.map(\.index) == [1])
    }

    @Test("what the look-up of threads refuses is parked like what the recording refuses")
    func refusedByLookup() async {
        let world = World()
        world.poison.change { $0["q"] = "22021" }
        world.append(.message("m1"))
        world.append(.message("m2", quoting: "p"), .message("m3", quoting: "q"), .message("m4", from: .stranger))
        await world.runToEnd()
        #expect(world.recorded == ["m1", "m2", "m4"])
        #expect(world.parked.map(\.index) == [1])
        #expect(world.parked.map(\.detail) == ["SQLSTATE 22021"])
    }

    @Test(
        "an outage while the refused update is looked for is waited out",
        arguments: [
            IntakeTurnstile.Call.record, .rehearse, .threads,
        ])
    func outageMeanwhile(call: IntakeTurnstile.Call) async {
        let world = World()
        world.poison.change { $0["m3"] = "22021" }
        world.append(.message("m1"))
        world.append(.message("m2", from: .stranger), .message("m3"), .message("m4", from: .formerTenant))
        await world.passingTime {
            await world.run { _ in
                await world.turnstile.untilCalled(.rehearse, times: 1)
                world.faults.change { $0[call] = [.unavailable, .unavailable, .unavailable] }
                await world.journal.untilConfirmed(2)
            }
        }
        #expect(world.recorded == ["m1", "m2", "m4"])
        #expect(world.parked.map(\.index) == [1])
    }

    // MARK: Too many

    /// Three refusals in a row are let through; then intake stops.
    private func makeStopping(poison count: Int, of total: Int) -> World {
        var world = World()
        world.limits.parksInARowMax = 3
        world.poison.change { poison in for number in 1...count { poison["m\(number)"] = "22003" } }
        world.appendMessages(total)
        return world
    }

    @Test("many refused webhooks in a row stop intake: an alarm, and nothing more is recorded")
    func stops() async {
        let world = makeStopping(poison: 4, of: 10)
        await world.run { _ in
            let stopped = await world.events.next {
                if case .stopped(let refusals, let state) = $0 { (refusals, state) } else { nil }
            }
            #expect(stopped?.0 == 3)
            #expect(stopped?.1 == "22003")
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            #expect(world.commits.last?.upperBound == 3)
            #expect(world.parked.map(\.position) == [1, 2, 3])
            #expect(world.journal.standing.confirmed == 0)
            let attempts = world.turnstile.count(of: .record)
            world.clock.advance(by: world.limits.stoppedDelay - .milliseconds(1))
            await world.clock.untilSomebodySleeps(for: .milliseconds(1))
            #expect(world.turnstile.count(of: .record) == attempts)
        }
    }

    @Test(
        "a stopped intake tries again after its pause, and parks nothing more while the refusals last"
    )
    func goesOnByItself() async {
        let world = makeStopping(poison: 10, of: 10)
        await world.run { _ in
            for _ in 0..<3 {
                await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
                #expect(world.parked.count == 3)
                world.clock.advance(by: world.limits.stoppedDelay)
            }
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            world.poison.change { $0 = [:] }
            world.clock.advance(by: world.limits.stoppedDelay)
            await world.journal.untilConfirmed(10)
        }
        #expect(world.parked.map(\.position) == [1, 2, 3])
        #expect(world.recorded == (4...10).map { "m\($0)" })
        #expect(world.events.all { if case .resumed = $0 { true } else { nil } }.count == 4)
    }

    @Test("somebody who has looked lets a stopped intake go on at once, and park as many again")
    func resumed() async {
        let world = makeStopping(poison: 8, of: 10)
        await world.run { intake in
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            #expect(world.parked.count == 3)
            await intake.resume()
            _ = await world.events.next { if case .resumed = $0 { true } else { nil } }
            _ = await world.events.next { if case .stopped = $0 { true } else { nil } }
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            #expect(world.parked.count == 6)
            await intake.resume()
            await world.journal.untilConfirmed(10)
        }
        #expect(world.parked.map(\.position) == [1, 2, 3, 4, 5, 6, 7, 8])
        #expect(world.recorded == ["m9", "m10"])
    }

    @Test("a resume that nobody waits for changes nothing")
    func resumedInVain() async {
        let world = makeStopping(poison: 4, of: 4)
        let intake = world.makeIntake()
        await intake.resume()
        await world.run(intake) { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            #expect(world.parked.count == 3)
        }
    }

    @Test("refused webhooks with good ones between them do not stop intake")
    func notInARow() async {
        var world = World()
        world.limits.parksInARowMax = 2
        world.limits.batchEntriesMax = 50
        world.poison.change { poison in for number in 1...40 where number % 3 != 0 { poison["m\(number)"] = "22021" } }
        world.appendMessages(40)
        await world.runToEnd()
        #expect(world.recorded == (1...40).filter { $0 % 3 == 0 }.map { "m\($0)" })
        #expect(world.events.all { if case .stopped = $0 { true } else { nil } }.isEmpty)
    }

    @Test("a webhook that is refused whatever is in it stops intake until it is not, and nothing of it is parked")
    func refusedItself() async {
        let isRefused = Watched(true)
        let world = World(refusal: { batch in
            isRefused.value && batch.webhooks.contains { $0.position == 2 } ? "22001" : nil
        })
        world.appendMessages(3)
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay)
            #expect(world.commits == [0...1])
            isRefused.change { $0 = false }
            world.clock.advance(by: world.limits.stoppedDelay)
            await world.journal.untilConfirmed(3)
        }
        #expect(world.recorded == messageIDs(3))
        #expect(world.parked.isEmpty)
    }
}

extension World {
    /// Updates that were told to be parked because the database refused them.
    var toldParked: [(position: JournalPosition, index: Int)] {
        events.all { if case .parked(let position, let index, _) = $0 { (position, index) } else { nil } }
    }
}
