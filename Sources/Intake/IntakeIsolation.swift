import Messaging

// One bad record never stops the rest (I4): what the data is to blame for is found by halving, and parked.

extension Intake {
    /// Lets a stopped intake try again now, and park as many refused webhooks again: somebody has looked.
    public func resume() {
        guard let stoppage else { return }
        refusalsInARow = 0
        stoppage.cancel()
    }

    /// Finds the updates of one webhook that the database refuses, and records it with those parked.
    func isolate(_ entry: DecodedEntry, _ refusal: String) async throws(Interruption) {
        var sqlState = refusal
        while refusalsInARow >= limits.parksInARowMax {
            try await stop(sqlState)
            guard let again = try await attempt([entry][...], refusing: .none) else {
                refusalsInARow = 0
                return
            }
            sqlState = again
        }
        refusalsInARow += 1
        var refused = Refusals()
        try await findRefused(entry, entry.webhook.updates.indices, &refused)
        if try await attempt([entry][...], refusing: refused) != nil {
            // The parts went through one by one and still not together: park them all, so that the stream goes on.
            for index in entry.webhook.updates.indices { refused[entry.position, index] = sqlState }
            while let state = try await attempt([entry][...], refusing: refused) { try await stop(state) }
        }
        for index in entry.webhook.updates.indices {
            guard let state = refused[entry.position, index] else { continue }
            observer.observe(.parked(position: entry.position, index: index, sqlState: state))
        }
    }

    private func findRefused(
        _ entry: DecodedEntry, _ range: Range<Int>, _ refused: inout Refusals
    ) async throws(Interruption) {
        // Only the part in question is tried: what is parked beside it would carry the whole body once more.
        var part = entry
        part.webhook.updates = Array(entry.webhook.updates[range])
        guard let state = try await attempt([part][...], refusing: .none, isRehearsal: true) else { return }
        guard range.count > 1 else {
            refused[entry.position, range.lowerBound] = state
            return
        }
        let middle = range.lowerBound + range.count / 2
        try await findRefused(entry, range.lowerBound..<middle, &refused)
        try await findRefused(entry, middle..<range.upperBound, &refused)
    }

    private func stop(_ sqlState: String) async throws(Interruption) {
        observer.observe(.stopped(refusals: refusalsInARow, sqlState: sqlState))
        let pause = Task { [clock, delay = limits.stoppedDelay] in _ = try? await clock.sleep(for: delay) }
        stoppage = pause
        await withTaskCancellationHandler {
            await pause.value
        } onCancel: {
            pause.cancel()
        }
        stoppage = nil
        if Task.isCancelled { throw .cancelled }
        observer.observe(.resumed)
    }
}
