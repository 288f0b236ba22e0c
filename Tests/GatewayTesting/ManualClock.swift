/// A clock that moves when the test says so.
package final class ManualClock: Clock {
    package struct Instant: InstantProtocol {
        package let sinceStart: Duration
        package func advanced(by duration: Duration) -> Instant { Instant(sinceStart: sinceStart + duration) }
        package func duration(to other: Instant) -> Duration { other.sinceStart - sinceStart }
        package static func < (a: Instant, b: Instant) -> Bool { a.sinceStart < b.sinceStart }
    }

    private struct State {
        var now = Instant(sinceStart: .zero)
        var sleepers: [Int: Instant] = [:]
        var nextID = 0

        mutating func move(to moment: Instant) {
            now = max(now, moment)
            sleepers = sleepers.filter { $0.value > moment }
        }
    }

    private let state = Watched(State())

    package init() {}

    package var now: Instant { state.value.now }
    package var minimumResolution: Duration { .nanoseconds(1) }

    package func sleep(until deadline: Instant, tolerance: Duration?) async throws {
        try Task.checkCancellation()
        let id = state.change { state in
            state.nextID += 1
            if deadline > state.now { state.sleepers[state.nextID] = deadline }
            return state.nextID
        }
        await state.until { $0.now >= deadline }
        state.change { $0.sleepers[id] = nil }
        try Task.checkCancellation()
    }

    /// Moves on, and wakes those whose time has come.
    package func advance(by duration: Duration) {
        state.change { $0.move(to: $0.now.advanced(by: duration)) }
    }

    /// Waits until somebody sleeps for just this long, counted from now.
    package func untilSomebodySleeps(for duration: Duration) async {
        await state.until { state in
            state.sleepers.values.contains { state.now.duration(to: $0) == duration }
        }
    }

    /// Whenever somebody sleeps, moves on to when the first of them wakes; until the task is cancelled.
    package func keepAdvancing() async {
        while !Task.isCancelled {
            await state.until { !$0.sleepers.isEmpty }
            state.change { state in
                if let next = state.sleepers.values.min() { state.move(to: next) }
            }
            await Task.yield()
        }
    }
}
