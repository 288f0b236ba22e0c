package import Journal
package import Messaging
package import Routing

/// The loop from the journal to the database: read, decode, resolve, record, confirm. One for each journal.
///
/// A batch is committed whole or not at all, fenced by the checkpoint; the next one is read and decoded meanwhile. What
/// the data itself is to blame for is isolated by halving and parked, and so is what the database keeps finding decided
/// for people who are others by now; everything else is tried again, for ever, while the journal holds (I4).
public actor Intake {
    let journal: any Journal
    let recorder: any Recorder
    let lookup: any ConversationLookup
    private let table: @Sendable () -> RoutingTable?
    let rules: @Sendable () -> RulesInForce
    private let isStale: @Sendable () -> Bool
    private let refreshTable: @Sendable () async -> Void
    let limits: IntakeLimits
    let clock: any Clock<Duration>
    let now: @Sendable () -> Timestamp
    let owner: UniqueID
    let observer: any IntakeObserver
    var generator = IdentifierGenerator()

    var checkpointNumber: Int32 = 0
    /// Where the database's checkpoint is.
    var fence = JournalPosition.start
    /// Up to where entries were read and recorded.
    var position = JournalPosition.start
    /// The journal's end when it was opened, until it was compared with the database's checkpoint: what came in since
    /// must not make a journal look as if it had come as far as the database.
    private var endAtOpening: JournalPosition?
    /// Webhooks the database refused since the last one it took.
    var refusalsInARow = 0
    /// The pause of a stopped intake.
    var stoppage: Task<Void, Never>?
    var nextRedrive: Timestamp = Timestamp(microseconds: .min)
    /// Read, and not tried again yet; and what was read last.
    var redrives: ArraySlice<RedriveRequest> = []
    var redrivesRead: [RedriveRequest.ID] = []
    /// Something had to be tried again, and intake was not idle since.
    private var isInTrouble = false
    var nextReplay = Timestamp(microseconds: .min)

    /// To be made when the journal was opened, before anything is appended to it.
    /// - Parameters:
    ///   - table: the routing table as it is now; `nil` until it was loaded once.
    ///   - rules: those in force.
    ///   - isStale: whether the table may be too old to decide by: then the database is asked about every sender.
    ///   - refreshTable: brings the table up to date, or fails to in silence; called when a commit did something to
    ///     identities, before the next batch is decided.
    ///   - owner: a new id for this process: the fence's token.
    package init(
        journal: any Journal, recorder: any Recorder, lookup: any ConversationLookup,
        table: @escaping @Sendable () -> RoutingTable?,
        rules: @escaping @Sendable () -> RulesInForce = { .none }, isStale: @escaping @Sendable () -> Bool = { false },
        refreshTable: @escaping @Sendable () async -> Void = {}, owner: UniqueID,
        limits: IntakeLimits = IntakeLimits(), clock: any Clock<Duration>, now: @escaping @Sendable () -> Timestamp,
        observer: any IntakeObserver
    ) {
        self.journal = journal
        self.recorder = recorder
        self.lookup = lookup
        self.table = table
        self.rules = rules
        self.isStale = isStale
        self.refreshTable = refreshTable
        self.owner = owner
        self.limits = limits
        self.clock = clock
        self.now = now
        self.observer = observer
        endAtOpening = journal.standing.last
    }

    /// Why the loop leaves what it is doing.
    enum Interruption: Error {
        /// Journal and database must be compared again.
        case fenced(isForeign: Bool)
        /// The database does not take the data, or not what was decided. Never leaves an attempt.
        case refused(sqlState: String)
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
                switch error {
                case .fenced(let foreign):
                    isForeign = foreign
                    observer.observe(.fenced)
                case .refused: isForeign = false
                case .cancelled: return
                }
            }
        }
    }

    // MARK: Start (I11)

    func reconcile(isForeign: Bool) async throws(Interruption) {
        // In a database that was restored their ids may be those of other updates.
        (redrives, redrivesRead) = ([], [])
        // A name that another process records under is left to it.
        var checkpoint = isForeign ? nil : try await claim()
        var standing = journal.standing
        standing.last = endAtOpening ?? standing.last
        let reconciliation = JournalReconciliation(standing, checkpoint)
        observer.observe(.reconciled(reconciliation))
        try await retrying(\.message) { () async throws(JournalError) in
            switch reconciliation {
            case .goOn, .begin: break
            case .replay, .replayUnknown: try await journal.rewind(to: reconciliation.start)
            case .renew: try await journal.renew(id: .make(at: now(), using: &generator))
            }
        }
        if case .renew = reconciliation { checkpoint = try await claim() }
        checkpointNumber = checkpoint?.journal ?? 0
        fence = checkpoint?.position ?? .start
        position = reconciliation.start
        endAtOpening = nil
        switch reconciliation {
        case .goOn: try? await journal.confirm(upTo: position)
        case .renew: try await skip(to: position)
        case .begin, .replay, .replayUnknown: break
        }
    }

    /// Moves a checkpoint over what was recorded under the journal's former identity; the next start would replay it.
    private func skip(to position: JournalPosition) async throws(Interruption) {
        guard position > fence else { return }
        let batch = RecordBatch(journal: checkpointNumber, owner: owner, after: fence, upTo: position)
        let result = try await retrying(\.reason) { () async throws(RecorderError) in try await recorder.record(batch) }
        guard case .recorded = result else { throw .fenced(isForeign: false) }
        fence = position
    }

    private func claim() async throws(Interruption) -> Checkpoint {
        try await retrying(\.reason) { () async throws(RecorderError) in
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
                try await replayWhenDue()
                if isInTrouble { observer.observe(.recovered) }
                isInTrouble = false
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
            try await replayWhenDue()
            if case .success(let decoded) = following {
                entries = decoded
            } else {
                entries = try await read(after: position)
            }
        }
    }

    private func read(after position: JournalPosition) async throws(Interruption) -> [DecodedEntry] {
        try await retrying(\.message) { () async throws(JournalError) in
            try await Self.decoded(journal, after: position, limits).get()
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

    /// The SQLSTATE with which the database refuses the data or the decisions, if it does.
    func refusal(_ body: () async throws(Interruption) -> Void) async throws(Interruption) -> String? {
        do throws(Interruption) {
            try await body()
            return nil
        } catch {
            guard case .refused(let sqlState) = error else { throw error }
            return sqlState
        }
    }

    /// A planner by the table as it is now.
    /// - Parameter inForce: the rules to go by; `nil`: those in force.
    func makePlanner(_ inForce: RulesInForce? = nil) async throws(Interruption) -> BatchPlanner {
        BatchPlanner(
            table: try await loadedTable(), now: now(), limits: limits, rules: inForce ?? rules(),
            asksDatabase: isStale())
    }

    /// Seconds after which nobody is decided by a planner's table any more: it may have aged with waiting.
    private static let plannerSecondsMax: Int64 = 2

    /// The planner, or another by the table as it is now.
    func current(_ planner: BatchPlanner) async throws(Interruption) -> BatchPlanner {
        guard now() > planner.now.advanced(bySeconds: Self.plannerSecondsMax) else { return planner }
        return try await makePlanner(planner.rules)
    }

    func plan(
        _ entries: ArraySlice<DecodedEntry>, _ planner: BatchPlanner, refusing refused: Refusals
    ) -> BatchPlanner.Draft {
        let batch = RecordBatch(
            journal: checkpointNumber, owner: owner, after: fence, upTo: entries.last?.position ?? fence)
        return planner.draft(entries, into: batch, refusing: refused, using: &generator)
    }

    /// A draft with what it waited for.
    func answered(
        _ draft: BatchPlanner.Draft, _ planner: BatchPlanner
    ) async throws(RecorderError) -> BatchPlanner.Draft {
        guard !draft.pending.isEmpty else { return draft }
        let facts = try await lookup.facts(for: draft.questions)
        let leases = draft.routeQuestions
        let routes = leases.isEmpty ? [] : try await lookup.routes(for: leases)
        var settled = draft
        planner.settle(&settled, facts: facts, routes: routes, using: &generator)
        return settled
    }

    /// Times that messages are resolved again without a pause.
    static let staleAttemptsMax = 4
    static let routesChangeTooFast = "routes change faster than a batch is recorded"

    /// Records what is drafted until it is recorded, or refused for its data.
    ///
    /// What failed is drafted anew: while the database was away leases and people may have changed, and nobody is
    /// decided by a table that grew too old. It covers the same entries, so that a commit whose answer was lost is found.
    ///
    /// - Parameter isRehearsal: nothing of it is kept. Then it goes by one table to its end: what is to blame is found by
    ///   several, and an endpoint that becomes known between two would lay it on another update.
    func commit(
        _ first: BatchPlanner, receivedAt: Timestamp, isRehearsal: Bool = false,
        _ drafting: (BatchPlanner) -> BatchPlanner.Draft
    ) async throws(Interruption) {
        var planner = isRehearsal ? first : try await current(first)
        var attempt = 0
        while true {
            if Task.isCancelled { throw .cancelled }
            var draft = drafting(planner)
            draft.batch.isRehearsal = isRehearsal
            let reason: String
            switch await attempted(&draft, planner) {
            case .success(.recorded(let outcome)):
                guard !isRehearsal else { return }
                return await finish(
                    draft.batch, outcome, besides: draft.counts, draft.ignored, receivedAt: receivedAt)
            case .success(.fenced(let checkpoint)): throw .fenced(isForeign: isForeign(checkpoint))
            case .success(.staleRoutes):
                await refreshTable()
                reason = Self.routesChangeTooFast
            case .failure(let error):
                if let sqlState = error.refusal { throw .refused(sqlState: sqlState) }
                reason = error.reason
            }
            attempt += 1
            try await pause(reason: reason, attempt: attempt)
            if !isRehearsal { planner = try await makePlanner(planner.rules) }
        }
    }

    private func attempted(
        _ draft: inout BatchPlanner.Draft, _ planner: BatchPlanner
    ) async -> Result<RecordResult, RecorderError> {
        do throws(RecorderError) {
            draft = try await answered(draft, planner)
            return .success(try await recorded(&draft, planner))
        } catch {
            return .failure(error)
        }
    }

    /// - Parameters:
    ///   - decided: verdicts that needed no database.
    ///   - ignored: the ignored ones of them.
    func finish(
        _ batch: RecordBatch, _ outcome: RecordOutcome, besides decided: VerdictCounts, _ ignored: IgnoredUpdates,
        receivedAt: Timestamp
    ) async {
        fence = batch.upTo
        if let replayed = outcome.replayed { return observer.observe(.replayed(replayed)) }
        var counts = outcome.counts
        if !outcome.wasCommittedBefore { counts += decided }
        observer.observe(
            .recorded(webhooks: batch.webhooks.count, counts: counts, receivedAt: receivedAt, outcome: outcome))
        if !ignored.isEmpty { observer.observe(.ignored(ignored)) }
        if outcome.isIdentityNews { await refreshTable() }
    }

    /// A checkpoint where we believe it, that yet refuses us, belongs to another process; so does one that ran ahead.
    func isForeign(_ checkpoint: Checkpoint?) -> Bool {
        guard let checkpoint else { return false }
        return checkpoint.position >= fence
    }

    func loadedTable() async throws(Interruption) -> RoutingTable {
        var attempt = 0
        while true {
            if let table = table() { return table }
            attempt += 1
            try await pause(reason: "the routing table is not loaded yet", attempt: attempt)
        }
    }

    // MARK: Patience

    private func retrying<Value, Failure: Error>(
        _ reason: (Failure) -> String, _ body: () async throws(Failure) -> Value
    ) async throws(Interruption) -> Value {
        var attempt = 0
        while true {
            do throws(Failure) {
                return try await body()
            } catch {
                attempt += 1
                try await pause(reason: reason(error), attempt: attempt)
            }
        }
    }

    func pause(reason: String, attempt: Int) async throws(Interruption) {
        var delay = limits.retryDelay * (1 << min(attempt - 1, 10))
        delay = min(delay, limits.retryDelayMax)
        isInTrouble = true
        observer.observe(.retrying(reason: reason, delay: delay))
        do { try await clock.sleep(for: delay) } catch { throw .cancelled }
        if Task.isCancelled { throw .cancelled }
    }
}
