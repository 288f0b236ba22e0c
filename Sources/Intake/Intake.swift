public import Journal
public import Messaging
public import Routing

/// The loop from the journal to the database: read, decode, resolve, record, confirm. One for each journal.
///
/// A batch is committed whole or not at all, fenced by the checkpoint; the next one is read and decoded meanwhile. What
/// the data itself is to blame for is isolated by halving and parked; everything else is tried again, for ever, while the
/// journal holds (I4).
public actor Intake {
    private let journal: any Journal
    private let recorder: any Recorder
    private let lookup: any ConversationLookup
    private let table: @Sendable () -> RoutingTable?
    private let limits: IntakeLimits
    private let clock: any Clock<Duration>
    private let now: @Sendable () -> Timestamp
    private let owner: UniqueID
    private let observer: any IntakeObserver
    private var generator = SystemRandomNumberGenerator()

    private var checkpointNumber: Int32 = 0
    /// Where the database's checkpoint is.
    private var fence = JournalPosition.start
    /// Up to where entries were read and recorded.
    private var position = JournalPosition.start
    private var refusalsInARow = 0
    private var resumption: CheckedContinuation<Void, Never>?
    private var nextRedrive: Timestamp = Timestamp(microseconds: .min)

    /// - Parameters:
    ///   - table: the routing table as it is now; `nil` until it was loaded once.
    ///   - owner: a new id for this process: the fence's token.
    public init(
        journal: any Journal, recorder: any Recorder, lookup: any ConversationLookup,
        table: @escaping @Sendable () -> RoutingTable?, owner: UniqueID, limits: IntakeLimits = IntakeLimits(),
        clock: any Clock<Duration>, now: @escaping @Sendable () -> Timestamp, observer: any IntakeObserver
    ) {
        self.journal = journal
        self.recorder = recorder
        self.lookup = lookup
        self.table = table
        self.owner = owner
        self.limits = limits
        self.clock = clock
        self.now = now
        self.observer = observer
    }

    /// Why the loop leaves what it is doing.
    private enum Interruption: Error {
        /// Journal and database must be compared again.
        case fenced(isForeign: Bool)
        case cancelled
    }

    /// Runs until the task is cancelled. What is being recorded then is finished or left to the journal.
    public func run() async {
        var isForeign = false
        while !Task.isCancelled {
            do throws(Interruption) {
                try await reconcile(isForeign: isForeign)
                try await recordForever()
            } catch {
                guard case .fenced(let foreign) = error else { return }
                isForeign = foreign
                observer.observe(.fenced)
            }
        }
    }

    /// Lets a stopped intake try again now.
    public func resume() {
        resumption?.resume()
        resumption = nil
    }

    // MARK: Start (I11)

    private func reconcile(isForeign: Bool) async throws(Interruption) {
        let checkpoint = try await claim()
        let reconciliation = JournalReconciliation(journal.standing, checkpoint, isForeign: isForeign)
        observer.observe(.reconciled(reconciliation))
        do throws(JournalError) {
            switch reconciliation {
            case .goOn, .begin: break
            case .replay, .replayUnknown: try await journal.rewind(to: reconciliation.start)
            case .renew: try await journal.renew(id: .make(at: now(), using: &generator))
            }
        } catch {
            try await pause(reason: error.message, attempt: 3)
            throw .fenced(isForeign: isForeign)
        }
        let mine = reconciliation.label == "renew" ? try await claim() : checkpoint
        checkpointNumber = mine.journal
        fence = mine.position
        position = reconciliation.start
        if case .goOn = reconciliation { try? await journal.confirm(upTo: position) }
    }

    private func claim() async throws(Interruption) -> Checkpoint {
        try await retrying { () async throws(RecorderError) in
            try await recorder.claim(JournalIdentity(id: journal.standing.id, owner: owner))
        }
    }

    // MARK: The loop

    private func recordForever() async throws(Interruption) {
        var entries = try await read(after: position)
        while true {
            if Task.isCancelled { throw .cancelled }
            try await redriveWhenDue()
            guard let last = entries.last else {
                await waitForEntries()
                entries = try await read(after: position)
                continue
            }
            async let next = Self.decoded(journal, after: last.position, limits)
            let result = await settled(entries[...])
            let following = await next
            try result.get()
            position = last.position
            try? await journal.confirm(upTo: position)
            if case .success(let decoded) = following { entries = decoded } else { entries = try await read(after: position) }
        }
    }

    private func read(after position: JournalPosition) async throws(Interruption) -> [DecodedEntry] {
        var attempt = 0
        while true {
            switch await Self.decoded(journal, after: position, limits) {
            case .success(let entries): return entries
            case .failure(let error):
                attempt += 1
                try await pause(reason: error.message, attempt: attempt)
            }
        }
    }

    @concurrent
    private static func decoded(
        _ journal: any Journal, after position: JournalPosition, _ limits: IntakeLimits
    ) async -> Result<[DecodedEntry], JournalError> {
        do throws(JournalError) {
            let limit = ReadLimit(entries: limits.batchEntriesMax, bytes: limits.batchBytesMax)
            return .success(try await journal.entries(after: position, limit: limit).map { DecodedEntry($0) })
        } catch {
            return .failure(error)
        }
    }

    /// Until there is an entry, or it is time to look for redrives.
    private func waitForEntries() async {
        let (journal, clock, position, interval) = (journal, clock, position, limits.redriveInterval)
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await journal.entriesAvailable(after: position) }
            group.addTask { try? await clock.sleep(for: interval) }
            await group.next()
            group.cancelAll()
        }
    }

    // MARK: Recording

    private func settled(_ entries: ArraySlice<DecodedEntry>) async -> Result<Void, Interruption> {
        do throws(Interruption) { return .success(try await settle(entries)) } catch { return .failure(error) }
    }

    /// Records these entries: together, or, where the data of one is refused, by halves, parking what remains.
    private func settle(_ entries: ArraySlice<DecodedEntry>) async throws(Interruption) {
        guard let refusal = try await attempt(entries, refusing: .none) else {
            refusalsInARow = 0
            return
        }
        if entries.count > 1 {
            let middle = entries.startIndex + entries.count / 2
            try await settle(entries[..<middle])
            try await settle(entries[middle...])
        } else if let entry = entries.first {
            try await isolate(entry, refusal)
        }
    }

    /// One attempt that ends: recorded (`nil`), or refused for its data (the SQLSTATE).
    private func attempt(_ entries: ArraySlice<DecodedEntry>, refusing refused: Refusals) async throws(Interruption) -> String? {
        let (planner, drafted) = try await plan(entries, refusing: refused)
        return try await commit(drafted, planner, receivedAt: entries.last?.envelope.receivedAt ?? now())
    }

    private func plan(
        _ entries: ArraySlice<DecodedEntry>, refusing refused: Refusals
    ) async throws(Interruption) -> (BatchPlanner, BatchPlanner.Draft) {
        let planner = BatchPlanner(table: try await loadedTable(), now: now(), limits: limits)
        let batch = RecordBatch(
            journal: checkpointNumber, owner: owner, after: fence, upTo: entries.last?.position ?? fence)
        var draft = planner.draft(entries, into: batch, refusing: refused, using: &generator)
        try await settleThreads(&draft, planner)
        return (planner, draft)
    }

    private func settleThreads(_ draft: inout BatchPlanner.Draft, _ planner: BatchPlanner) async throws(Interruption) {
        guard !draft.pending.isEmpty else { return }
        let questions = draft.questions
        let threads = try await retrying { () async throws(RecorderError) in try await lookup.threads(for: questions) }
        planner.settle(&draft, threads: threads)
    }

    /// Times that messages are resolved again without a pause.
    private static let staleAttemptsMax = 4

    private func commit(
        _ drafted: BatchPlanner.Draft, _ planner: BatchPlanner, receivedAt: Timestamp
    ) async throws(Interruption) -> String? {
        var draft = drafted
        var attempt = 0
        var staleAttempts = 0
        while true {
            let result: RecordResult
            do throws(RecorderError) {
                result = try await recorder.record(draft.batch)
            } catch {
                if case .dataRejected(let sqlState, _) = error { return sqlState }
                attempt += 1
                try await pause(reason: error.reason, attempt: attempt)
                continue
            }
            switch result {
            case .recorded(let outcome):
                finish(draft, outcome, receivedAt)
                return nil
            case .fenced(let checkpoint): throw .fenced(isForeign: isForeign(checkpoint))
            case .staleRoutes(let stale):
                observer.observe(.staleRoutes(messages: stale.count))
                planner.resolveAgain(stale, in: &draft)
                try await settleThreads(&draft, planner)
                staleAttempts += 1
            }
            if staleAttempts > Self.staleAttemptsMax {
                try await pause(reason: "routes change faster than a batch is recorded", attempt: staleAttempts)
            }
        }
    }

    private func finish(_ draft: BatchPlanner.Draft, _ outcome: RecordOutcome, _ receivedAt: Timestamp) {
        fence = draft.batch.upTo
        var counts = outcome.counts
        counts += draft.counts
        observer.observe(.recorded(
            webhooks: draft.batch.webhooks.count, counts: counts, receivedAt: receivedAt, outcome: outcome))
    }

    /// A checkpoint where we believe it, that yet refuses us, belongs to another process; so does one that ran ahead.
    private func isForeign(_ checkpoint: Checkpoint?) -> Bool {
        guard let checkpoint else { return false }
        return checkpoint.position >= fence
    }

    private func loadedTable() async throws(Interruption) -> RoutingTable {
        var attempt = 0
        while true {
            if let table = table() { return table }
            attempt += 1
            try await pause(reason: "the routing table is not loaded yet", attempt: attempt)
        }
    }

    // MARK: Poison (I4)

    /// Finds the updates of one webhook that the database refuses, and records it with those parked.
    private func isolate(_ entry: DecodedEntry, _ sqlState: String) async throws(Interruption) {
        if refusalsInARow >= limits.parksInARowMax {
            try await stop(sqlState)
            return try await settle([entry][...])
        }
        refusalsInARow += 1
        var refused = Refusals()
        try await findRefused(entry, 0..<entry.webhook.updates.count, sqlState, &refused)
        if try await attempt([entry][...], refusing: refused) == nil {
            for index in entry.webhook.updates.indices {
                guard let state = refused[entry.position, index] else { continue }
                observer.observe(.parked(position: entry.position, index: index, sqlState: state))
            }
            return
        }
        // The halves went through one by one and still not together: park them all, so that the stream goes on.
        for index in entry.webhook.updates.indices { refused[entry.position, index] = sqlState }
        while let state = try await attempt([entry][...], refusing: refused) { try await stop(state) }
    }

    private func findRefused(
        _ entry: DecodedEntry, _ range: Range<Int>, _ sqlState: String, _ refused: inout Refusals
    ) async throws(Interruption) {
        guard let state = try await rehearse(entry, only: range) else { return }
        guard range.count > 1 else {
            refused[entry.position, range.lowerBound] = state
            return
        }
        let middle = range.lowerBound + range.count / 2
        try await findRefused(entry, range.lowerBound..<middle, state, &refused)
        try await findRefused(entry, middle..<range.upperBound, state, &refused)
    }

    /// Whether the database would refuse some of a webhook's updates; nothing is kept.
    private func rehearse(_ entry: DecodedEntry, only range: Range<Int>) async throws(Interruption) -> String? {
        var others = Refusals()
        for index in entry.webhook.updates.indices where !range.contains(index) { others[entry.position, index] = "00000" }
        var (_, draft) = try await plan([entry][...], refusing: others)
        draft.batch.isRehearsal = true
        var attempt = 0
        while true {
            do throws(RecorderError) {
                _ = try await recorder.record(draft.batch)
                return nil
            } catch {
                if case .dataRejected(let sqlState, _) = error { return sqlState }
                attempt += 1
                try await pause(reason: error.reason, attempt: attempt)
            }
        }
    }

    private func stop(_ sqlState: String) async throws(Interruption) {
        observer.observe(.stopped(refusals: refusalsInARow, sqlState: sqlState))
        let (clock, delay) = (clock, limits.stoppedDelay)
        let alarm = Task { [weak self] in
            try? await clock.sleep(for: delay)
            await self?.resume()
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { resumption = $0 }
        } onCancel: {
            alarm.cancel()
        }
        alarm.cancel()
        if Task.isCancelled { throw .cancelled }
        observer.observe(.resumed)
    }

    // MARK: Redrive

    private func redriveWhenDue() async throws(Interruption) {
        let now = now()
        guard now >= nextRedrive else { return }
        nextRedrive = now.advanced(bySeconds: limits.redriveInterval.components.seconds)
        guard let requests = try? await recorder.redriveRequests(limit: 100) else { return }
        for request in requests { try await redrive(request) }
    }

    private func redrive(_ request: RedriveRequest) async throws(Interruption) {
        let envelope = Envelope(source: request.source, receivedAt: request.receivedAt, signature: [], body: request.payload)
        let updates = DecodedEntry.decode(envelope).updates
        let update = updates.indices.contains(request.index)
            ? updates[request.index]
            : .undecodable(reason: .unknownShape, detail: "the decoder no longer finds this update in its webhook", raw: nil)
        let planner = BatchPlanner(table: try await loadedTable(), now: now(), limits: limits)
        var batch = RecordBatch(journal: checkpointNumber, owner: owner, after: fence, upTo: fence)
        batch.redriven = [request.id]
        batch.tableGeneration = planner.resolver.table.generation
        let place = BatchPlanner.Place(
            position: request.position, index: request.index, source: request.source, receivedAt: request.receivedAt,
            payload: request.payload)
        var draft = BatchPlanner.Draft(batch: batch)
        planner.add(update, at: place, to: &draft, using: &generator)
        try await settleThreads(&draft, planner)
        guard let sqlState = try await commit(draft, planner, receivedAt: request.receivedAt) else { return }
        var parked = BatchPlanner.Draft(batch: batch)
        planner.add(
            .undecodable(reason: .badField, detail: "refused by the database, SQLSTATE \(sqlState)", raw: nil), at: place,
            to: &parked, using: &generator)
        _ = try await commit(parked, planner, receivedAt: request.receivedAt)
    }

    // MARK: Patience

    private func retrying<T: Sendable>(
        _ body: () async throws(RecorderError) -> T
    ) async throws(Interruption) -> T {
        var attempt = 0
        while true {
            do throws(RecorderError) {
                return try await body()
            } catch {
                attempt += 1
                try await pause(reason: error.reason, attempt: attempt)
            }
        }
    }

    private func pause(reason: String, attempt: Int) async throws(Interruption) {
        var delay = limits.retryDelay * (1 << min(attempt - 1, 10))
        delay = min(delay, limits.retryDelayMax)
        observer.observe(.retrying(reason: reason, delay: delay))
        do { try await clock.sleep(for: delay) } catch { throw .cancelled }
        if Task.isCancelled { throw .cancelled }
    }
}

extension RecorderError {
    var reason: String {
        switch self {
        case .dataRejected(let sqlState, let detail): "SQLSTATE \(sqlState): \(detail)"
        case .unavailable(let reason): reason
        }
    }
}
