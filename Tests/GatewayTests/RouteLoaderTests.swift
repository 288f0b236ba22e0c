import GatewayTesting
import Logging
import Messaging
import Operations
import Routing
import Synchronization
import Testing

@testable import Gateway

@Suite struct RouteLoaderTests {
    @Test("loads everything first, then what changed meanwhile, then changes")
    func delta() async throws {
        let scene = RouteScene(.all([1]), .changes([3: 1]), .changes([2: 2]))
        try await scene.run { await scene.source.untilAsked(times: 4) }
        #expect(scene.leases == [1: 1, 2: 2, 3: 1])
        #expect(scene.source.asked == [.all, .changes("1"), .changes("2"), .changes("3")])
        #expect(scene.loader.health == .ok && scene.database == .ok)
    }

    @Test("loads everything again when the changes no longer reach back")
    func expired() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .expired, .all([2]), .changes([:]))
        try await scene.run { await scene.source.untilAsked(times: 6) }
        #expect(scene.leases == [2: 1])
        #expect(scene.source.asked == [.all, .changes("1"), .changes("2"), .all, .changes("4"), .changes("5")])
    }

    @Test("keeps the table while the database fails, says so, and goes on where it was")
    func failing() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .failure, .changes([2: 1]))
        scene.source.hold(from: 4)
        try await scene.run {
            await scene.source.untilAsked(times: 4)
            #expect(scene.leases == [1: 1])
            #expect(scene.loader.health == .degraded(reason: "routes cannot be read from the database: away"))
            #expect(scene.database == .degraded(reason: "the database does not answer: away"))
            scene.source.release()
            await scene.source.untilAsked(times: 5)
        }
        #expect(scene.leases == [1: 1, 2: 1])
        #expect(scene.source.asked.suffix(3) == [.changes("2"), .changes("2"), .changes("4")])
        #expect(scene.loader.health == .ok && scene.database == .ok)
    }

    @Test("has failed, and publishes no table, until the first load is done")
    func neverLoaded() async throws {
        let scene = RouteScene(.failure, .all([1]))
        scene.source.hold(from: 2)
        #expect(scene.loader.health == .failed(reason: "starting"))
        try await scene.run {
            await scene.source.untilAsked(times: 2)
            #expect(scene.loader.table.snapshot == nil && scene.loader.liveGeneration == 0)
            #expect(scene.loader.health == .failed(reason: "routes cannot be read from the database: away"))
            #expect(scene.loader.isStale)
        }
    }

    @Test("reloads everything on demand, and a reload that fails leaves the table")
    func reload() async throws {
        let scene = RouteScene(
            .all([1]), .changes([:]), .all([1, 1]), .changes([:]), .failure, .all([3]), .failure, .all([3]),
            .changes([:]))
        #expect(try await scene.loader.reload() == ReloadReceipt(generation: 1, summary: "1 routes"))
        #expect(try await scene.loader.reload() == ReloadReceipt(generation: 2, summary: "2 routes"))
        await #expect(throws: RouteScene.Away.self) { _ = try await scene.loader.reload() }
        await #expect(throws: RouteScene.Away.self) { _ = try await scene.loader.reload() }
        #expect(scene.leases == [1: 2])
        #expect(try await scene.loader.reload().generation == 3)
        #expect(scene.leases == [3: 1] && scene.loader.liveGeneration == 3)
    }

    @Test("takes changes while everything is loaded again, and the new table does not go back behind them")
    func changesDuringReload() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .all([1]), .changes([2: 1]), .changes([2: 1]))
        _ = try await scene.loader.reload()
        scene.source.hold(loadsFrom: 3)
        async let receipt = scene.loader.reload()
        await scene.source.untilAsked(times: 3)
        await scene.loader.refreshNow()
        #expect(scene.leases == [1: 1, 2: 1])
        let generation = scene.loader.liveGeneration
        scene.source.release()
        #expect(try await receipt.generation > generation)
        // The load's own picture is older than the change; what came since is asked for from there.
        #expect(scene.leases == [1: 1, 2: 1])
        #expect(scene.source.asked == [.all, .changes("1"), .all, .changes("2"), .changes("3")])
    }

    @Test("asks for changes at each hint, and at none without one before the clock says so")
    func hints() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .changes([2: 1]), .changes([3: 1]), isEager: false)
        try await scene.run {
            await scene.source.untilWaiting(times: 1)
            #expect(scene.source.asked.count == 2)
            scene.source.say(.hinted)
            await scene.source.untilWaiting(times: 2)
            #expect(scene.leases == [1: 1, 2: 1])
            scene.source.say(.quiet)
            await scene.source.untilWaiting(times: 3)
            #expect(scene.leases == [1: 1, 2: 1, 3: 1])
        }
        #expect(scene.source.asked.count == 4)
    }

    @Test("asks at once when hints can no longer be received, and says that it does without them")
    func deaf() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .changes([2: 1]), .changes([:]), isEager: false)
        try await scene.run {
            await scene.source.untilWaiting(times: 1)
            scene.source.say(.deaf(reason: "cut"))
            await scene.source.untilWaiting(times: 2)
            #expect(scene.leases == [1: 1, 2: 1])
            #expect(
                scene.loader.health
                    == .degraded(reason: "changes of routes are asked for by the clock alone, not hinted: cut"))
            scene.source.say(.hinted)
            await scene.source.untilWaiting(times: 3)
            #expect(scene.loader.health == .ok)
        }
    }

    @Test("who asks while a refresh is under way is served by another one")
    func secondRefresh() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .changes([2: 1]), .changes([3: 1]))
        _ = try await scene.loader.reload()
        scene.source.hold(from: 3)
        async let first: Void = scene.loader.refreshNow()
        await scene.source.untilAsked(times: 3)
        async let second: Void = scene.loader.refreshNow()
        scene.source.release()
        _ = await (first, second)
        #expect(scene.leases == [1: 1, 2: 1, 3: 1])
        #expect(scene.source.asked.count == 4)
    }

    @Test("is as old as the question that was answered last, and stale from the limit on")
    func staleness() async throws {
        let scene = RouteScene(.all([1]), .changes([:]), .failure, .changes([:]))
        scene.time.advance(by: .seconds(3))
        #expect(scene.loader.isStale && scene.staleness == 3)
        _ = try await scene.loader.reload()
        #expect(!scene.loader.isStale && scene.staleness == 0)
        scene.time.advance(by: .seconds(10))
        #expect(!scene.loader.isStale && scene.staleness == 10 && scene.loader.health == .ok)
        await scene.loader.refreshNow()
        scene.time.advance(by: .milliseconds(1500))
        #expect(scene.loader.isStale && scene.staleness == 11.5)
        #expect(
            scene.loader.health
                == .degraded(
                    reason: "routes are as the database had them 11 s ago, longer than GATEWAY_ROUTES_STALE_AFTER "
                        + "allows: away"))
        await scene.loader.refreshNow()
        #expect(!scene.loader.isStale && scene.staleness == 0 && scene.loader.health == .ok)
    }

    @Test("folds many changes into the table beside it, and loses none that comes meanwhile", .timeLimit(.minutes(2)))
    func compaction() async throws {
        let many = Dictionary(uniqueKeysWithValues: (10...UInt64(RoutingTable.overlayLimit + 10)).map { ($0, 1) })
        let scene = RouteScene(.all([1]), .changes([:]), .changes(many), .changes([2: 1]), .changes([3: 1]))
        _ = try await scene.loader.reload()
        for _ in 0..<3 { await scene.loader.refreshNow() }
        #expect(scene.leases == [1: 1, 2: 1, 3: 1])
        while scene.loader.table.snapshot?.needsCompaction ?? true { await Task.yield() }
        let table = try #require(scene.loader.table.snapshot)
        #expect(scene.leases == [1: 1, 2: 1, 3: 1])
        #expect(table.routeCount == many.count + 3 && table.generation == 4)
        #expect(table.statistics.overlayEntries <= 2)
        #expect(table.cursor.snapshot == "5")
    }
}

/// A loader over a source that answers by a script, and a clock that moves when the test says so.
struct RouteScene: Sendable {
    let source: ScriptedRouteSource
    let board = HealthBoard()
    let time = ManualTime()
    let loader: RouteLoader

    struct Away: Error, CustomStringConvertible {
        let description = "away"
    }

    final class ManualTime: Sendable {
        private let moment = Mutex(ContinuousClock.now)
        var now: ContinuousClock.Instant { moment.withLock { $0 } }
        func advance(by duration: Duration) { moment.withLock { $0 += duration } }
    }

    /// - Parameter isEager: the source waits for no hint.
    init(_ answers: ScriptedRouteSource.Answer..., isEager: Bool = true) {
        source = ScriptedRouteSource(answers, isEager: isEager)
        var pace = RouteLoader.Pace(poll: .seconds(3600), staleAfter: .seconds(10))
        pace.spacing = .zero
        loader = RouteLoader(
            source: source, pace: pace, database: board.register("database", blocksAcknowledging: false),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, now: { [time] in time.now })
    }

    /// Leases in the table by the number they are filed under.
    var leases: [UInt64: Int] {
        guard let table = loader.table.snapshot else { return [:] }
        var leases: [UInt64: Int] = [:]
        for number in 1...9 as ClosedRange<UInt64> {
            let count = table.routeCount(of: ScriptedRouteSource.key(number))
            if count > 0 { leases[number] = count }
        }
        return leases
    }

    var database: HealthState? { board.report().components.first { $0.name == "database" }?.state }

    var staleness: Double? {
        loader.samples.first { $0.name == "gateway_routing_table_staleness_seconds" }?.value
    }

    /// Follows the source while `body` runs.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let following = Task { try await loader.run() }
        defer { following.cancel() }
        try await body()
    }
}

/// Answers by a script, each call with the next answer; when it is at its end, it answers no more.
final class ScriptedRouteSource: RouteSource {
    enum Answer: Sendable {
        /// A full load with a lease for each number.
        case all([UInt64])
        /// How many leases a number has now.
        case changes([UInt64: Int])
        /// The cursor no longer reaches.
        case expired
        case failure
    }

    enum Question: Hashable, Sendable {
        case all
        case changes(_ snapshot: String)
    }

    private struct State {
        var answers: [Answer]
        var asked: [Question] = []
        var heldFrom = Int.max
        var loadsHeldFrom = Int.max
        /// Beside the first call, which begins to listen.
        var waits = -1
        var hints: [RouteHint] = [.hinted]
    }

    private let state: Watched<State>
    private let isEager: Bool

    init(_ answers: [Answer], isEager: Bool) {
        state = Watched(State(answers: answers))
        self.isEager = isEager
    }

    var asked: [Question] { state.value.asked }

    /// The call of this number, from 1, and those after it wait.
    func hold(from call: Int) { state.change { $0.heldFrom = call } }
    /// As `hold(from:)`, but full loads alone.
    func hold(loadsFrom call: Int) { state.change { $0.loadsHeldFrom = call } }
    func release(through call: Int = .max - 1) {
        state.change { state in
            state.heldFrom = call + 1
            state.loadsHeldFrom = call + 1
        }
    }
    func untilAsked(times: Int) async { await state.until { $0.asked.count >= times } }
    func untilWaiting(times: Int) async { await state.until { $0.waits >= times } }
    func say(_ hint: RouteHint) { state.change { $0.hints.append(hint) } }

    static func key(_ number: UInt64) -> PhoneKey { PhoneKey(folded: 447_911_000_000 + number) }

    private static func route(_ number: UInt64, _ lease: Int) -> Route {
        Route(
            key: key(number), landlordID: UniqueID(high: 1, low: number),
            propertyID: UniqueID(high: UInt64(lease), low: number), validFrom: nil, validUntil: nil, isActive: true,
            learntAt: Timestamp(seconds: 0))
    }

    /// The answer to a question, and the cursor that goes with it: the number of the call.
    private func next(_ question: Question) async throws -> (answer: Answer, cursor: RouteCursor) {
        let (call, answer) = state.change { state in
            state.asked.append(question)
            return (state.asked.count, state.answers.isEmpty ? nil : state.answers.removeFirst())
        }
        await state.until { call < $0.heldFrom && (question != .all || call < $0.loadsHeldFrom) }
        guard let answer else {
            await state.until { _ in false }
            throw CancellationError()
        }
        return (answer, RouteCursor(snapshot: "\(call)", epoch: "test"))
    }

    func loadAll(_ receive: (RouteChunk) throws -> Void) async throws -> RouteCursor {
        let (answer, cursor) = try await next(.all)
        guard case .all(let numbers) = answer else { throw RouteScene.Away() }
        try receive(.routes(numbers.enumerated().map { Self.route($1, $0) }))
        return cursor
    }

    func changes(since cursor: RouteCursor) async throws -> RouteDelta? {
        let (answer, now) = try await next(.changes(cursor.snapshot))
        switch answer {
        case .expired: return nil
        case .changes(let counts):
            var delta = RouteDelta(cursor: now)
            for (number, count) in counts {
                delta.routes[Self.key(number)] = (0..<count).map { Self.route(number, $0) }
            }
            return delta
        case .all, .failure: throw RouteScene.Away()
        }
    }

    func changesAvailable(atMost limit: Duration) async -> RouteHint {
        if isEager { return .quiet }
        state.change { $0.waits += 1 }
        await state.until { !$0.hints.isEmpty }
        return state.change { $0.hints.isEmpty ? .quiet : $0.hints.removeFirst() }
    }
}
