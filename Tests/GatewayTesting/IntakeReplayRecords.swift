import Intake
import Journal
import Messaging

// Replays, as the database does them.

extension IntakeRecords {
    func replaySlice(limit: Int) -> ReplaySlice? {
        guard let request = replays.firstIndex(where: { !$0.isFinished }) else { return nil }
        let after = replays[request].place
        let stored = webhooks.map { place, webhook in
            StoredWebhook(
                place: .init(
                    receivedAt: webhook.envelope.receivedAt, journal: place.journal, position: place.position),
                source: webhook.envelope.source, body: webhook.envelope.body,
                parked: Set(parked.keys.lazy.filter { $0.payload == webhook.envelope.body }.map(\.index)))
        }
        let next = stored.filter { webhook in after.map { Self.precedes($0, webhook.place) } ?? true }
            .sorted { Self.precedes($0.place, $1.place) }.prefix(limit)
        return ReplaySlice(
            request: ReplaySlice.RequestID(request), after: after, webhooks: Array(next), isLast: next.isEmpty)
    }

    private static func precedes(_ a: ReplaySlice.Place, _ b: ReplaySlice.Place) -> Bool {
        (a.receivedAt, a.journal, a.position) < (b.receivedAt, b.journal, b.position)
    }

    mutating func commit(_ batch: RecordBatch, _ replay: ReplayedWebhooks) -> RecordOutcome {
        var outcome = RecordOutcome(counts: VerdictCounts())
        var replayed = ReplayOutcome()
        let request = Int(replay.request)
        guard !replays[request].isFinished, replays[request].place == replay.after else {
            outcome.replayed = replayed
            return outcome
        }
        var messages = batch.messages[...]
        for webhook in replay.webhooks {
            let place = Place(journal: webhook.place.journal, position: webhook.place.position)
            for message in messages.prefix(webhook.messages) {
                let verdict = add(message)
                outcome.counts[verdict] += 1
                guard verdict != .duplicate else { continue }
                replayed.recorded += 1
                webhooks[place]?.counts.ignored -= 1
                webhooks[place]?.counts[verdict] += 1
            }
            messages = messages.dropFirst(webhook.messages)
        }
        statuses += batch.statuses.map(\.status)
        replayed.webhooks = replay.webhooks.count
        replayed.statuses = batch.statuses.count
        replayed.refused = replay.refused
        replays[request].place = replay.end
        replays[request].isFinished = replay.isLast
        replays[request].outcome += replayed
        outcome.replayed = replayed
        return outcome
    }
}
