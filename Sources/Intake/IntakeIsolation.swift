import Messaging
import Routing

// One bad record never stops the rest (I4): what the data is to blame for is found by halving, and parked. So is what
// cannot be decided together, because the database makes one person of two by one part of it, and has another decided
// by the one who is gone: by itself, after what came before it, a message is decided by who its sender is then.

extension Intake {
    /// Lets a stopped intake try again now, and park as many refused webhooks again: somebody has looked.
    public func resume() {
        guard let stoppage else { return }
        refusalsInARow = 0
        stoppage.cancel()
    }

    /// Records these entries. What is cancelled or fenced leaves those not yet recorded to the journal.
    func settled(_ entries: ArraySlice<DecodedEntry>) async -> Result<Void, Interruption> {
        do throws(Interruption) {
            return .success(try await settle(entries))
        } catch {
            return .failure(error)
        }
    }

    /// Records these entries: together, or, where the data of one is refused or they do not go together, by halves,
    /// parking what remains.
    private func settle(_ entries: ArraySlice<DecodedEntry>) async throws(Interruption) {
        var rest = entries
        var decidedAnew = 0
        while !rest.isEmpty {
            let planner = try await makePlanner()
            // What hangs on an identity that is only just being learnt is decided once that is recorded.
            let run = rest.prefix(
                rest.countTogether(table: planner.resolver.table, asksDatabase: planner.asksDatabase))
            let refusal = try await attempt(run, planner)
            if refusal == RecorderError.outdatedState, decidedAnew < limits.decidedAnewMax {
                decidedAnew += 1
                try await pause(reason: "people became others while their messages waited", attempt: decidedAnew)
                continue
            }
            decidedAnew = 0
            rest = rest.dropFirst(run.count)
            guard let refusal else {
                refusalsInARow = 0
                continue
            }
            if run.count > 1 {
                let middle = run.startIndex + run.count / 2
                try await settle(run[..<middle])
                try await settle(run[middle...])
            } else if let entry = run.first {
                try await isolate(entry, refusal)
            }
        }
    }

    /// One attempt that ends: recorded (`nil`), or refused (the SQLSTATE).
    /// - Parameters:
    ///   - refused: updates that are parked instead.
    ///   - isRehearsal: nothing of it is kept.
    private func attempt(
        _ entries: ArraySlice<DecodedEntry>, _ planner: BatchPlanner, refusing refused: Refusals = .none,
        isRehearsal: Bool = false
    ) async throws(Interruption) -> String? {
        let only = entries.count == 1 ? entries.first : nil
        let sqlState = try await refusal { () async throws(Interruption) in
            if let only {
                let steps = only.steps(table: planner.resolver.table, asksDatabase: planner.asksDatabase)
                guard steps.count == 1 else {
                    return try await recordInOrder(only, steps, planner, refusing: refused, isRehearsal: isRehearsal)
                }
            }
            let receivedAt = entries.last?.envelope.receivedAt ?? now()
            try await commit(planner, receivedAt: receivedAt, isRehearsal: isRehearsal) { planner in
                plan(entries, planner, refusing: refused)
            }
        }
        // One of its updates may have taught what another was decided without.
        guard sqlState == RecorderError.outdatedState, let only, only.webhook.updates.count > 1 else { return sqlState }
        return try await refusal { () async throws(Interruption) in
            try await recordInOrder(only, only.stepsApart, planner, refusing: refused, isRehearsal: isRehearsal)
        }
    }

    /// Records one webhook that was refused without the updates that are to blame. Stops where too many were refused
    /// one after the other, and where no update is to blame.
    private func isolate(_ entry: DecodedEntry, _ refusal: String) async throws(Interruption) {
        var sqlState = refusal
        while true {
            if refusalsInARow < limits.parksInARowMax {
                guard let again = try await parkRefused(of: entry) else { return }
                sqlState = again
            }
            try await stop(sqlState)
            guard let again = try await attempt([entry][...], makePlanner()) else {
                refusalsInARow = 0
                return
            }
            sqlState = again
        }
    }

    /// Parks the updates of a webhook that the database refuses, and records the others.
    /// - Returns: the SQLSTATE, if it is refused even so.
    private func parkRefused(of entry: DecodedEntry) async throws(Interruption) -> String? {
        // One table for all: an endpoint that becomes known meanwhile makes a message of what would only be parked.
        let planner = try await makePlanner()
        var refused = Refusals()
        if try await rehearse(entry, upTo: 0, without: refused, planner) == nil {
            try await findRefused(entry, entry.webhook.updates.indices, &refused, planner)
        }
        if let sqlState = try await attempt([entry][...], planner, refusing: refused) { return sqlState }
        refusalsInARow = refused.isEmpty ? 0 : refusalsInARow + 1
        for index in entry.webhook.updates.indices {
            guard let state = refused[entry.position, index] else { continue }
            observer.observe(.parked(position: entry.position, index: index, sqlState: state))
        }
        return nil
    }

    /// Finds what the database refuses among some updates, each of them after what is recorded before it: what it comes
    /// to may hang on that.
    private func findRefused(
        _ entry: DecodedEntry, _ range: Range<Int>, _ refused: inout Refusals, _ planner: BatchPlanner
    ) async throws(Interruption) {
        guard let state = try await rehearse(entry, upTo: range.upperBound, without: refused, planner) else { return }
        guard range.count > 1 else {
            // What came before it went through a moment ago; does it no longer, this one is not to blame.
            if try await rehearse(entry, upTo: range.lowerBound, without: refused, planner) == nil {
                refused[entry.position, range.lowerBound] = state
            }
            return
        }
        let middle = range.lowerBound + range.count / 2
        try await findRefused(entry, range.lowerBound..<middle, &refused, planner)
        try await findRefused(entry, middle..<range.upperBound, &refused, planner)
    }

    /// Tries the first updates of a webhook, and keeps nothing. Those found already are left out: parked beside the
    /// others they would carry the whole body once more.
    private func rehearse(
        _ entry: DecodedEntry, upTo end: Int, without refused: Refusals, _ planner: BatchPlanner
    ) async throws(Interruption) -> String? {
        var part = entry
        part.webhook.updates = entry.webhook.updates[..<end].enumerated()
            .filter { refused[entry.position, $0.offset] == nil }.map(\.element)
        return try await attempt([part][...], planner, isRehearsal: true)
    }

    private func stop(_ sqlState: String) async throws(Interruption) {
        observer.observe(.stopped(refusals: max(1, refusalsInARow), sqlState: sqlState))
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
