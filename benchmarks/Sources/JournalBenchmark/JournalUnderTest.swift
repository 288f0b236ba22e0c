import Glibc
import Journal
import Logging
import Messaging
import SQLiteJournal
import Synchronization

/// What is written: the size of a short text's webhook.
enum Webhook {
    static let body = [UInt8](repeating: UInt8(ascii: "x"), count: 700)
    static let signature = [UInt8](repeating: UInt8(ascii: "f"), count: 71)
}

/// The gateway's journal, kept busy.
struct JournalUnderTest {
    private let journal: SQLiteJournal

    init(_ directory: String) throws {
        journal = try SQLiteJournal(
            directory: directory, limits: JournalLimits(keepSeconds: 0, keepBytes: 0), newID: UniqueID(high: 1, low: 1),
            logger: Logger(label: "journal"), clock: { Timestamp(microseconds: 1_800_000_000_000_000) },
            onFatal: { JournalBenchmark.refuse("\($0)") })
    }

    /// Webhooks a second that became durable.
    func rate(writers: Int, seconds: Int) async throws -> Double {
        let load = JournalLoad(journal, until: .now + .seconds(seconds))
        let began = ContinuousClock.now
        await load.run(writers: writers)
        let elapsed = began.duration(to: .now) / .seconds(1)
        try await journal.confirm(upTo: journal.standing.last)
        return Double(load.durable) / elapsed
    }

    func close() async { await journal.close() }
}

/// So many at once, each of whom hands over the next webhook when the last one is durable.
private final class JournalLoad: AppendSink {
    private struct State {
        var durable = 0
        var waiting = 0
        var done: CheckedContinuation<Void, Never>?
    }

    private let journal: SQLiteJournal
    private let end: ContinuousClock.Instant
    private let state = Mutex(State())

    init(_ journal: SQLiteJournal, until end: ContinuousClock.Instant) {
        self.journal = journal
        self.end = end
    }

    var durable: Int { state.withLock { $0.durable } }

    func run(writers: Int) async {
        await withCheckedContinuation { continuation in
            state.withLock { state in
                state.done = continuation
                state.waiting = writers
            }
            for writer in 0..<writers { handOver(AppendTicket(UInt64(writer))) }
        }
    }

    func appended(_ tickets: [AppendTicket], result: Swift.Result<DurabilityReceipt, JournalError>) {
        if case .failure(let error) = result { JournalBenchmark.refuse("\(error)") }
        let isOver = ContinuousClock.now >= end
        let done = state.withLock { state -> CheckedContinuation<Void, Never>? in
            state.durable += tickets.count
            if isOver { state.waiting -= tickets.count }
            return state.waiting == 0 ? state.done : nil
        }
        if let done { done.resume() } else if !isOver { for ticket in tickets { handOver(ticket) } }
    }

    private func handOver(_ ticket: AppendTicket) {
        let envelope = Envelope(
            source: .meta, receivedAt: Timestamp(microseconds: 1_800_000_000_000_000), signature: Webhook.signature,
            body: Webhook.body)
        if let refusal = journal.append(envelope, ticket: ticket, sink: self) { JournalBenchmark.refuse("\(refusal)") }
    }
}

/// The least a durable webhook can cost: a file that is there already, written over and synced once a group.
final class PlainFile {
    private static let size = 64 << 20
    private let descriptor: Int32
    private var offset = 0

    init(_ path: String) throws {
        descriptor = open(path, O_CREAT | O_RDWR, 0o600)
        let zeros = [UInt8](repeating: 0, count: 1 << 20)
        for megabyte in 0..<(Self.size >> 20) where pwrite(descriptor, zeros, zeros.count, off_t(megabyte << 20)) < 0 {
            JournalBenchmark.refuse("cannot write \(path): \(String(cString: strerror(errno)))")
        }
        fsync(descriptor)
    }

    deinit { close(descriptor) }

    func rate(group: Int, seconds: Int) -> Double {
        let bytes = [UInt8](repeating: 1, count: group * (Webhook.body.count + Webhook.signature.count))
        let began = ContinuousClock.now
        let end = began + .seconds(seconds)
        var count = 0
        while ContinuousClock.now < end {
            if offset + bytes.count > Self.size { offset = 0 }
            guard pwrite(descriptor, bytes, bytes.count, off_t(offset)) == bytes.count, fdatasync(descriptor) == 0
            else {
                JournalBenchmark.refuse("cannot write the reference: \(String(cString: strerror(errno)))")
            }
            offset += bytes.count
            count += group
        }
        return Double(count) / (began.duration(to: .now) / .seconds(1))
    }
}
