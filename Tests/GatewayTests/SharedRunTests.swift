import GatewayTesting
import Testing

@testable import Gateway

@Suite(.timeLimit(.minutes(1))) struct SharedRunTests {
    private struct Runs {
        var begun = 0
        var ended = 0
        var asked = 0
        var mayEnd = false
    }

    @Test("those who ask while a run is under way share one more, which begins after they asked")
    func shared() async {
        let shared = SharedRun()
        let runs = Watched(Runs())
        let run: @Sendable () async -> Void = {
            runs.change { $0.begun += 1 }
            await runs.until { $0.mayEnd }
            runs.change { $0.ended += 1 }
        }
        let served = await withTaskGroup(of: Int?.self) { group in
            group.addTask {
                await shared(run)
                return nil
            }
            await runs.until { $0.begun == 1 }
            for _ in 0..<50 {
                group.addTask {
                    await shared.ask(for: run) { runs.change { $0.asked += 1 } }
                    return runs.value.ended
                }
            }
            await runs.until { $0.asked == 50 }
            runs.change { $0.mayEnd = true }
            return await group.compactMap(\.self).reduce(into: []) { $0.append($1) }
        }
        #expect(served == Array(repeating: 2, count: 50))
        #expect(runs.value.begun == 2)
    }
}

extension SharedRun {
    /// Tells that it asks, and asks, before anybody else has a turn.
    fileprivate func ask(for body: @escaping @Sendable () async -> Void, _ tell: @Sendable () -> Void) async {
        tell()
        await self(body)
    }
}
