import Synchronization
import Testing

@testable import Operations

@Suite struct HealthBoardTests {
    @Test func isReadyWhenNothingIsRegistered() {
        #expect(HealthBoard().report().canAcknowledge)
        #expect(HealthBoard().report().summary == "ready")
    }

    @Test func aPartThatStartsIsNotReadyUntilItSaysSo() {
        let board = HealthBoard()
        let journal = board.register("journal", blocksAcknowledging: true)
        #expect(!board.report().canAcknowledge)
        journal.report(.ok)
        #expect(board.report().canAcknowledge)
    }

    @Test(arguments: [
        (HealthState.ok, true, "ready"), (.degraded(reason: "slow"), true, "degraded"),
        (.failed(reason: "gone"), false, "unready"),
    ])
    func aPartThatBlocksDecides(state: HealthState, acknowledges: Bool, summary: String) {
        let board = HealthBoard()
        board.register("journal", blocksAcknowledging: true).report(state)
        #expect(board.report().canAcknowledge == acknowledges)
        #expect(board.report().summary == summary)
    }

    @Test(arguments: [HealthState.degraded(reason: "slow"), .failed(reason: "gone")])
    func aPartThatDoesNotBlockOnlyDegrades(state: HealthState) {
        let board = HealthBoard()
        board.register("postgres", blocksAcknowledging: false).report(state)
        #expect(board.report().canAcknowledge)
        #expect(board.report().summary == "degraded")
    }

    @Test func asksAtTheMomentOfTheReport() {
        let board = HealthBoard()
        let isFull = Atomic(false)
        board.register("journal", blocksAcknowledging: true) {
            isFull.load(ordering: .relaxed) ? .failed(reason: "full") : .ok
        }
        #expect(board.report().canAcknowledge)
        isFull.store(true, ordering: .relaxed)
        #expect(!board.report().canAcknowledge)
    }

    @Test func tellsHowOnePartIs() {
        let board = HealthBoard()
        board.register("journal", blocksAcknowledging: true).report(.degraded(reason: "slow"))
        board.register("routes", blocksAcknowledging: false) { .ok }
        #expect(board.state(of: "journal") == .degraded(reason: "slow"))
        #expect(board.state(of: "routes") == .ok)
        #expect(board.state(of: "nothing") == nil)
    }

    @Test func namesWhatIsDegradedInItsBody() {
        let board = HealthBoard()
        board.register("journal", blocksAcknowledging: true).report(.ok)
        board.register("postgres", blocksAcknowledging: false)
            .report(.failed(reason: "no connection to \"db\"\nsee DATABASE_URL"))
        #expect(
            board.report().json
                == #"{"status":"degraded","can_acknowledge":true,"degraded":["postgres"],"components":["#
                + #"{"name":"journal","state":"ok","blocks_acknowledging":true},"#
                + #"{"name":"postgres","state":"failed","blocks_acknowledging":false,"#
                + #""reason":"no connection to \"db\"\nsee DATABASE_URL"}]}"# + "\n")
    }

    @Test func showsItsStatesAsMetrics() {
        let board = HealthBoard()
        board.register("journal", blocksAcknowledging: true).report(.ok)
        board.register("postgres", blocksAcknowledging: false).report(.failed(reason: "gone"))
        let registry = PrometheusRegistry(descriptions: HealthBoard.descriptions)
        registry.collect(board.samples)
        #expect(registry.lines("gateway_ready") == ["gateway_ready 1"])
        #expect(
            registry.lines("gateway_component_state") == [
                "gateway_component_state{component=\"journal\"} 0",
                "gateway_component_state{component=\"postgres\"} 2",
            ])
    }

    @Test func takesReportsFromManyThreads() async {
        let board = HealthBoard()
        let parts = (0..<8).map { board.register("part\($0)", blocksAcknowledging: true) }
        await withTaskGroup(of: Void.self) { group in
            for part in parts {
                group.addTask {
                    for _ in 0..<200 { part.report(.failed(reason: "x")) }
                    part.report(.ok)
                }
            }
        }
        #expect(board.report().summary == "ready")
    }
}
