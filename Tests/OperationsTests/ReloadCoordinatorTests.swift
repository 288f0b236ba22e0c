import Logging
import Synchronization
import Testing

@testable import Operations

@Suite struct ReloadCoordinatorTests {
    private struct Broken: Error, CustomStringConvertible {
        let description = "routing-rules/10-stop.yaml:3:5: unknown key"
    }

    @Test func eachKindSwapsOrStaysForItself() async {
        let registry = PrometheusRegistry()
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: registry,
            actions: [
                .certificates: ({ 1 }, { _ in ReloadReceipt(generation: 2, summary: "1 certificate") }),
                .rules: ({ 4 }, { _ in throw Broken() }),
                .routes: ({ 7 }, { _ in ReloadReceipt(generation: 7, summary: "3 routes") }),
            ])
        registry.collect { coordinator.samples }
        let results = await coordinator.reload()
        #expect(
            results == [
                ReloadResult(
                    kind: .certificates, outcome: .swapped(ReloadReceipt(generation: 2, summary: "1 certificate"))),
                ReloadResult(
                    kind: .rules, outcome: .rejected(reason: "routing-rules/10-stop.yaml:3:5: unknown key")),
                ReloadResult(kind: .routes, outcome: .unchanged(ReloadReceipt(generation: 7, summary: "3 routes"))),
            ])
        #expect(
            registry.lines("gateway_generation") == [
                "gateway_generation{kind=\"certificates\"} 1", "gateway_generation{kind=\"rules\"} 4",
                "gateway_generation{kind=\"routes\"} 7",
            ])
        #expect(
            registry.lines("gateway_reloads_total").filter { !$0.hasSuffix(" 0") } == [
                "gateway_reloads_total{kind=\"certificates\",result=\"swapped\"} 1",
                "gateway_reloads_total{kind=\"routes\",result=\"unchanged\"} 1",
                "gateway_reloads_total{kind=\"rules\",result=\"rejected\"} 1",
            ])
    }

    @Test func showsTheGenerationThatIsLiveAlsoWhereItMovesBetweenReloads() async {
        let registry = PrometheusRegistry()
        let live = Atomic<Int64>(0)
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: registry,
            actions: [
                .routes: (
                    { live.load(ordering: .relaxed) },
                    { _ in
                        live.store(6, ordering: .relaxed)
                        return ReloadReceipt(generation: 6, summary: "")
                    }
                )
            ])
        registry.collect { coordinator.samples }
        #expect(registry.lines("gateway_generation") == ["gateway_generation{kind=\"routes\"} 0"])
        live.store(5, ordering: .relaxed)
        #expect(registry.lines("gateway_generation") == ["gateway_generation{kind=\"routes\"} 5"])
        #expect(
            await coordinator.reload() == [
                ReloadResult(kind: .routes, outcome: .swapped(ReloadReceipt(generation: 6, summary: "")))
            ])
        #expect(registry.lines("gateway_generation") == ["gateway_generation{kind=\"routes\"} 6"])
    }

    @Test func reloadsOnlyWhatIsAskedAndWhatThereIs() async {
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: PrometheusRegistry(),
            actions: [.rules: ({ 1 }, { _ in ReloadReceipt(generation: 2, summary: "") })])
        #expect(await coordinator.reload([.certificates]).isEmpty)
        #expect(await coordinator.reload([.rules, .routes]).map(\.kind) == [.rules])
    }

    @Test func certificatesDoNotWaitForRoutes() async {
        let gate = Gate()
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: PrometheusRegistry(),
            actions: [
                .certificates: ({ 1 }, { _ in ReloadReceipt(generation: 2, summary: "") }),
                .routes: (
                    { 1 },
                    { _ in
                        await gate.pass()
                        return ReloadReceipt(generation: 2, summary: "")
                    }
                ),
            ])
        async let routes = coordinator.reload([.routes])
        await gate.arrival()
        // The routes hang at the gate; were the kinds one after another, this would never return.
        #expect(await coordinator.reload([.certificates]).map(\.kind) == [.certificates])
        gate.open()
        #expect(await routes.map(\.kind) == [.routes])
    }

    @Test func neverRunsOneKindTwiceAtOnceAndServesManyRequestsByOneMoreRun() async {
        let gate = Gate()
        let inside = Atomic(0)
        let runs = Atomic(0)
        let overlaps = Atomic(0)
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: PrometheusRegistry(),
            actions: [
                .rules: (
                    { 0 },
                    { _ in
                        if inside.add(1, ordering: .relaxed).newValue > 1 { overlaps.add(1, ordering: .relaxed) }
                        let run = runs.add(1, ordering: .relaxed).newValue
                        await gate.pass()
                        // Room for another run to come in, if one could.
                        for _ in 0..<100 { await Task.yield() }
                        inside.subtract(1, ordering: .relaxed)
                        return ReloadReceipt(generation: Int64(run), summary: "")
                    }
                )
            ])
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await coordinator.reload() }
            await gate.arrival()
            for _ in 0..<100 { group.addTask { await coordinator.reload() } }
            // Some may come only after the gate is open; each is then served by a run of its own at most.
            gate.open()
            await group.waitForAll()
        }
        #expect(overlaps.load(ordering: .relaxed) == 0)
        let count = runs.load(ordering: .relaxed)
        #expect((2...101).contains(count))
        let last = await coordinator.reload()
        #expect(
            last == [
                ReloadResult(kind: .rules, outcome: .swapped(ReloadReceipt(generation: Int64(count + 1), summary: "")))
            ])
    }

    @Test func tellsEachRunWhoAskedForItEachOnce() async {
        let gate = Gate()
        let runs = Mutex<[[String]]>([])
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }, metrics: PrometheusRegistry(),
            actions: [
                .rules: (
                    { 0 },
                    { actors in
                        runs.withLock { $0.append(actors.map(\.name)) }
                        await gate.pass()
                        return ReloadReceipt(generation: 1, summary: "")
                    }
                )
            ])
        let admin = ReloadActor(name: "administrator")
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await coordinator.reload() }
            await gate.arrival()
            for actor in [admin, .signal, admin] { group.addTask { await coordinator.reload(by: actor) } }
            gate.open()
            await group.waitForAll()
        }
        await coordinator.reload(by: admin)
        let told = runs.withLock { $0 }
        #expect(told.first == ["SIGHUP"] && told.last == ["administrator"])
        // Some may come only after the gate is open; whoever shares a run is named once.
        #expect(told.allSatisfy { Set($0).count == $0.count && !$0.isEmpty })
        #expect(told.dropFirst().dropLast().joined().contains("administrator"))
    }

    @Test func logsOneLineForEachKindWithTheReason() async {
        let lines = Mutex<[String]>([])
        let output = LogOutput { line in lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
        let coordinator = ReloadCoordinator(
            logger: Logger(label: "reload") { JSONLogHandler(label: $0, output: output) },
            metrics: PrometheusRegistry(),
            actions: [
                .rules: ({ 1 }, { _ in throw Broken() }),
                .certificates: ({ 1 }, { _ in ReloadReceipt(generation: 2, summary: "expires 2026-06-01") }),
            ])
        await coordinator.reload()
        let logged = lines.withLock { $0 }
        #expect(logged.count == 2)
        let rules = logged.first { $0.contains("rules") } ?? ""
        #expect(rules.contains("\"level\":\"error\""))
        #expect(rules.contains("routing-rules/10-stop.yaml:3:5: unknown key"))
        let certificates = logged.first { $0.contains("certificates") } ?? ""
        #expect(certificates.contains("expires 2026-06-01"))
        #expect(certificates.contains("\"generation\":\"2\""))
    }
}

/// Holds whoever passes until it is opened, and tells when the first has come.
private final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var hasArrived = false
        var held: [CheckedContinuation<Void, Never>] = []
        var watchers: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    func pass() async {
        await withCheckedContinuation { continuation in
            let (passes, watchers) = state.withLock { state in
                state.hasArrived = true
                let watchers = state.watchers
                state.watchers = []
                if !state.isOpen { state.held.append(continuation) }
                return (state.isOpen, watchers)
            }
            watchers.forEach { $0.resume() }
            if passes { continuation.resume() }
        }
    }

    func arrival() async {
        await withCheckedContinuation { continuation in
            let hasArrived = state.withLock { state in
                if !state.hasArrived { state.watchers.append(continuation) }
                return state.hasArrived
            }
            if hasArrived { continuation.resume() }
        }
    }

    func open() {
        let held = state.withLock { state in
            state.isOpen = true
            defer { state.held = [] }
            return state.held
        }
        held.forEach { $0.resume() }
    }
}
