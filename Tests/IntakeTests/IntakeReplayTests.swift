import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite("Intake: stored webhooks decoded again", .timeLimit(.minutes(1)))
struct IntakeReplayTests {
    /// Records these webhooks; then it is as if all of it but what was parked had been ignored when it came.
    private func store(_ webhooks: [[Update]], in world: World) async {
        for updates in webhooks { world.journal.append(makeEnvelope(updates)) }
        await world.runToEnd()
        world.database.change { records in
            records.messages = [:]
            records.order = []
            records.statuses = []
            for place in records.webhooks.keys {
                guard var webhook = records.webhooks[place] else { continue }
                let parked = webhook.counts.parked
                webhook.counts = VerdictCounts()
                webhook.counts.parked = parked
                webhook.counts.ignored = webhook.updates - parked
                records.webhooks[place] = webhook
            }
        }
    }

    private func replay(in world: World, owner: UInt64 = 2, isStale: Bool = false) async {
        world.database.change { $0.replays.append(.init()) }
        await world.passingTime {
            await world.run(world.makeIntake(owner: owner, isStale: { isStale })) { _ in
                await world.database.until { $0.replays.allSatisfy(\.isFinished) }
            }
        }
    }

    @Test("by a stale table nobody is decided: the database is asked")
    func staleTable() async {
        let leases = [lease(8, of: .tenant, landlord: 2), lease(9, of: .tenant, landlord: 3)]
        let world = World(routes: { question, _ in question.phone == Person.tenant.key ? leases : [] })
        await store([[.message("m1")]], in: world)
        await replay(in: world, isStale: true)
        #expect(world.counts(at: 1) == .only(.held))
    }

    private func outcome(in world: World) -> ReplayOutcome? { world.database.records.replays.last?.outcome }

    @Test("what was ignored is recorded in its order, and moves in its webhook's counts; nothing is read anew")
    func ignored() async {
        let world = World()
        await store(
            [
                [.message("m1"), .ignored, .status("s1")],
                [.message("m2", from: .stranger), .message("m3", quoting: "q")],
            ],
            in: world)
        let commits = world.database.records.commits.count
        await replay(in: world)
        #expect(world.recorded == ["m1", "m2", "m3"])
        #expect(world.counts(at: 1) == VerdictCounts([.routed, .ignored, .ignored]))
        #expect(world.counts(at: 2) == VerdictCounts([.unclaimed, .routed]))
        #expect(world.database.records.statuses.map(\.messageID) == ["s1"])
        #expect(world.database.records.commits.count == commits)
        #expect(world.database.records.position(of: uid(1)) == 2)
        #expect(outcome(in: world)?.webhooks == 2)
        await replay(in: world, owner: 3)
        #expect(outcome(in: world)?.recorded == 0)
        #expect(world.recorded == ["m1", "m2", "m3"])
    }

    @Test("what is parked is left to its redrive, and what nobody can process stays ignored")
    func parked() async {
        let world = World()
        await store([[.undecodable, .messageElsewhere("m1"), .message("m2")]], in: world)
        world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
        await replay(in: world)
        #expect(world.recorded == ["m2"])
        #expect(world.counts(at: 1) == VerdictCounts([.parked, .parked, .routed]))
        world.database.change { $0.parked = [:] }
        world.table.change { $0 = makeTable() }
        await replay(in: world, owner: 3)
        #expect(world.recorded == ["m2"])
        #expect(world.parked.isEmpty)
    }

    @Test("a webhook whose data the database refuses is passed, the others are replayed")
    func refused() async {
        let world = World()
        await store((1...5).map { [.message("m\($0)")] }, in: world)
        world.poison.change { $0 = ["m3": "22021"] }
        await replay(in: world)
        #expect(world.recorded == ["m1", "m2", "m4", "m5"])
        #expect(outcome(in: world)?.refused == 1)
        #expect(outcome(in: world)?.webhooks == 4)
        #expect(world.counts(at: 3) == .only(.ignored))
        #expect(world.parked.isEmpty)
    }

    @Test("what another gateway makes out of date is decided anew, and passed only if that never holds")
    func outdated() async {
        let left = Watched(["m1": 2, "m3": 1000])
        let world = World(refusal: { batch in
            guard batch.replay != nil else { return nil }
            return left.change { left in
                guard let id = batch.messages.map(\.message.id).first(where: { left[$0, default: 0] > 0 }) else {
                    return nil
                }
                left[id, default: 0] -= 1
                return "40001"
            }
        })
        await store([[.message("m1")]], in: world)
        await replay(in: world)
        #expect(world.recorded == ["m1"])
        #expect(outcome(in: world)?.refused == 0)
        await store([[.message("m2")], [.message("m3")], [.message("m4")]], in: world)
        await replay(in: world, owner: 3)
        #expect(world.recorded.sorted() == ["m1", "m2", "m4"])
        #expect(outcome(in: world)?.refused == 1)
    }

    @Test(
        "an outage is waited out, and a lost answer changes nothing",
        arguments: [IntakeDatabase.Fault.unavailable, .answerLost])
    func outage(fault: IntakeDatabase.Fault) async {
        let world = World()
        await store([[.message("m1")], [.message("m2")]], in: world)
        world.faults.change { $0[.record] = [fault, fault] }
        await replay(in: world)
        #expect(world.recorded == ["m1", "m2"])
        #expect(world.counts(at: 1) == .only(.routed))
        #expect(world.database.records.replays.last?.place?.position == 2)
    }

    @Test("a process that ends in the middle leaves the rest to the next one")
    func resumed() async {
        let world = World()
        await store((1...250).map { [.message("m\($0)")] }, in: world)
        world.database.change { $0.replays.append(.init()) }
        world.turnstile.hold(.replaySlice)
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.turnstile.untilHeld(.replaySlice)
                world.turnstile.release(.replaySlice)
                await world.database.until { $0.replays[0].place != nil }
                world.turnstile.hold(.replaySlice)
            }
        }
        world.turnstile.release(.replaySlice)
        let first = world.recorded.count
        #expect(first >= 100)
        await world.passingTime {
            await world.run(world.makeIntake(owner: 3)) { _ in
                await world.database.until { $0.replays.allSatisfy(\.isFinished) }
            }
        }
        #expect(world.recorded == messageIDs(250))
        #expect(outcome(in: world)?.recorded == 250)
        #expect(outcome(in: world)?.webhooks == 250)
    }

    @Test("what comes in waits for one slice, not for the replay")
    func beside() async {
        let world = World()
        await store((1...300).map { [.message("m\($0)")] }, in: world)
        world.database.change { $0.replays.append(.init()) }
        world.turnstile.hold(.replaySlice)
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.turnstile.untilHeld(.replaySlice)
                world.append(.message("new"))
                world.turnstile.release(.replaySlice)
                await world.database.until { $0.replays.allSatisfy(\.isFinished) }
            }
        }
        #expect(world.recorded.firstIndex(of: "new") == 100)
        #expect(Set(world.recorded) == Set(messageIDs(300) + ["new"]))
    }
}
