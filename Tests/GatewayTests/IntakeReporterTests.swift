import Intake
import Journal
import Logging
import Messaging
import Operations
import Testing

@testable import Gateway

@Suite struct IntakeReporterTests {
    private static func scene() -> (reporter: IntakeReporter, board: HealthBoard) {
        let board = HealthBoard()
        let reporter = IntakeReporter(
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            health: board.register("recording", blocksAcknowledging: false))
        return (reporter, board)
    }

    private static func recorded(_ webhooks: Int) -> IntakeEvent {
        .recorded(
            webhooks: webhooks, counts: VerdictCounts(), receivedAt: Timestamp(seconds: 0),
            outcome: RecordOutcome(counts: VerdictCounts()))
    }

    @Test("is starting until journal and checkpoint agree, degraded while a batch waits, well after a commit")
    func waiting() {
        let (reporter, board) = Self.scene()
        #expect(board.report().components[0].state == .failed(reason: "starting"))
        reporter.observe(.reconciled(.begin))
        #expect(board.report().components[0].state == .ok)
        reporter.observe(.retrying(reason: "the disk is full", delay: .seconds(1)))
        #expect(board.report().components[0].state == .degraded(reason: "recording waits: the disk is full"))
        reporter.observe(Self.recorded(1))
        #expect(board.report().components[0].state == .ok)
    }

    @Test("is well after a parked update that had to wait was settled, also when nothing else comes")
    func redriven() {
        let (reporter, board) = Self.scene()
        reporter.observe(.retrying(reason: "the routing table is not loaded yet", delay: .seconds(1)))
        reporter.observe(Self.recorded(0))
        #expect(board.report().components[0].state == .ok)
    }

    @Test("is well after a replay that had to wait went on, also when nothing else comes")
    func replayed() {
        let (reporter, board) = Self.scene()
        reporter.observe(.retrying(reason: "the database went away", delay: .seconds(1)))
        reporter.observe(.replayed(ReplayOutcome()))
        #expect(board.report().components[0].state == .ok)
    }

    @Test("is well once nothing is left to be tried again, whatever it was")
    func recovered() {
        let (reporter, board) = Self.scene()
        reporter.observe(.retrying(reason: "the journal cannot be read", delay: .seconds(1)))
        reporter.observe(.recovered)
        #expect(board.report().components[0].state == .ok)
    }

    @Test("has failed while recording is stopped, says what to do, and does not stop webhooks from being taken")
    func stopped() {
        let (reporter, board) = Self.scene()
        reporter.observe(.stopped(refusals: 50, sqlState: "22P02"))
        guard case .failed(let reason) = board.report().components[0].state else {
            Issue.record("not failed: \(board.report().json)")
            return
        }
        #expect(reason.contains("50") && reason.contains("22P02") && reason.contains("SIGHUP"))
        #expect(board.report().canAcknowledge)
        reporter.observe(Self.recorded(1))
        #expect(board.report().components[0].state == .ok)
    }

    @Test("keeps what was counted first under its own name, and what is new after the limit under one")
    func labels() {
        let limit = LabelLimit(countMax: 2)
        #expect(
            ["errors", "group", "vps:a", "errors", "vps:b"].map(limit.bounded) == [
                "errors", "group", "other", "errors", "other",
            ])
    }
}
