import Glibc
package import Journal
package import Logging
package import Messaging

/// The journal on SQLite: WAL, a sync at every commit, one thread that writes, group commit.
///
/// Appends come from any thread and never block. A second connection reads, on a queue of its own. One process holds a
/// directory at a time. Files: `journal.sqlite` with its `-wal` and `-shm`, and `journal.lock`.
package final class SQLiteJournal: Journal, WebhookAppender {
    private struct State {
        var machine: GroupCommitStateMachine<any AppendSink>
        var standing: JournalStanding
        var confirmTarget: JournalPosition?
        var commands: [Command] = []
        var waiters: [(id: UInt64, after: JournalPosition, continuation: CheckedContinuation<Void, Never>)] = []
        var nextWaiter: UInt64 = 0
        var isStopped = false
        var stopWaiters: [CheckedContinuation<Void, Never>] = []
    }

    /// Rare things the writer's thread does between two groups.
    private enum Command {
        case rewind(JournalPosition, CheckedContinuation<Result<Void, JournalError>, Never>)
        case renew(UniqueID, CheckedContinuation<Result<Void, JournalError>, Never>)
    }

    package let limits: JournalLimits
    private let monitor: Monitor<State>
    private let reader: JournalReader
    private let clock: @Sendable () -> Timestamp
    private let logger: Logger
    private let onFatal: @Sendable (JournalError) -> Void

    /// Opens or makes the journal in a directory and starts its thread.
    /// - Parameters:
    ///   - newID: the identity of a journal that is made now.
    ///   - onFatal: called once, on the journal's thread, after a write or sync failed for good. What reached the disk
    ///     is unknown then; the process must end, with a status that is not zero.
    package init(
        directory: String, limits: JournalLimits, newID: UniqueID, logger: Logger,
        clock: @escaping @Sendable () -> Timestamp, onFatal: @escaping @Sendable (JournalError) -> Void
    ) throws(JournalError) {
        mkdir(directory, 0o700)
        let lock = try DirectoryLock(directory: directory)
        let path = directory + "/journal.sqlite"
        let owned = Owned(file: try Self.openFile(path, newID: newID, now: clock()), lock: lock)
        reader = try Self.explaining(path) { () throws(SQLiteError) in try JournalReader(path: path) }
        self.limits = limits
        self.clock = clock
        self.logger = logger
        self.onFatal = onFatal
        let standing = JournalStanding(
            id: owned.file.id, confirmed: owned.file.confirmed, last: owned.file.last, oldest: owned.file.oldest,
            backlogBytes: owned.file.unconfirmedBytes)
        let machine = GroupCommitStateMachine<any AppendSink>(limits: limits, unconfirmedBytes: standing.backlogBytes)
        monitor = Monitor(State(machine: machine, standing: standing))
        WorkerThread.start { [self] in run(owned) }
    }

    private static func openFile(_ path: String, newID: UniqueID, now: Timestamp) throws(JournalError) -> JournalFile {
        do throws(SQLiteError) {
            return try JournalFile(path: path, newID: newID, now: now)
        } catch {
            throw cannotOpen(path, error)
        }
    }

    private static func explaining<T>(
        _ path: String, _ body: () throws(SQLiteError) -> T
    ) throws(JournalError) -> T {
        do throws(SQLiteError) { return try body() } catch { throw cannotOpen(path, error) }
    }

    private static func cannotOpen(_ path: String, _ error: SQLiteError) -> JournalError {
        JournalError(
            error.isDiskFull ? .diskFull : .unreadable,
            "cannot open the journal \(path): \(error). Free space, or move the file away to begin a new journal "
                + "(unrecorded webhooks in it would wait there)")
    }

    package var standing: JournalStanding {
        monitor.withLock { state in
            var standing = state.standing
            standing.backlogBytes = state.machine.backlogBytes
            return standing
        }
    }

    /// Why nothing can be acknowledged now, or `nil`.
    package var refusal: JournalError? { monitor.withLock { $0.machine.refusal } }

    package func append(_ envelope: Envelope, ticket: AppendTicket, sink: any AppendSink) -> JournalError? {
        let action = monitor.withLock { $0.machine.append(envelope, ticket: ticket, sink: sink) }
        switch action {
        case .taken(let wakeWriter):
            if wakeWriter { monitor.wake() }
            return nil
        case .refused(let error): return error
        }
    }

    package func entries(
        after position: JournalPosition, limit: ReadLimit
    ) async throws(JournalError) -> [JournalEntry] {
        try await reader.entries(after: position, limit: limit)
    }

    package func entriesAvailable(after position: JournalPosition) async {
        let id = monitor.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isDone = monitor.withLock { state in
                    if state.standing.last > position || state.isStopped || Task.isCancelled { return true }
                    state.waiters.append((id, position, continuation))
                    return false
                }
                if isDone { continuation.resume() }
            }
        } onCancel: {
            let waiter = monitor.withLock { state in
                state.waiters.firstIndex { $0.id == id }.map { state.waiters.remove(at: $0) }
            }
            waiter?.continuation.resume()
        }
    }

    package func confirm(upTo position: JournalPosition) async throws(JournalError) {
        monitor.withLock { state in
            if position > (state.confirmTarget ?? state.standing.confirmed) { state.confirmTarget = position }
        }
        monitor.wake()
    }

    /// Goes back to `position`: what lies behind it is handed out and counted as unconfirmed again (I11).
    package func rewind(to position: JournalPosition) async throws(JournalError) {
        try await command { .rewind(position, $0) }
    }

    /// Gives this journal a new identity: the directory was copied, or came back from a backup (I11).
    package func renew(id: UniqueID) async throws(JournalError) {
        try await command { .renew(id, $0) }
    }

    private func command(
        _ make: (CheckedContinuation<Result<Void, JournalError>, Never>) -> Command
    ) async throws(JournalError) {
        let result = await withCheckedContinuation { continuation in
            let isStopped = monitor.withLock { state in
                if !state.isStopped { state.commands.append(make(continuation)) }
                return state.isStopped
            }
            if isStopped { continuation.resume(returning: .failure(JournalError(.closed, "the journal is closed"))) }
            monitor.wake()
        }
        try result.get()
    }

    /// Refuses further appends, writes what is pending, and returns when the thread has ended.
    package func close() async {
        await withCheckedContinuation { continuation in
            let isStopped = monitor.withLock { state in
                state.machine.close()
                if !state.isStopped { state.stopWaiters.append(continuation) }
                return state.isStopped
            }
            if isStopped { continuation.resume() }
            monitor.wake()
        }
    }
}

// MARK: - The journal's thread

extension SQLiteJournal {
    /// What the thread alone touches.
    private final class Owned: @unchecked Sendable {
        var file: JournalFile
        /// Let go before those who wait for the close hear of it: they may open the directory again.
        var lock: DirectoryLock?

        init(file: consuming JournalFile, lock: consuming DirectoryLock) {
            self.file = file
            self.lock = consume lock
        }
    }

    private enum Step {
        case write([GroupCommitStateMachine<any AppendSink>.Pending], confirming: JournalPosition?)
        case command(Command)
        case stop
    }

    /// How long a confirmation may wait for a group to travel with.
    private static let confirmDelayMilliseconds = 200

    private func run(_ owned: Owned) {
        takePrecedence()
        var pace = GroupPace()
        while true {
            switch nextStep() {
            case .write(let group, let target):
                pace.groupBegins()
                write(group, confirming: target, to: owned)
                pace.waitForNext()
            case .command(let command): perform(command, on: owned)
            case .stop:
                writeLastConfirmation(to: owned)
                owned.lock = nil
                finish()
                return
            }
        }
    }

    /// A thread that mostly waits for the disk takes nothing from others by it.
    private func takePrecedence() {
        let code = WorkerThread.takePrecedence()
        guard code != 0 else { return }
        logger.info(
            """
            the journal's thread has no precedence: a busy processor may hold up acknowledgements for some milliseconds. \
            To allow it: LimitRTPRIO=1 in the systemd unit, ulimit -r 1, or the capability CAP_SYS_NICE
            """, metadata: ["error": "\(String(cString: strerror(code)))"])
    }

    private func nextStep() -> Step {
        let step = monitor.wait(atMostMilliseconds: nil) { state -> Step? in
            if !state.commands.isEmpty { return .command(state.commands.removeFirst()) }
            switch state.machine.takeGroup() {
            case .write(let group): return .write(group, confirming: state.confirmTarget)
            case .stop: return .stop
            case .sleep: return state.confirmTarget == nil ? nil : .write([], confirming: nil)
            }
        }
        guard case .write(let group, confirming: nil)? = step, group.isEmpty else { return step ?? .stop }
        // A confirmation alone: give a group the chance to take it along.
        return monitor.wait(atMostMilliseconds: Self.confirmDelayMilliseconds) { state -> Step? in
            if !state.commands.isEmpty { return .command(state.commands.removeFirst()) }
            switch state.machine.takeGroup() {
            case .write(let group): return .write(group, confirming: state.confirmTarget)
            case .stop: return .stop
            case .sleep: return nil
            }
        } ?? .write([], confirming: monitor.withLock { $0.confirmTarget })
    }

    private func write(
        _ group: [GroupCommitStateMachine<any AppendSink>.Pending], confirming target: JournalPosition?, to owned: Owned
    ) {
        let before = owned.file.confirmedThrough
        do throws(SQLiteError) {
            try owned.file.write(group.map(\.envelope), confirming: target, limits: limits, now: clock())
        } catch {
            refuse(group, because: error)
            return
        }
        let standing = JournalStanding(
            id: owned.file.id, confirmed: owned.file.confirmed, last: owned.file.last, oldest: owned.file.oldest,
            backlogBytes: owned.file.unconfirmedBytes)
        let newlyConfirmed = owned.file.confirmedThrough - before
        let ready = monitor.withLock { state in
            state.standing = standing
            state.machine.confirmed(bytes: newlyConfirmed)
            if state.confirmTarget == target { state.confirmTarget = nil }
            let ready = state.waiters.filter { $0.after < standing.last }
            state.waiters.removeAll { $0.after < standing.last }
            return ready
        }
        let receipt = DurabilityReceipt(syncedUpTo: standing.last)
        tell(group, .success(receipt))
        for waiter in ready { waiter.continuation.resume() }
        do throws(SQLiteError) { try owned.file.checkpointIfDue() } catch { checkpointFailed(error) }
    }

    /// The log keeps everything, and a full disk may have space again; after anything else nobody knows.
    private func checkpointFailed(_ error: SQLiteError) {
        guard !error.isDiskFull else { return }
        refuse([], because: error)
    }

    /// The group was not written. No space: those who wait are told, and the next group tries again. Anything else: what
    /// reached the disk is unknown, so nothing is acknowledged any more.
    private func refuse(_ group: [GroupCommitStateMachine<any AppendSink>.Pending], because error: SQLiteError) {
        let failure: JournalError
        if error.isDiskFull {
            failure = JournalError(
                .diskFull,
                "no space left for the journal (\(error)); free space in GATEWAY_DATA_DIR, nothing else is needed")
        } else {
            failure = JournalError(
                .syncFailed,
                "the journal could not be written (\(error)); the disk under GATEWAY_DATA_DIR may be failing. "
                    + "The gateway stops, because what reached the disk is unknown; it reads the journal again at its next start"
            )
        }
        let rest = monitor.withLock { state in
            if group.isEmpty { state.confirmTarget = nil }
            return state.machine.groupFailed(group, with: failure, isFinal: !error.isDiskFull)
        }
        tell(group + rest, .failure(failure))
        logger.error(
            "journal write failed", metadata: ["code": "\(failure.code.rawValue)", "error": "\(failure.message)"])
        if !error.isDiskFull { onFatal(failure) }
    }

    /// One call a sink, however many tickets.
    private func tell(
        _ group: [GroupCommitStateMachine<any AppendSink>.Pending], _ result: Result<DurabilityReceipt, JournalError>
    ) {
        var bySink: [(sink: any AppendSink, tickets: [AppendTicket])] = []
        for pending in group {
            if let index = bySink.firstIndex(where: { $0.sink === pending.sink }) {
                bySink[index].tickets.append(pending.ticket)
            } else {
                bySink.append((pending.sink, [pending.ticket]))
            }
        }
        for (sink, tickets) in bySink { sink.appended(tickets, result: result) }
    }

    private func perform(_ command: Command, on owned: Owned) {
        let continuation: CheckedContinuation<Result<Void, JournalError>, Never>
        let result: Result<Void, SQLiteError>
        switch command {
        case .rewind(let position, let waiting):
            continuation = waiting
            result = Result { () throws(SQLiteError) in try owned.file.rewind(to: position) }
        case .renew(let id, let waiting):
            continuation = waiting
            result = Result { () throws(SQLiteError) in try owned.file.renew(id: id) }
        }
        monitor.withLock { state in
            state.standing.id = owned.file.id
            state.standing.confirmed = owned.file.confirmed
            state.confirmTarget = nil
            state.machine.rewound(unconfirmedBytes: owned.file.unconfirmedBytes)
        }
        continuation.resume(
            returning: result.mapError { error in
                JournalError(
                    error.isDiskFull ? .diskFull : .syncFailed, "the journal's head could not be written: \(error)")
            })
    }

    private func writeLastConfirmation(to owned: Owned) {
        guard let target = monitor.withLock({ $0.confirmTarget }) else { return }
        // Not needed for safety: the database's checkpoint is what counts.
        try? owned.file.write([], confirming: target, limits: limits, now: clock())
    }

    private func finish() {
        let (stopWaiters, waiters, commands) = monitor.withLock { state in
            state.isStopped = true
            defer { (state.stopWaiters, state.waiters, state.commands) = ([], [], []) }
            return (state.stopWaiters, state.waiters, state.commands)
        }
        for continuation in stopWaiters { continuation.resume() }
        for waiter in waiters { waiter.continuation.resume() }
        for command in commands {
            switch command {
            case .rewind(_, let continuation), .renew(_, let continuation):
                continuation.resume(returning: .failure(JournalError(.closed, "the journal is closed")))
            }
        }
    }
}
