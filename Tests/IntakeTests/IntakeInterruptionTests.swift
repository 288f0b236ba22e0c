import GatewayTesting
import Intake
import Journal
import Messaging
import Routing
import Testing

/// What happens in the middle of it all.
private enum Incident: CaseIterable, Sendable {
    case outage, answerLost, processEnds, otherOwner, endpointKnown, leaseMoves, refusedFromNow
}

/// Every incident at every call of the database, in a story with whatever makes recording more than one statement:
/// refused updates, notices of another number, identities that are learnt.
@Suite("Intake: incidents at every call", .timeLimit(.minutes(2)))
struct IntakeInterruptionTests {
    private static let story: [[Update]] = [
        [.message("a1"), .status("as"), .undecodable],
        [
            .message("b1"), .messageElsewhere("b2"), .moved("b3", from: .tenant, to: .stranger),
            .message("b4", from: .stranger), .message("b5", from: .formerTenant),
            .shown("b6", from: .tenant, withNumber: true), .shown("b7", from: .tenant, withNumber: false),
            .status("bs"), .message("b8", from: .tenantOfTwo),
        ],
        [.message("c1")],
        [.moved("d1", from: .stranger, to: .tenant), .message("d2")],
        [.message("e1", from: .stranger), .message("a1")],
    ]
    private static let refused = ["b2", "b5", "b7", "c1", "d1"]

    /// A story that comes to an incident at one of its calls.
    private struct Telling {
        let world: World
        let calls = Watched(0)

        init(_ incident: Incident? = nil, at call: Int = 0) {
            let calls = calls
            let strike = Watched<(@Sendable (IntakeTurnstile.Call) -> IntakeDatabase.Fault?)?>(nil)
            let world = World(chaos: { what in
                let number = calls.change { count in
                    defer { count += 1 }
                    return count
                }
                return number == call ? strike.value?(what) : nil
            })
            world.poison.change { poison in for id in refused { poison[id] = "22021" } }
            for updates in story { world.journal.append(makeEnvelope(updates)) }
            self.world = world
            if let incident { strike.change { [world] in $0 = { Self.happen(incident, to: world, during: $0) } } }
        }

        private static func happen(
            _ incident: Incident, to world: World, during call: IntakeTurnstile.Call
        ) -> IntakeDatabase.Fault? {
            switch incident {
            case .outage: return .unavailable
            case .answerLost: return .answerLost
            case .processEnds: withUnsafeCurrentTask { $0?.cancel() }
            case .otherOwner: world.database.change { $0.checkpoints[1]?.owner = uid(99) }
            case .endpointKnown: world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
            case .leaseMoves:
                world.database.change { $0.leases = standardLeases.dropFirst() + [lease(9, of: .tenant, landlord: 2)] }
            case .refusedFromNow: world.poison.change { $0["b1"] = "22003" }
            }
            return nil
        }
    }

    @Test("nothing is lost, doubled, reordered or parked beside what is to blame", arguments: Incident.allCases)
    private func incident(_ incident: Incident) async {
        let calm = Telling()
        await calm.world.runToEnd()
        check(calm.world, "calm")
        for call in 0..<calm.calls.value {
            let telling = Telling(incident, at: call)
            if incident == .processEnds {
                let first = telling.world.makeIntake()
                await telling.world.passingTime { await withTaskGroup { $0.addTask { await first.run() } } }
            }
            await telling.world.runToEnd(telling.world.makeIntake(owner: incident == .processEnds ? 2 : 1))
            check(telling.world, "\(incident) at call \(call)")
        }
    }

    private func check(_ world: World, _ note: Comment) {
        let records = world.database.records
        let isParked = { (id: String) in Self.refused.contains(id) || (id == "b1" && !world.recorded.contains(id)) }
        var ids: [String] = []
        for case .some(let id) in Self.story.joined().map(\.id) where !ids.contains(id) { ids.append(id) }
        #expect(world.recorded == ids.filter { !isParked($0) && !$0.hasSuffix("s") }, note)
        #expect(Set(records.statuses.map(\.messageID)) == ["as", "bs"], note)
        #expect(records.identityChanges == [.phone(from: Person.tenant.phone, to: Person.stranger.phone)], note)
        let parked = Self.story.enumerated().flatMap { number, updates in
            updates.enumerated().filter { $0.element.id.map(isParked) ?? true }.map { [number + 1, $0.offset] }
        }
        #expect(world.parked.map { [Int($0.position.value), $0.index] } == parked, note)
        for (place, webhook) in records.webhooks {
            #expect(webhook.counts.total == webhook.updates, "webhook \(place.position), \(note)")
        }
        #expect(Set(records.webhooks.keys.map(\.position)).count == Self.story.count, note)
    }
}
