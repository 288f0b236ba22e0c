import CSQLite
import Dispatch
import Journal
import Messaging

/// Reads entries beside the writer: WAL lets both go on. Blocking, so on a queue of its own.
final class JournalReader: Sendable {
    private final class Owned: @unchecked Sendable {
        let connection: SQLiteConnection
        let select: SQLiteStatement

        init(path: String) throws(SQLiteError) {
            connection = try SQLiteConnection(path: path, flags: SQLITE_OPEN_READONLY)
            select = try connection.prepare(
                "SELECT position, received_at, source, signature, body FROM entries WHERE position > ?1 ORDER BY position LIMIT ?2"
            )
        }
    }

    private let queue = DispatchQueue(label: "journal.reader")
    private let owned: Owned

    init(path: String) throws(SQLiteError) { owned = try Owned(path: path) }

    func entries(after position: JournalPosition, limit: ReadLimit) async throws(JournalError) -> [JournalEntry] {
        let result = await withCheckedContinuation {
            (continuation: CheckedContinuation<Result<[JournalEntry], SQLiteError>, Never>) in
            queue.async { [owned] in
                continuation.resume(
                    returning: Result { () throws(SQLiteError) in
                        try Self.read(owned.select, after: position, limit: limit)
                    })
            }
        }
        do throws(SQLiteError) {
            return try result.get()
        } catch {
            throw JournalError(.unreadable, "the journal cannot be read after position \(position.value): \(error)")
        }
    }

    private static func read(
        _ select: borrowing SQLiteStatement, after position: JournalPosition, limit: ReadLimit
    ) throws(SQLiteError) -> [JournalEntry] {
        select.bind(1, position.value)
        select.bind(2, Int64(limit.entries))
        defer { select.reset() }
        var entries: [JournalEntry] = []
        var bytes = 0
        while bytes < limit.bytes, try select.step() {
            guard let source = WebhookSource(rawValue: UInt8(truncatingIfNeeded: select.int64(2))) else {
                throw SQLiteError(
                    code: SQLITE_CORRUPT, extended: 0, message: "entry \(select.int64(0)) has source \(select.int64(2))"
                )
            }
            let envelope = Envelope(
                source: source, receivedAt: Timestamp(microseconds: select.int64(1)), signature: select.bytes(3),
                body: select.bytes(4))
            bytes += envelope.body.count + envelope.signature.count
            entries.append(JournalEntry(position: JournalPosition(select.int64(0)), envelope: envelope))
        }
        return entries
    }
}
