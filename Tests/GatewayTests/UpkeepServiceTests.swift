import GatewayTesting
import Logging
import Operations
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(1))) struct UpkeepServiceTests {
    private struct Failure: Error, CustomStringConvertible {
        let description = "the disk is full"
    }

    @Test("keeps the database up at once and every six hours, and after a failure, which shows, before long")
    func paces() async throws {
        let (board, clock, runs) = (HealthBoard(), ManualClock(), Watched(0))
        let service = UpkeepService(
            clock: clock, health: board.register("upkeep", blocksAcknowledging: false, state: .ok),
            logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
        ) {
            let run = runs.change {
                $0 += 1
                return $0
            }
            if (2...3).contains(run) { throw Failure() }
        }
        let running = Task { try await service.run() }
        await clock.untilSomebodySleeps(for: UpkeepService.interval)
        #expect(runs.value == 1 && board.state(of: "upkeep") == .ok)
        clock.advance(by: UpkeepService.interval)
        await clock.untilSomebodySleeps(for: UpkeepService.firstPause)
        #expect(runs.value == 2)
        #expect(
            board.state(of: "upkeep") == .degraded(reason: "upkeep of the database failed: the disk is full"))
        #expect(board.report().canAcknowledge)
        clock.advance(by: UpkeepService.firstPause)
        await clock.untilSomebodySleeps(for: UpkeepService.firstPause * 2)
        clock.advance(by: UpkeepService.firstPause * 2)
        await clock.untilSomebodySleeps(for: UpkeepService.interval)
        #expect(runs.value == 4 && board.state(of: "upkeep") == .ok)
        running.cancel()
        try await running.value
        clock.advance(by: UpkeepService.interval)
    }
}
