import Journal
import Messaging
import Routing

// Parked updates that somebody wants tried again, or whose endpoint is known by now.

extension Intake {
    /// Read at once, and tried again between two batches: what comes in waits for no more than that.
    private static let redrivesReadMax = 100
    private static let redrivesBetweenMax = 10

    /// Goes on with what is asked for: a few between two batches, and all while nothing comes in.
    func redriveWhenDue() async throws(Interruption) {
        repeat {
            if redrives.isEmpty { await readRedrives() }
            guard !redrives.isEmpty else { return }
            for _ in 0..<Self.redrivesBetweenMax {
                guard let request = redrives.popFirst() else { break }
                try await redrive(request)
            }
        } while !Task.isCancelled && journal.standing.last <= position
    }

    /// Reads on until there are none, or the same ones again: these wait for the next look.
    private func readRedrives() async {
        let now = now()
        guard now >= nextRedrive else { return }
        var requests: [RedriveRequest] = []
        do throws(RecorderError) {
            requests = try await recorder.redriveRequests(limit: Self.redrivesReadMax)
        } catch {
            observer.observe(.redrivesUnread(reason: error.reason))
        }
        let ids = requests.map(\.id)
        if ids.isEmpty || ids == redrivesRead {
            nextRedrive = now.advanced(bySeconds: limits.redriveInterval.components.seconds)
        }
        redrivesRead = ids
        redrives = requests[...]
    }

    private func redrive(_ request: RedriveRequest) async throws(Interruption) {
        let envelope = Envelope(
            source: request.source, receivedAt: request.receivedAt, signature: [], body: request.payload)
        let updates = DecodedEntry.decode(envelope).updates
        let update =
            updates.indices.contains(request.index)
            ? updates[request.index]
            : .undecodable(
                reason: .unknownShape, detail: "the decoder no longer finds this update in its webhook", raw: nil)
        let planner = try await makePlanner()
        var batch = RecordBatch(journal: checkpointNumber, owner: owner, after: fence, upTo: fence)
        batch.redriven = [request.id]
        let place = BatchPlanner.Place(
            position: request.position, index: request.index, source: request.source, receivedAt: request.receivedAt,
            payload: request.payload)
        let sqlState = try await refusal { () async throws(Interruption) in
            guard update.identityChanges.isEmpty else {
                return try await redriveInOrder(update, at: place, batch, planner)
            }
            try await commit(planner, receivedAt: request.receivedAt) { planner in
                var draft = BatchPlanner.Draft(batch: batch)
                planner.noteGenerations(in: &draft)
                planner.add(update, at: place, to: &draft, using: &generator)
                return draft
            }
        }
        // What was decided for people who are others by now stays asked for, and is decided anew at the next look.
        guard let sqlState, sqlState != RecorderError.outdatedState else { return }
        // Refused even so, it stays asked for.
        _ = try await refusal { () async throws(Interruption) in
            try await commit(planner, receivedAt: request.receivedAt) { planner in
                var parked = BatchPlanner.Draft(batch: batch)
                planner.refuse(place, sqlState: sqlState, in: &parked)
                return parked
            }
        }
    }
}
