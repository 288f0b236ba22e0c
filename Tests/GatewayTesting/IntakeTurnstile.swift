package import Journal

/// What intake calls: the fakes of its ports let each call through here, so that a test can hold it up, and tell
/// afterwards what came before what.
package final class IntakeTurnstile: Sendable {
    package enum Call: String, Sendable, CaseIterable {
        case claim, record, rehearse, redriveRequests, replaySlice, threads, routes
        case read, confirm, rewind, renew
    }

    /// Something that happened, and up to where.
    package struct Step: Hashable, Sendable {
        package let call: Call
        package let position: JournalPosition

        package init(_ call: Call, _ position: JournalPosition) {
            self.call = call
            self.position = position
        }
    }

    private struct State {
        var held: Set<Call> = []
        var waiting: [Call: Int] = [:]
        var counts: [Call: Int] = [:]
        var history: [Step] = []
    }

    private let state = Watched(State())

    package init() {}

    /// How often something was called.
    package func count(of call: Call) -> Int { state.value.counts[call, default: 0] }

    /// What was done, in order: batches as they were committed, entries as they were read and confirmed.
    package var history: [Step] { state.value.history }
    package func note(_ step: Step) { state.change { $0.history.append(step) } }

    /// From now on such calls wait.
    package func hold(_ call: Call) { state.change { _ = $0.held.insert(call) } }
    package func release(_ call: Call) { state.change { _ = $0.held.remove(call) } }

    /// Returns once a call stands before the turnstile.
    package func untilHeld(_ call: Call) async { await state.until { $0.waiting[call, default: 0] > 0 } }
    package func untilCalled(_ call: Call, times: Int) async {
        await state.until { $0.counts[call, default: 0] >= times }
    }

    /// Returns once so much of `history` happened: a call counts before it is done.
    package func untilDone(_ count: Int) async { await state.until { $0.history.count >= count } }

    /// Waits while such calls are held, and no longer than the task lives.
    func pass(_ call: Call) async {
        state.change { state in
            state.counts[call, default: 0] += 1
            state.waiting[call, default: 0] += 1
        }
        await state.until { !$0.held.contains(call) }
        state.change { $0.waiting[call, default: 1] -= 1 }
    }
}
