import Dispatch
import Synchronization

/// Runs tasks a job at a time, in an order drawn from a seed: what hangs on the order in which tasks go on happens again
/// with the same seed. It holds for tasks within `run` and their children, not for unstructured ones they begin.
package final class SeededExecutor: TaskExecutor {
    private struct State {
        var generator: SeededGenerator
        var jobs: [UnownedJob] = []
        var isRunning = false
    }

    private let state: Mutex<State>
    private let queue = DispatchQueue(label: "seeded executor")

    package init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    /// Does something here, with the actors it calls.
    package func run<Result: Sendable>(_ body: @escaping @Sendable () async -> Result) async -> Result {
        await Task(executorPreference: self, operation: body).value
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        let isFirst = state.withLock { state in
            defer { state.isRunning = true }
            state.jobs.append(job)
            return !state.isRunning
        }
        if isFirst { queue.async { self.runJobs() } }
    }

    private func runJobs() {
        while let job = next() { job.runSynchronously(on: asUnownedTaskExecutor()) }
    }

    private func next() -> UnownedJob? {
        state.withLock { state in
            guard !state.jobs.isEmpty else {
                state.isRunning = false
                return nil
            }
            let chosen = Int.random(in: state.jobs.indices, using: &state.generator)
            state.jobs.swapAt(chosen, state.jobs.count - 1)
            return state.jobs.removeLast()
        }
    }
}
