import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite("Intake: cancellation", .timeLimit(.minutes(1)))
struct IntakeCancellationTests {
    /// A world in which every call is made before long.
    private func makeWorld(reaching call: IntakeTurnstile.Call) async -> World {
        let world = World()
        world.appendMessages(3)
        await world.runToEnd()
        switch call {
        case .rewind:
            world.database.change { $0.checkpoints[1]?.position = 1 }
        case .renew: world.database.change { $0.checkpoints[1]?.position = 50 }
        default: break
        }
        world.poison.change { $0["m5"] = "22021" }
        world.append(.message("m4", from: .stranger))
        world.append(.message("m5"), .message("m6"))
        return world
    }

    @Test("whatever it waits for, a cancelled intake ends", arguments: IntakeTurnstile.Call.allCases)
    func duringCall(call: IntakeTurnstile.Call) async {
        let world = await makeWorld(reaching: call)
        world.turnstile.hold(call)
        await world.run(world.makeIntake(owner: 2)) { _ in await world.turnstile.untilHeld(call) }
    }

    @Test("an outage does not keep a cancelled intake", arguments: IntakeTurnstile.Call.allCases)
    func duringOutage(call: IntakeTurnstile.Call) async {
        let world = await makeWorld(reaching: call)
        world.turnstile.hold(call)
        world.faults.change { $0[call] = Array(repeating: .unavailable, count: 1000) }
        world.journalFaults.change { $0[call] = 1000 }
        await world.run(world.makeIntake(owner: 2)) { _ in await world.turnstile.untilHeld(call) }
    }

    @Test("an intake that waits for entries ends")
    func waiting() async {
        let world = World()
        await world.run { _ in await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval) }
    }

    @Test("an intake that pauses ends")
    func pausing() async {
        let world = World()
        world.faults.change { $0[.claim] = [.unavailable] }
        await world.run { _ in await world.clock.untilSomebodySleeps(for: world.limits.retryDelay) }
        #expect(world.turnstile.count(of: .claim) == 1)
    }

    @Test("a stopped intake ends")
    func stopped() async {
        var world = World()
        world.limits.parksInARowMax = 0
        world.poison.change { $0["m1"] = "22021" }
        world.appendMessages(1)
        await world.run { _ in await world.clock.untilSomebodySleeps(for: world.limits.stoppedDelay) }
        #expect(world.commits.isEmpty)
    }

    @Test("an intake that was cancelled before it began does nothing")
    func before() async {
        let world = World()
        let running = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            await world.makeIntake().run()
        }
        await running.value
        #expect(world.turnstile.count(of: .claim) == 0)
    }

    @Test("what is being recorded at a cancellation is finished and confirmed, and nothing more is begun")
    func finishesBatch() async {
        let world = World()
        world.appendMessages(25)
        world.turnstile.hold(.record)
        await world.run { _ in await world.turnstile.untilHeld(.record) }
        #expect(world.commits == [0...10])
        #expect(world.journal.standing.confirmed == 10)
    }

    @Test("a search for what the database refuses is broken off, and found again at the next start")
    func duringSearch() async {
        let world = World()
        world.poison.change { $0["m30"] = "22021" }
        world.journal.append(makeEnvelope((1...40).map { .message("m\($0)") }))
        world.turnstile.hold(.rehearse)
        await world.run { _ in await world.turnstile.untilHeld(.rehearse) }
        #expect(world.turnstile.count(of: .rehearse) == 1)
        #expect(world.commits.isEmpty)
        world.turnstile.release(.rehearse)
        await world.runToEnd(world.makeIntake(owner: 2))
        #expect(world.parked.map(\.index) == [29])
    }
}
