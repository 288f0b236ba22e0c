import CSQLite
import Glibc
import Journal
import Logging
import Messaging
import SQLiteJournal
import Synchronization
import Testing

/// Waits for tickets to be answered.
final class RecordingSink: AppendSink {
    private struct State {
        var answers: [UInt64: Result<Int64, JournalError>] = [:]
        var waiting: (count: Int, continuation: CheckedContinuation<Void, Never>)?
    }
    private let state = Mutex(State())

    func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>) {
        let ready = state.withLock { state -> CheckedContinuation<Void, Never>? in
            for ticket in tickets { state.answers[ticket.value] = result.map(\.position.value) }
            guard let waiting = state.waiting, state.answers.count >= waiting.count else { return nil }
            state.waiting = nil
            return waiting.continuation
        }
        ready?.resume()
    }

    func answers(_ count: Int) async -> [UInt64: Result<Int64, JournalError>] {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.answers.count >= count { return true }
                state.waiting = (count, continuation)
                return false
            }
            if isDone { continuation.resume() }
        }
        return state.withLock { $0.answers }
    }
}

/// Notes how the kernel schedules the thread that tells it.
final class SchedulingSink: AppendSink {
    private let told = AsyncStream<Int32>.makeStream()

    func appended(_ tickets: [AppendTicket], result: Result<DurabilityReceipt, JournalError>) {
        told.continuation.yield(sched_getscheduler(0))
    }

    var policy: Int32? {
        get async { await told.stream.first { _ in true } }
    }

    /// Asked of the system by trying it.
    static var isRealTimeAllowed: Bool {
        var parameters = sched_param(sched_priority: 1)
        guard sched_setscheduler(0, SCHED_RR, &parameters) == 0 else { return false }
        parameters.sched_priority = 0
        return sched_setscheduler(0, SCHED_OTHER, &parameters) == 0
    }
}

/// A directory that goes away with the value.
final class TemporaryDirectory: Sendable {
    let path: String

    init() {
        var template = Array("/tmp/journal-test-XXXXXX".utf8CString)
        path = template.withUnsafeMutableBufferPointer { String(cString: mkdtemp($0.baseAddress!)) }
    }

    deinit {
        for name in ["journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm", "journal.lock"] {
            unlink(path + "/" + name)
        }
        rmdir(path)
    }
}

@Suite("SQLiteJournal")
struct SQLiteJournalTests {
    private let directory = TemporaryDirectory()

    private func open(
        limits: JournalLimits = JournalLimits(), id: UInt64 = 1, now: Int64 = 1_000_000
    ) throws -> SQLiteJournal {
        try SQLiteJournal(
            directory: directory.path, limits: limits, newID: UniqueID(high: 0, low: id), logger: Logger(label: "test"),
            clock: { Timestamp(seconds: now) }, onFatal: { Issue.record("\($0)") })
    }

    private static func envelope(_ text: String, at seconds: Int64 = 1_000_000) -> Envelope {
        Envelope(
            source: .meta, receivedAt: Timestamp(seconds: seconds), signature: Array("sig \(text)".utf8),
            body: Array(text.utf8))
    }

    private static func append(_ texts: [String], to journal: SQLiteJournal, at seconds: Int64 = 1_000_000) async {
        let sink = RecordingSink()
        for (index, text) in texts.enumerated() {
            #expect(journal.append(envelope(text, at: seconds), ticket: AppendTicket(UInt64(index)), sink: sink) == nil)
        }
        _ = await sink.answers(texts.count)
    }

    private static func bodies(_ entries: [JournalEntry]) -> [String] {
        entries.map { String(decoding: $0.envelope.body, as: UTF8.self) }
    }

    @Test("What was appended is read back byte for byte, in order, from position 1")
    func readsBack() async throws {
        let journal = try open()
        await Self.append(["a", "", "c\u{0}\u{e9}"], to: journal)
        let entries = try await journal.entries(after: .start, limit: ReadLimit(entries: 10, bytes: 1000))
        #expect(entries.map(\.position.value) == [1, 2, 3])
        #expect(entries.map(\.envelope) == ["a", "", "c\u{0}\u{e9}"].map { Self.envelope($0) })
        await journal.close()
    }

    @Test("A receipt comes with a position that is already on disk")
    func receiptsFollowTheCommit() async throws {
        let journal = try open()
        let sink = RecordingSink()
        _ = journal.append(Self.envelope("x"), ticket: AppendTicket(7), sink: sink)
        let position = try #require(await sink.answers(1)[7]).get()
        let entries = try await journal.entries(
            after: JournalPosition(position - 1), limit: ReadLimit(entries: 1, bytes: 1))
        #expect(Self.bodies(entries) == ["x"])
        await journal.close()
    }

    @Test("The thread that syncs and tells who waits comes before ordinary ones, where the system allows it")
    func takesPrecedence() async throws {
        let journal = try open()
        let sink = SchedulingSink()
        _ = journal.append(Self.envelope("x"), ticket: AppendTicket(1), sink: sink)
        #expect(await sink.policy == (SchedulingSink.isRealTimeAllowed ? SCHED_RR : SCHED_OTHER))
        await journal.close()
    }

    @Test("A reader takes at most its limit, but never nothing while there is something")
    func limitsReads() async throws {
        let journal = try open()
        await Self.append(["aaaa", "bbbb", "cccc"], to: journal)
        #expect(try await journal.entries(after: .start, limit: ReadLimit(entries: 2, bytes: 1000)).count == 2)
        #expect(try await journal.entries(after: .start, limit: ReadLimit(entries: 9, bytes: 1)).count == 1)
        #expect(try await journal.entries(after: JournalPosition(3), limit: ReadLimit(entries: 9, bytes: 1)).isEmpty)
        await journal.close()
    }

    @Test("Entries, identity and confirmation survive a close; positions are never used again")
    func survivesReopening() async throws {
        let limits = JournalLimits(keepSeconds: 0, keepBytes: 0)
        var journal = try open(limits: limits, now: 2_000_000)
        await Self.append(["1", "2", "3"], to: journal)
        try await journal.confirm(upTo: JournalPosition(3))
        await journal.close()
        journal = try open(limits: limits, id: 99, now: 2_000_000)
        #expect(journal.standing.id == UniqueID(high: 0, low: 1))
        #expect(journal.standing.confirmed == JournalPosition(3))
        await Self.append(["4"], to: journal)
        await Self.append(["5"], to: journal)
        #expect(journal.standing.oldest > JournalPosition(3), "the confirmed entries were trimmed")
        let entries = try await journal.entries(after: .start, limit: ReadLimit(entries: 9, bytes: 1000))
        #expect(entries.map(\.position.value) == [4, 5])
        await journal.close()
    }

    @Test("Confirmed entries are kept for their time and their bytes; unconfirmed ones always")
    func keepsConfirmedEntries() async throws {
        let journal = try open(limits: JournalLimits(keepSeconds: 100, keepBytes: 1 << 30), now: 1_000_050)
        await Self.append(["young"], to: journal)
        try await journal.confirm(upTo: JournalPosition(1))
        await Self.append(["next"], to: journal)
        await Self.append(["next"], to: journal)
        #expect(journal.standing.oldest == JournalPosition(1))
        await journal.close()
    }

    @Test("Trimming follows inserts a few at a time")
    func trimsLittleByLittle() async throws {
        let limits = JournalLimits(keepSeconds: 0, keepBytes: 1 << 40)
        let journal = try open(limits: limits, now: 9_000_000)
        for _ in 0..<10 { await Self.append((0..<20).map { "\($0)" }, to: journal) }
        try await journal.confirm(upTo: JournalPosition(200))
        await Self.append(["a"], to: journal)
        await Self.append(["b"], to: journal)
        let oldest = journal.standing.oldest.value
        #expect(oldest > 1 && oldest <= 31, "one entry more makes room for ten old ones, not for all: \(oldest)")
        await journal.close()
    }

    @Test("A backlog over the budget is refused, and taken again once it is confirmed")
    func appliesTheBudget() async throws {
        let journal = try open(limits: JournalLimits(unconfirmedBytesMax: 300))
        await Self.append(["x", "y", "z", "w"], to: journal)
        let sink = RecordingSink()
        var refusal: JournalError?
        while refusal == nil { refusal = journal.append(Self.envelope("more"), ticket: AppendTicket(1), sink: sink) }
        #expect(refusal?.code == .full)
        #expect(refusal?.message.contains("GATEWAY_JOURNAL_MAX_BYTES") == true)
        try await journal.confirm(upTo: journal.standing.last)
        await Self.until { journal.refusal == nil }
        await journal.close()
    }

    @Test("A second opener of the same directory is turned away, with the holder's process named")
    func isHeldByOne() async throws {
        let journal = try open()
        do {
            _ = try open()
            Issue.record("the directory was opened twice")
        } catch let error as JournalError {
            #expect(error.code == .locked)
            #expect(error.message.contains("process \(getpid())"))
        }
        await journal.close()
    }

    @Test("A file that is no journal is refused with its path, and left alone")
    func refusesForeignFiles() throws {
        let path = directory.path + "/journal.sqlite"
        let file = try #require(fopen(path, "w"))
        fputs(String(repeating: "not a database ", count: 100), file)
        fclose(file)
        #expect { _ = try open() } throws: { error in
            (error as? JournalError)?.code == .unreadable && "\(error)".contains(path)
        }
    }

    @Test("Waiting for entries ends when one comes, and when the task is cancelled")
    func waitsForEntries() async throws {
        let journal = try open()
        async let waited: Void = journal.entriesAvailable(after: .start)
        await Self.append(["x"], to: journal)
        await waited
        let cancelled = Task { await journal.entriesAvailable(after: JournalPosition(1)) }
        cancelled.cancel()
        await cancelled.value
        await journal.close()
    }

    @Test("Going back hands the entries out again and counts them as backlog")
    func rewinds() async throws {
        let journal = try open()
        await Self.append(["1", "2", "3"], to: journal)
        try await journal.confirm(upTo: JournalPosition(3))
        await Self.until { journal.standing.backlogBytes == 0 }
        try await journal.rewind(to: JournalPosition(1))
        #expect(journal.standing.confirmed == JournalPosition(1))
        #expect(journal.standing.backlogBytes == 2 * (64 + 1 + 5))
        await journal.close()
    }

    @Test("A new identity is kept")
    func renews() async throws {
        let journal = try open()
        try await journal.renew(id: UniqueID(high: 7, low: 7))
        await journal.close()
        let again = try open()
        #expect(again.standing.id == UniqueID(high: 7, low: 7))
        await again.close()
    }

    @Test("The log beside the journal begins anew while webhooks keep coming")
    func boundsTheLog() async throws {
        let journal = try open()
        let text = String(repeating: "x", count: 100_000)
        for _ in 0..<100 { await Self.append([text], to: journal) }
        let log = Glibc.open(directory.path + "/journal.sqlite-wal", O_RDONLY)
        #expect((1...3_000_000).contains(lseek(log, 0, SEEK_END)), "of 10 MB written")
        Glibc.close(log)
        await journal.close()
    }

    @Test("The file is in WAL mode and the writer's connection syncs at every commit")
    func syncsFully() async throws {
        let journal = try open()
        await Self.append(["x"], to: journal)
        // The mode of the writer's own connection is asserted where it is opened; here: that the file is in WAL mode.
        var handle: OpaquePointer?
        #expect(sqlite3_open(directory.path + "/journal.sqlite", &handle) == SQLITE_OK)
        var statement: OpaquePointer?
        sqlite3_prepare_v2(handle, "PRAGMA journal_mode", -1, &statement, nil)
        #expect(sqlite3_step(statement) == SQLITE_ROW)
        #expect(String(cString: sqlite3_column_text(statement, 0)) == "wal")
        sqlite3_finalize(statement)
        sqlite3_close(handle)
        await journal.close()
    }

    /// Yields until a condition that another thread brings about holds.
    private static func until(_ condition: () -> Bool) async {
        while !condition() { await Task.yield() }
    }
}
