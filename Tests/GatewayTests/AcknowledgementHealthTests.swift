import Operations
import Testing

@testable import Gateway

@Suite struct AcknowledgementHealthTests {
    private let board = HealthBoard()

    /// A gateway's parts, as they are told.
    private func report(
        database: HealthState = .ok, recording: HealthState = .ok, routes: HealthState = .ok, refusal: String? = nil
    ) -> HealthReport {
        for (name, state) in [("database", database), ("recording", recording), ("routes", routes)] {
            board.register(name, blocksAcknowledging: false).report(state)
        }
        let health = AcknowledgementHealth(board) { refusal }
        board.register("acknowledging", blocksAcknowledging: true) { health.state }
        return board.report()
    }

    @Test("webhooks can be acknowledged where everything works that recording needs, stale routes and all")
    func well() {
        #expect(report(routes: .degraded(reason: "old")).canAcknowledge)
    }

    @Test(
        "a database that is away, or recording that waits or has stopped, blocks, although nobody waited in vain",
        arguments: [HealthState.degraded(reason: "no answer"), .failed(reason: "no answer")],
        ["database", "recording"])
    func away(state: HealthState, name: String) {
        let report = name == "database" ? report(database: state) : report(recording: state)
        #expect(!report.canAcknowledge)
        let reason = "waits for \(name): no answer"
        #expect(report.components.last?.state.reason?.hasSuffix(reason) == true, "\(report.json)")
    }

    @Test("so do routes that were never loaded: nothing is recorded without")
    func unloaded() {
        #expect(!report(routes: .failed(reason: "starting")).canAcknowledge)
    }

    @Test("so does somebody who waited in vain, whatever the parts say, and parts nobody has told of yet")
    func refused() {
        #expect(report(refusal: "too late").components.last?.state == .failed(reason: "too late"))
        guard case .failed = AcknowledgementHealth(HealthBoard(), refusal: { nil }).state else {
            Issue.record("nothing is there, and all is well")
            return
        }
    }
}

extension HealthState {
    fileprivate var reason: String? {
        switch self {
        case .ok: nil
        case .degraded(let reason), .failed(let reason): reason
        }
    }
}
