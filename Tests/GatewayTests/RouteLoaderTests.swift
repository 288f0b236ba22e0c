import GatewayTesting
import Logging
import Messaging
import Operations
import Routing
import Testing

@testable import Gateway

@Suite struct RouteLoaderTests {
    @Test("loads everything first, then changes")
    func delta() async throws {
        let scene = RouteScene(.all([1]), .changes([2: 2]))
        try await scene.run { await scene.source.untilAsked(times: 3) }
        #expect(scene.leases == [1: 1, 2: 2])
        #expect(scene.source.asked == [.all, .changes("1"), .changes("2")])
        #expect(scene.board.report().components.allSatisfy { $0.state == .ok })
    }

    @Test("loads everything again when the changes no longer reach back")
    func expired() async throws {
        let scene = RouteScene(.all([1]), .expired, .all([2]))
        try await scene.run { await scene.source.untilAsked(times: 4) }
        #expect(scene.leases == [2: 1])
        #expect(scene.source.asked == [.all, .changes("1"), .all, .changes("3")])
    }

    @Test("keeps the table while the database fails, says so, and goes on where it was")
    func failing() async throws {
        let scene = RouteScene(.all([1]), .failure, .changes([2: 1]))
        scene.source.hold(from: 3)
        try await scene.run {
            await scene.source.untilAsked(times: 3)
            #expect(scene.leases == [1: 1])
            #expect(scene.state("routes") == .degraded(reason: "routes cannot be read from the database: away"))
            #expect(scene.state("database") == .degraded(reason: "the database does not answer: away"))
            scene.source.release()
            await scene.source.untilAsked(times: 4)
        }
        #expect(scene.leases == [1: 1, 2: 1])
        #expect(scene.source.asked == [.all, .changes("1"), .changes("1"), .changes("3")])
        #expect(scene.state("routes") == .ok && scene.state("database") == .ok)
    }

    @Test("has failed, and publishes no table, until the first load is done")
    func neverLoaded() async throws {
        let scene = RouteScene(.failure, .all([1]))
        scene.source.hold(from: 2)
        try await scene.run {
            await scene.source.untilAsked(times: 2)
            #expect(scene.loader.table.snapshot == nil)
            #expect(scene.state("routes") == .failed(reason: "routes cannot be read from the database: away"))
        }
    }

    @Test("reloads everything on demand, and a reload that fails leaves the table")
    func reload() async throws {
        let scene = RouteScene(.all([1]), .all([1, 1]), .failure, .all([3]))
        #expect(try await scene.loader.reload() == ReloadReceipt(generation: 1, summary: "1 routes"))
        #expect(try await scene.loader.reload() == ReloadReceipt(generation: 2, summary: "2 routes"))
        await #expect(throws: RouteScene.Away.self) { _ = try await scene.loader.reload() }
        #expect(scene.leases == [1: 2])
        #expect(try await scene.loader.reload().generation == 3)
        #expect(scene.leases == [3: 1])
    }
}

/// A loader over a source that answers by a script.
struct RouteScene: Sendable {
    let source: ScriptedRouteSource
    let board = HealthBoard()
    let loader: RouteLoader

    struct Away: Error, CustomStringConvertible {
        let description = "away"
    }

    init(_ answers: ScriptedRouteSource.Answer...) {
        source = ScriptedRouteSource(answers)
        loader = RouteLoader(
            source: source, pollSeconds: 0, health: board.register("routes", blocksAcknowledging: false),
            database: board.register("database", blocksAcknowledging: false),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
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

    func state(_ component: String) -> HealthState? {
        board.report().components.first { $0.name == component }?.state
    }

    /// Polls while `body` runs.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let polling = Task { try await loader.run() }
        defer { polling.cancel() }
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
    }

    private let state: Watched<State>

    init(_ answers: [Answer]) { state = Watched(State(answers: answers)) }

    var asked: [Question] { state.value.asked }

    /// The call of this number, from 1, and those after it wait.
    func hold(from call: Int) { state.change { $0.heldFrom = call } }
    func release() { state.change { $0.heldFrom = .max } }
    func untilAsked(times: Int) async { await state.until { $0.asked.count >= times } }

    static func key(_ number: UInt64) -> PhoneKey { PhoneKey(folded: 447_911_000_000 + number) }

    private static func route(_ number: UInt64, _ lease: Int) -> Route {
        Route(
            key: key(number), landlordID: UniqueID(high: 1, low: number), tenantID: UniqueID(high: 2, low: number),
            leaseID: UniqueID(high: UInt64(lease), low: number), propertyID: nil, validFrom: nil, validUntil: nil,
            isActive: true, learntAt: Timestamp(seconds: 0))
    }

    /// The answer to a question, and the cursor that goes with it: the number of the call.
    private func next(_ question: Question) async throws -> (answer: Answer, cursor: RouteCursor) {
        let call = state.change { state in
            state.asked.append(question)
            return state.asked.count
        }
        await state.until { call < $0.heldFrom }
        let answer = state.change { $0.answers.isEmpty ? nil : $0.answers.removeFirst() }
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
}
