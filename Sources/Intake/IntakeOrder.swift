import Journal
import Messaging
import Routing

// A webhook of several updates is applied in its own order, also when one of them changes an identity that the others
// are decided by: in steps, within one transaction. Whatever goes wrong between two steps undoes them all.

/// Something that is recorded in steps.
private struct OrderedRecording {
    /// What the batches of all steps have in common.
    var batch: RecordBatch
    var steps: [Step]
    var receivedAt: Timestamp

    enum Step {
        case changes((BatchPlanner) -> [RecordedIdentityChange])
        case updates((BatchPlanner, inout BatchPlanner.Draft, inout IdentifierGenerator) -> Void)
    }

    /// What the steps so far came to.
    struct Progress {
        var outcome = RecordOutcome(counts: VerdictCounts())
        /// Verdicts that needed no database.
        var decided = VerdictCounts()
        var ignored = IgnoredUpdates()

        mutating func add(_ next: RecordOutcome, _ draft: BatchPlanner.Draft) {
            outcome.counts += next.counts
            outcome.peopleResolved += next.peopleResolved
            outcome.identityConflicts += next.identityConflicts
            outcome.isIdentityNews = outcome.isIdentityNews || next.isIdentityNews
            decided += draft.counts
            ignored += draft.ignored
        }
    }

    enum Ending {
        case recorded(Progress)
        case fenced(Checkpoint?)
    }

    /// The batch of a step, still without its updates.
    func draft(of step: Int) -> BatchPlanner.Draft {
        var batch = batch
        switch (step == 0, step == steps.count - 1) {
        case (true, true): batch.phase = .whole
        case (true, false): batch.phase = .opens
        case (false, false): batch.phase = .continues
        case (false, true): batch.phase = .closes
        }
        if step < steps.count - 1 { batch.redriven = [] }
        return BatchPlanner.Draft(batch: batch)
    }
}

extension BatchPlanner.Draft {
    /// Gives the webhook the verdicts of the steps so far: in the last one, of all.
    fileprivate mutating func complete(with progress: OrderedRecording.Progress) {
        guard !batch.webhooks.isEmpty else { return }
        batch.webhooks[0].statuses = progress.decided.status + counts.status
        batch.webhooks[0].ignored = progress.decided.ignored + counts.ignored
        batch.webhooks[0].parked = progress.decided.parked + counts.parked
        batch.webhooks[0].earlier = progress.outcome.counts
    }
}

extension Intake {
    /// Records one webhook step by step.
    func recordInOrder(
        _ entry: DecodedEntry, _ parts: [RecordingStep], _ planner: BatchPlanner, refusing refused: Refusals,
        isRehearsal: Bool
    ) async throws(Interruption) {
        var batch = RecordBatch(journal: checkpointNumber, owner: owner, after: fence, upTo: entry.position)
        batch.isRehearsal = isRehearsal
        batch.webhooks = [
            RecordedWebhook(
                position: entry.position, envelope: entry.envelope, event: entry.webhook.event,
                updates: entry.webhook.updates.count, statuses: 0, ignored: 0, parked: 0)
        ]
        let steps = parts.compactMap { part -> OrderedRecording.Step? in
            switch part {
            case .changes(let index) where refused[entry.position, index] != nil: nil
            case .changes(let index): .changes { $0.identityChanges(of: entry.webhook.updates[index]) }
            case .updates(let range): .updates { $0.add(entry, range, refusing: refused, to: &$1, using: &$2) }
            }
        }
        try await record(
            OrderedRecording(batch: batch, steps: steps, receivedAt: entry.envelope.receivedAt), planner)
    }

    /// Tries a parked message again that announces a change.
    func redriveInOrder(
        _ update: InboundEvent, at place: BatchPlanner.Place, _ batch: RecordBatch, _ planner: BatchPlanner
    ) async throws(Interruption) {
        let steps: [OrderedRecording.Step] = [
            .changes { $0.identityChanges(of: update) }, .updates { $0.add(update, at: place, to: &$1, using: &$2) },
        ]
        try await record(OrderedRecording(batch: batch, steps: steps, receivedAt: place.receivedAt), planner)
    }

    /// Tries until it is recorded, or refused for its data.
    private func record(
        _ recording: OrderedRecording, _ planner: BatchPlanner
    ) async throws(Interruption) {
        let isRehearsal = recording.batch.isRehearsal
        var planner = isRehearsal ? planner : try await current(planner)
        var attempt = 0
        while true {
            if Task.isCancelled { throw .cancelled }
            // Of the table only the endpoints count: it cannot know what the steps do.
            planner.asksDatabase = true
            switch await attempted(recording, planner) {
            case .success(.recorded(let progress)):
                guard !isRehearsal else { return }
                return await finish(
                    recording.batch, progress.outcome, besides: progress.decided, progress.ignored,
                    receivedAt: recording.receivedAt)
            case .success(.fenced(let checkpoint)): throw .fenced(isForeign: isForeign(checkpoint))
            case .failure(let error):
                await recorder.abandon()
                if let sqlState = error.refusal { throw .refused(sqlState: sqlState) }
                attempt += 1
                try await pause(reason: error.reason, attempt: attempt)
                if !isRehearsal { planner = try await makePlanner(planner.rules) }
            }
        }
    }

    private func attempted(
        _ recording: OrderedRecording, _ planner: BatchPlanner
    ) async -> Result<OrderedRecording.Ending, RecorderError> {
        do throws(RecorderError) {
            var progress = OrderedRecording.Progress()
            for (number, step) in recording.steps.enumerated() {
                var draft = recording.draft(of: number)
                planner.noteGenerations(in: &draft)
                switch step {
                case .changes(let changes): draft.batch.identityChanges = changes(planner)
                case .updates(let add): add(planner, &draft, &generator)
                }
                draft = try await answered(draft, planner)
                draft.complete(with: progress)
                switch try await recorded(&draft, planner) {
                case .recorded(let outcome) where outcome.wasCommittedBefore:
                    return .success(.recorded(.init(outcome: outcome)))
                case .recorded(let outcome): progress.add(outcome, draft)
                case .fenced(let checkpoint): return .success(.fenced(checkpoint))
                case .staleRoutes: throw .unavailable(Self.routesChangeTooFast)
                }
            }
            return .success(.recorded(progress))
        } catch {
            return .failure(error)
        }
    }

    /// Records a batch; messages whose routes do not hold are resolved again, a few times.
    func recorded(
        _ draft: inout BatchPlanner.Draft, _ planner: BatchPlanner
    ) async throws(RecorderError) -> RecordResult {
        var result = try await recorder.record(draft.batch)
        for _ in 0..<Self.staleAttemptsMax {
            guard case .staleRoutes(let stale) = result else { return result }
            observer.observe(.staleRoutes(messages: stale.count))
            planner.resolveAgain(stale, in: &draft, using: &generator)
            draft = try await answered(draft, planner)
            result = try await recorder.record(draft.batch)
        }
        return result
    }
}
