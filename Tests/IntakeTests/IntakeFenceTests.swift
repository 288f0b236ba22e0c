import GatewayTesting
import Intake
import Journal
import Messaging
import Testing

@Suite("Intake: journal and database compared", .timeLimit(.minutes(1)))
struct IntakeFenceTests {
    @Test("a start after a stop goes on where the database is")
    func goesOn() async {
        let world = World()
        world.appendMessages(5)
        await world.runToEnd()
        world.appendMessages(5, from: 6)
        await world.runToEnd(world.makeIntake(owner: 2))
        #expect(world.commits == [0...5, 5...10])
        #expect(world.recorded == messageIDs(10))
        #expect(world.reconciliations == [.begin, .goOn(from: 5)])
    }

    @Test("a start after a commit that was never confirmed goes on behind it")
    func goesOnAhead() async {
        let world = World()
        world.appendMessages(5)
        world.journalFaults.change { $0[.confirm] = 1 }
        await world.run { _ in await world.database.until { !$0.commits.isEmpty } }
        #expect(world.journal.standing.confirmed == 0)
        await world.run(world.makeIntake(owner: 2)) { _ in await world.journal.untilConfirmed(5) }
        #expect(world.commits == [0...5])
        #expect(world.reconciliations == [.begin, .goOn(from: 5)])
    }

    @Test("a database restored while intake runs gets everything since its backup again")
    func restoredWhileRunning() async {
        let world = World()
        world.appendMessages(25)
        await world.passingTime {
            await world.run { _ in
                await world.journal.untilConfirmed(25)
                await restore(world, to: 10)
                world.appendMessages(5, from: 26)
                await world.database.until { $0.position(of: uid(1)) == 30 }
            }
        }
        #expect(world.recorded == messageIDs(30))
        #expect((1...30).allSatisfy { world.counts(at: $0) == .only(.routed) })
        #expect(world.reconciliations == [.begin, .replay(from: 10, to: 25, lost: 0)])
        #expect(world.turnstile.history.filter { $0.call == .rewind }.map(\.position) == [10])
    }

    @Test("a database restored while the gateway was down gets everything since its backup again")
    func restoredBefore() async {
        let world = World()
        world.appendMessages(25)
        await world.runToEnd()
        await restore(world, to: 20)
        await world.run(world.makeIntake(owner: 2)) { _ in
            await world.database.until { $0.position(of: uid(1)) == 25 }
            await world.journal.untilConfirmed(25)
        }
        await world.run(world.makeIntake(owner: 3)) { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
        }
        #expect(world.recorded == messageIDs(25))
        #expect(world.reconciliations == [.begin, .replay(from: 20, to: 25, lost: 0), .goOn(from: 25)])
    }

    /// Brings back the database as it was when it had come to a position.
    private func restore(_ world: World, to position: JournalPosition) async {
        let backup = World()
        for entry
            in (try? await world.journal.entries(after: 0, limit: ReadLimit(entries: Int(position.value), bytes: .max)))
            ?? []
        {
            backup.journal.append(entry.envelope)
        }
        await backup.runToEnd()
        world.database.records = backup.database.records
    }

    @Test("what was trimmed before a restored database could have it again is counted as lost")
    func lost() async {
        let world = World()
        world.appendMessages(30)
        await world.runToEnd()
        await restore(world, to: 10)
        world.journal.trim(upTo: 15)
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.database.until { $0.position(of: uid(1)) == 30 }
            }
        }
        #expect(world.reconciliations.last == .replay(from: 10, to: 30, lost: 5))
        #expect(world.recorded == messageIDs(10) + (16...30).map { "m\($0)" })
    }

    @Test("a database that lost its row of the journal gets everything that is kept again", arguments: [0, 12])
    func rowMissing(trimmed: Int64) async {
        let world = World()
        world.appendMessages(25)
        await world.runToEnd()
        world.journal.trim(upTo: JournalPosition(trimmed))
        world.database.records = IntakeRecords()
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                await world.database.until { $0.position(of: uid(1)) == 25 }
            }
        }
        #expect(world.reconciliations.last == .replayUnknown(from: JournalPosition(trimmed), to: 25))
        #expect(world.recorded == Array(messageIDs(25).dropFirst(Int(trimmed))))
    }

    @Test("a database that loses its row of the journal while intake runs gets everything again")
    func rowLost() async {
        let world = World()
        world.appendMessages(5)
        await world.passingTime {
            await world.run { _ in
                await world.journal.untilConfirmed(5)
                world.database.records = IntakeRecords()
                world.appendMessages(1, from: 6)
                await world.database.until { $0.position(of: uid(1)) == 6 }
            }
        }
        #expect(world.recorded == messageIDs(6))
        #expect(world.reconciliations == [.begin, .replayUnknown(from: 0, to: 6)])
    }

    @Test("a journal that another process records under takes a new identity, and leaves the old one to it")
    func foreignOwner() async throws {
        let world = World()
        world.appendMessages(5)
        await world.passingTime {
            await world.run { _ in
                await world.journal.untilConfirmed(5)
                world.turnstile.hold(.redriveRequests)
                await world.turnstile.untilHeld(.redriveRequests)
                world.database.change { $0.checkpoints[1]?.owner = uid(99) }
                world.appendMessages(3, from: 6)
                world.turnstile.release(.redriveRequests)
                await world.journal.untilConfirmed(8)
            }
        }
        #expect(world.recorded == messageIDs(8))
        #expect(world.journal.standing.id != uid(1))
        #expect(world.reconciliations == [.begin, .renew(from: 5)])
        let records = world.database.records
        #expect(records.checkpoints[1]?.owner == uid(99))
        #expect(records.checkpoints[1]?.position == 5)
        #expect(records.position(of: world.journal.standing.id) == 8)
        #expect((6...8).allSatisfy { world.counts(at: $0, journal: 2) == .only(.routed) })
    }

    @Test("a directory brought back from a backup takes a new identity, and everything unconfirmed is recorded again")
    func restoredDirectory() async {
        let world = World()
        world.appendMessages(5)
        await world.runToEnd()
        world.appendMessages(3, from: 6)
        let backup = world.journal.copy()
        world.appendMessages(4, from: 9)
        await world.runToEnd(world.makeIntake(owner: 2))
        await world.runToEnd(world.makeIntake(owner: 3, journal: backup), journal: backup)
        #expect(world.reconciliations.last == .renew(from: 5))
        #expect(backup.standing.id != uid(1))
        #expect(world.recorded == messageIDs(12))
        #expect((6...8).allSatisfy { world.counts(at: $0, journal: 2) == .only(.duplicate) })
    }

    @Test("what comes in before the database answers does not hide that a directory is an old one")
    func restoredDirectoryFills() async {
        let world = World()
        world.appendMessages(5)
        await world.runToEnd()
        let backup = world.journal.copy()
        world.appendMessages(3, from: 6)
        await world.runToEnd(world.makeIntake(owner: 2))
        let intake = world.makeIntake(owner: 3, journal: backup)
        for number in 101...110 { backup.append(makeEnvelope([.message("m\(number)")])) }
        await world.runToEnd(intake, journal: backup)
        #expect(world.recorded == messageIDs(8) + (101...110).map { "m\($0)" })
        #expect(world.reconciliations.last == .renew(from: 5))
    }

    @Test("after a new identity, a start with nothing new records nothing again")
    func restartAfterRenewal() async {
        let world = World()
        world.appendMessages(5)
        await world.runToEnd()
        let backup = world.journal.copy()
        world.appendMessages(3, from: 6)
        await world.runToEnd(world.makeIntake(owner: 2))
        await world.run(world.makeIntake(owner: 3, journal: backup)) { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
        }
        #expect(world.reconciliations.last == .renew(from: 5))
        await world.run(world.makeIntake(owner: 4, journal: backup)) { _ in
            await world.clock.untilSomebodySleeps(for: world.limits.redriveInterval)
        }
        #expect(world.reconciliations.last == .goOn(from: 5))
        #expect(world.database.records.webhooks.keys.allSatisfy { $0.journal == 1 })
    }

    @Test("two processes on copies of one directory part, and between them record every message once")
    func clones() async {
        let world = World()
        world.appendMessages(5)
        await world.runToEnd()
        let clone = world.journal.copy()
        await world.passingTime {
            await world.run(world.makeIntake(owner: 2)) { _ in
                world.appendMessages(3, from: 6)
                await world.journal.untilConfirmed(8)
                await world.run(world.makeIntake(owner: 3, journal: clone)) { _ in
                    for number in 101...103 { clone.append(makeEnvelope([.message("m\(number)")])) }
                    world.appendMessages(3, from: 9)
                    await clone.untilConfirmed(8)
                    await world.journal.untilConfirmed(11)
                    for number in 104...106 { clone.append(makeEnvelope([.message("m\(number)")])) }
                    world.appendMessages(3, from: 12)
                    await clone.untilConfirmed(11)
                    await world.journal.untilConfirmed(14)
                }
            }
        }
        #expect(world.recorded.count == 20)
        #expect(Set(world.recorded) == Set(messageIDs(14) + (101...106).map { "m\($0)" }))
        #expect(clone.standing.id != uid(1))
        #expect(clone.standing.id != world.journal.standing.id)
    }

    @Test(
        "a journal that cannot be rewound or renamed yet is tried again",
        arguments: [
            IntakeTurnstile.Call.rewind, .renew,
        ])
    func journalFails(call: IntakeTurnstile.Call) async {
        let world = World()
        world.appendMessages(8)
        await world.runToEnd()
        switch call {
        case .rewind: await restore(world, to: 3)
        default: world.database.change { $0.checkpoints[1]?.position = 9 }
        }
        world.appendMessages(1, from: 9)
        world.journalFaults.change { $0[call] = 3 }
        let intake = world.makeIntake(owner: 2)
        if call == .renew { world.database.change { $0.checkpoints[1]?.position = 10 } }
        await world.passingTime {
            await world.run(intake) { _ in await world.database.until { $0.order.contains("m9") } }
        }
        #expect(world.recorded == messageIDs(9))
        #expect(world.turnstile.count(of: call) == 4)
    }
}
