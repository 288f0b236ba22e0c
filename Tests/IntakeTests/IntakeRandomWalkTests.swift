import GatewayTesting
import Glibc
import Intake
import Journal
import Messaging
import Routing
import Testing

/// `WALK_SEED` repeats one walk, `WALK_ROUNDS` makes that many.
@Suite("Intake: random walks", .timeLimit(.minutes(6)))
struct IntakeRandomWalkTests {
    private static let seeds: [UInt64] = {
        if let seed = number("WALK_SEED") { return [seed] }
        return (0..<(number("WALK_ROUNDS") ?? 10)).map { _ in .random(in: .min ... .max) }
    }()

    private static func number(_ name: String) -> UInt64? { getenv(name).flatMap { UInt64(String(cString: $0)) } }

    @Test("through outages, lost answers, refused data, moving leases and crashes every update gets one verdict")
    func crashes() async {
        for seed in Self.seeds {
            let walk = Walk(seed: seed)
            await walk.take {
                for _ in 0..<10 { await walk.live() }
                await walk.end()
            }
            walk.checkAllRecorded()
            walk.checkOrder()
        }
    }

    @Test("the same seed makes the same walk")
    func repeats() async {
        var walks: [Walk] = []
        for _ in 0..<2 {
            let walk = Walk(seed: Self.seeds[0])
            await walk.take {
                for _ in 0..<10 { await walk.live() }
                await walk.end()
            }
            walks.append(walk)
        }
        #expect(walks[0].world.turnstile.history == walks[1].world.turnstile.history, "\(walks[0])")
        #expect(walks[0].world.database.records.order == walks[1].world.database.records.order, "\(walks[0])")
    }

    @Test("a database brought back from backups gets all again that it forgot")
    func restores() async {
        for seed in Self.seeds {
            let walk = Walk(seed: seed)
            await walk.take {
                var backups = [walk.world.database.records]
                for _ in 0..<12 {
                    await walk.live { world in
                        if walk.roll(3) == 0 { backups.append(world.database.records) }
                        if walk.roll(3) == 0 { world.database.records = backups[walk.roll(backups.count)] }
                    }
                    if walk.roll(4) == 0 { walk.world.database.records = backups[walk.roll(backups.count)] }
                }
                await walk.end()
            }
            walk.checkAllRecorded()
        }
    }
}

/// The life of a gateway in bad times.
private final class Walk: Sendable, CustomStringConvertible {
    let seed: UInt64
    let world: World
    private let dice: Watched<Dice>
    private let isStormy: Watched<Bool>
    /// What was sent, by position from 1.
    private let sent = Watched<[[Update]]>([])
    /// The position each message came at first.
    private let firsts = Watched<[String: JournalPosition]>([:])
    private let owners = Watched<UInt64>(0)

    var description: String { "seed \(seed)" }

    init(seed: UInt64) {
        self.seed = seed
        let storm = Watched(Dice(seed: ~seed))
        let isStormy = Watched(true)
        world = World(
            chaos: { call in
                guard isStormy.value else { return nil }
                switch (storm.change { $0.roll(16) }) {
                case 0, 1: return .unavailable
                case 2 where call == .record || call == .claim: return .answerLost
                default: return nil
                }
            },
            journalChaos: { _ in isStormy.value && storm.change { $0.roll(16) } == 0 })
        self.isStormy = isStormy
        dice = Watched(Dice(seed: seed))
    }

    func roll(_ sides: Int) -> Int { dice.change { $0.roll(sides) } }

    /// What is done here is done again with the same seed, task by task.
    func take(_ body: @escaping @Sendable () async -> Void) async {
        await SeededExecutor(seed: seed &+ 1).run(body)
    }

    /// A process from its start to its end, while webhooks come in and the world changes.
    func live(_ meanwhile: (World) -> Void = { _ in }) async {
        send(roll(10))
        await world.passingTime {
            await world.run(makeIntake()) { intake in
                for _ in 0..<roll(6) {
                    for _ in 0..<roll(120) { await Task.yield() }
                    send(roll(20))
                    changeWorld()
                    meanwhile(world)
                    if roll(10) == 0 { await intake.resume() }
                }
                for _ in 0..<roll(200) { await Task.yield() }
            }
        }
    }

    /// Good times, until nothing is left to do.
    func end() async {
        isStormy.change { $0 = false }
        send(1)
        await world.passingTime {
            await world.run(makeIntake()) { _ in
                let last = world.journal.standing.last
                await world.database.until { [journal = world.journal] in $0.position(of: journal.standing.id) == last }
                await world.journal.untilConfirmed(last)
            }
        }
    }

    private func makeIntake() -> Intake {
        world.makeIntake(
            owner: owners.change { owner in
                owner += 1
                return owner
            })
    }

    private func send(_ count: Int) {
        for _ in 0..<count {
            let updates = (0...roll(5)).map { _ in update() }
            sent.change { $0.append(updates) }
            let position = JournalPosition(Int64(sent.value.count))
            for id in updates.compactMap(\.id)
            where firsts.change({ $0.updateValue($0[id] ?? position, forKey: id) == nil }) {
                if roll(25) == 0 { world.poison.change { $0[id] = "22021" } }
            }
            world.journal.append(makeEnvelope(updates))
        }
    }

    /// A new update, or one that came before.
    private func update() -> Update {
        let earlier = sent.value
        if roll(12) == 0, !earlier.isEmpty, let update = earlier[roll(earlier.count)].first { return update }
        return dice.change { $0.update() }
    }

    private func changeWorld() {
        switch roll(6) {
        case 0: world.database.change { $0.leases = standardLeases.dropFirst() + [lease(9, of: .tenant, landlord: 2)] }
        case 1: world.database.change { $0.leases = nil }
        case 2: world.database.change { $0.leases = Array(standardLeases.dropFirst()) }
        case 3: world.database.change { records in for key in records.parked.keys { records.request(key) } }
        case 4: world.table.change { $0 = makeTable(endpoints: [.shared, .strange]) }
        default: world.table.change { $0 = makeTable() }
        }
    }

    func checkAllRecorded() {
        let records = world.database.records
        let recorded = Set(records.order + records.statuses.map(\.messageID))
        let rows = Dictionary(grouping: records.webhooks, by: \.key.position)
        for (index, updates) in sent.value.enumerated() {
            let webhooks = (rows[JournalPosition(Int64(index + 1))] ?? []).map(\.value)
            #expect(!webhooks.isEmpty, "nothing of webhook \(index + 1), \(self)")
            for webhook in webhooks {
                #expect(webhook.counts.total == webhook.updates, "webhook \(index + 1), \(self)")
                #expect(webhook.updates == updates.count, "webhook \(index + 1), \(self)")
            }
            let body = makeEnvelope(updates).body
            for (place, update) in updates.enumerated() {
                let isParked = records.parked[.init(payload: body, index: place)] != nil
                let isRecorded = update.id.map { recorded.contains($0) } ?? false
                #expect(mayBe(update, isParked: isParked, isRecorded: isRecorded), "\(update) at \(index + 1), \(self)")
            }
        }
        #expect(records.order.count == Set(records.order).count, "\(self)")
        checkNotices()
    }

    /// What came on an unknown endpoint was parked, and is recorded when that is known; all else in the journal's order.
    func checkOrder() {
        let records = world.database.records
        let inOrder = records.order.filter { records.messages[.init(endpoint: Endpoint.shared.id, id: $0)] != nil }
        let positions = inOrder.map { firsts.value[$0] ?? .start }
        #expect(positions == positions.sorted(), "not in order, \(self)")
        #expect(records.journals.count == 1, "\(self)")
    }

    /// A number changed once for each notice that is recorded, when it was.
    private func checkNotices() {
        let notices = sent.value.joined().reduce(into: [String: IdentityChange]()) { notices, update in
            guard case .moved(let id, let old, let new, _) = update else { return }
            notices[id] = .phone(from: old.phone, to: new.phone)
        }
        let records = world.database.records
        #expect(records.identityChanges == records.order.compactMap { notices[$0] }, "\(self)")
    }

    private func mayBe(_ update: Update, isParked: Bool, isRecorded: Bool) -> Bool {
        switch update {
        case .message(let id, _, _, _), .status(let id), .shown(let id, _, _), .moved(let id, _, _, false):
            let isPoison = world.poison.value[id] != nil
            return isParked == isPoison && isRecorded == !isPoison
        case .messageElsewhere, .statusElsewhere, .moved: return isParked || isRecorded
        case .undecodable: return isParked
        case .ignored: return !isParked
        }
    }
}
