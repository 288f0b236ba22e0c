/// Something that is done for all who ask, one run at a time: a run serves everybody who asked before it began. However
/// many ask while one is under way, one more follows it.
actor SharedRun {
    private var running: Task<Void, Never>?
    /// Not begun yet: whoever asks now is served by it.
    private var waiting: Task<Void, Never>?

    /// Returns when a run has ended that began after this call.
    /// - Parameter body: the same for all who ask: one of theirs is run.
    func callAsFunction(_ body: @escaping @Sendable () async -> Void) async {
        if let waiting { return await waiting.value }
        let previous = running
        // Not a child of the caller: others may wait for it.
        let task = Task {
            await previous?.value
            begin()
            await body()
        }
        waiting = task
        await task.value
    }

    private func begin() {
        running = waiting
        waiting = nil
    }
}

/// One at a time, in the order of arrival.
actor AsyncLock {
    private var isHeld = false
    private var waiting: [CheckedContinuation<Void, Never>] = []

    nonisolated func withLock<T: Sendable>(_ body: () async throws -> T) async throws -> T {
        await acquire()
        do {
            let value = try await body()
            await release()
            return value
        } catch {
            await release()
            throw error
        }
    }

    private func acquire() async {
        guard isHeld else {
            isHeld = true
            return
        }
        await withCheckedContinuation { waiting.append($0) }
    }

    private func release() {
        if waiting.isEmpty { isHeld = false } else { waiting.removeFirst().resume() }
    }
}
