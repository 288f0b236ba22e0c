import GatewayTesting
import Intake
import Journal
import Messaging
import Routing
import Testing

/// Decisions for people who are others by now: the database refuses them however often the same is tried.
@Suite("Intake: decisions that do not hold", .timeLimit(.minutes(1)))
struct IntakeOutdatedTests {
    /// A world whose database refuses these messages together, whatever comes between them.
    private func makeWorld(refusing together: Set<String>) -> World {
        World(refusal: { together.isSubset(of: $0.messages.map(\.message.id)) ? "40001" : nil })
    }

    private func pauses(_ world: World) -> Int {
        world.events.all { if case .retrying(_, let delay) = $0 { delay } else { nil } }.count
    }

    @Test(
        "messages that cannot be recorded together are recorded one after the other, and nothing is parked",
        arguments: [[3, 8], [1, 2], [9, 10], [1, 10], [5, 6, 7]])
    func together(numbers: [Int]) async {
        let world = makeWorld(refusing: Set(numbers.map { "m\($0)" }))
        world.appendMessages(25)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(25))
        #expect(world.parked.isEmpty)
        #expect((1...25).allSatisfy { world.counts(at: $0) == .only(.routed) })
        // Halving goes on until they are parted: four times at most, for ten.
        #expect(pauses(world) <= 4 * world.limits.decidedAnewMax)
    }

    @Test("where one decision anew is enough, the batch stays whole")
    func once() async {
        let refusals = Watched(2)
        let world = World(refusal: { _ in
            refusals.change { left in
                left -= 1
                return left >= 0 ? "40001" : nil
            }
        })
        world.append(.message("m1", from: .stranger))
        world.appendMessages(9, from: 2)
        await world.runToEnd()
        #expect(world.commits == [0...10])
        #expect(pauses(world) == 2)
        // Asked anew each time.
        #expect(world.turnstile.count(of: .routes) == 3)
    }

    @Test("what comes after a batch that was decided anew as often as it may be is decided anew as well")
    func afterwards() async {
        let left = Watched(["a": 3, "b": 1])
        let world = World(refusal: { batch in
            left.change { left in
                guard let id = batch.messages.first?.message.id, let count = left[id], count > 0 else { return nil }
                left[id] = count - 1
                return "40001"
            }
        })
        // Decided one after the other: the second one shows what the first one teaches.
        world.append(.shown("a", from: .stranger, withNumber: true))
        world.append(.shown("b", from: .stranger, withNumber: false))
        await world.runToEnd()
        #expect(world.recorded == ["a", "b"])
        #expect(pauses(world) == 4)
        #expect(world.turnstile.count(of: .rehearse) == 0)
    }

    @Test("each time it is decided by the table as it is then")
    func byTheTableOfThen() async {
        let world = World(refusal: { batch in
            let isOld = batch.messages.contains {
                if case .lease(let candidate, _) = $0.destination { candidate.landlordID == uid(1) } else { false }
            }
            return isOld ? "40001" : nil
        })
        // By the database either is good.
        world.database.change { $0.leases = [1, 2].map { lease($0, of: .tenant, landlord: $0) } }
        world.append(.message("m1"))
        await world.run { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.retryDelay)
            world.table.change { $0 = makeTable([lease(2, of: .tenant, landlord: 2)]) }
            world.clock.advance(by: world.limits.retryDelay)
            await world.journal.untilConfirmed(1)
        }
        #expect(world.counts(at: 1) == .only(.routed))
        #expect(pauses(world) == 1)
    }

    @Test("a webhook that is recorded update by update changes identities as it would in fewer steps")
    func changesApart() async {
        let world = makeWorld(refusing: ["m1", "m2"])
        world.append(.moved("n", from: .tenant, to: .stranger), .message("m1"), .message("m2"))
        await world.runToEnd()
        #expect(world.recorded == ["n", "m1", "m2"])
        #expect(
            world.database.records.identityChanges == [.phone(from: Person.tenant.phone, to: Person.stranger.phone)])
        #expect(world.parked.isEmpty)
    }

    @Test("updates of one webhook that cannot be recorded together are recorded in steps", arguments: [2, 40])
    func oneWebhook(count: Int) async {
        let world = makeWorld(refusing: ["m1", "m\(count)"])
        world.append(.message("before"))
        world.journal.append(makeEnvelope(messageIDs(count).map { .message($0) }))
        world.append(.message("after"))
        await world.runToEnd()
        #expect(world.recorded == ["before"] + messageIDs(count) + ["after"])
        #expect(world.parked.isEmpty)
        #expect(world.counts(at: 2)?.routed == count)
    }

    @Test("a refused update is parked alone beside others that cannot be recorded together")
    func besideRefused() async {
        let world = makeWorld(refusing: ["m1", "m3"])
        world.poison.change { $0["m2"] = "22021" }
        world.journal.append(makeEnvelope(messageIDs(4).map { .message($0) }))
        await world.runToEnd()
        #expect(world.recorded == ["m1", "m3", "m4"])
        #expect(world.parked.map(\.detail) == ["SQLSTATE 22021"])
        #expect(world.counts(at: 1) == VerdictCounts([.routed, .routed, .routed, .parked]))
        // Nothing of what was only tried is kept.
        #expect(world.commits == [0...1])
    }

    @Test("a message whose decision never holds is parked, and the journal goes on")
    func never() async {
        let world = makeWorld(refusing: ["m4"])
        world.appendMessages(10)
        await world.runToEnd()
        #expect(world.recorded == messageIDs(10).filter { $0 != "m4" })
        #expect(world.parked.map(\.detail) == ["SQLSTATE 40001"])
        #expect(world.toldParked.map(\.position.value) == [4])
    }

    @Test("nor does a message hold it up of whose sender nothing can be found out")
    func question() async {
        let world = World()
        world.poison.change { $0["q"] = "40001" }
        world.append(.message("m1"))
        world.append(.message("m2", quoting: "q"))
        world.append(.message("m3"))
        await world.runToEnd()
        #expect(world.recorded == ["m1", "m3"])
        #expect(world.parked.map(\.detail) == ["SQLSTATE 40001"])
    }

    @Test(
        "a parked message whose decision does not hold stays asked for, holds up nothing, and is recorded once it does")
    func redrive() async {
        let isRefused = Watched(true)
        let world = World(refusal: { batch in
            isRefused.value && batch.messages.contains { $0.message.id == "p" } ? "40001" : nil
        })
        world.append(.messageElsewhere("p"))
        await world.runToEnd()
        world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
        world.database.change { records in for key in records.parked.keys { records.request(key) } }
        world.append(.message("m1"))
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.journal.untilConfirmed(2)
                #expect(world.recorded == ["m1"])
                #expect(world.database.records.parked.values.map(\.isRequested) == [true])
                isRefused.change { $0 = false }
                await world.database.until { $0.parked.isEmpty }
            }
        }
        #expect(world.recorded == ["m1", "p"])
    }
}
