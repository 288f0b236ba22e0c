import CSQLite
import Journal
import Messaging

/// The journal's tables: what is written in one transaction, and what is read back at start.
///
/// `bytes_through` counts the bytes of all entries ever written, up to and including its row: the size of any range is a
/// subtraction, so neither start nor trimming ever scans.
struct JournalFile: ~Copyable {
    static let formatVersion: Int64 = 1

    private let connection: SQLiteConnection
    private let insert: SQLiteStatement
    private let trim: SQLiteStatement
    private let setConfirmed: SQLiteStatement
    private let throughAt: SQLiteStatement
    private let begin: SQLiteStatement
    private let commit: SQLiteStatement

    private(set) var id: UniqueID
    private(set) var confirmed: JournalPosition
    private(set) var confirmedThrough: Int64
    private(set) var last: JournalPosition
    private(set) var lastThrough: Int64
    /// The oldest entry that is still there; one past `last` when there is none.
    private(set) var oldest: JournalPosition

    var unconfirmedBytes: Int64 { lastThrough - confirmedThrough }

    /// Opens the file, or makes it with the given identity.
    init(path: String, newID: UniqueID, now: Timestamp) throws(SQLiteError) {
        let connection = try SQLiteConnection(path: path, flags: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE)
        try Self.configure(connection)
        try Self.createTables(connection, newID: newID, now: now)
        let head = try Self.readHead(connection, path: path)
        let insert = try connection.prepare(
            "INSERT INTO entries (received_at, source, bytes_through, signature, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        let trim = try connection.prepare(
            "DELETE FROM entries WHERE position < ?1 AND position <= ?2 AND (received_at < ?3 OR bytes_through <= ?4)")
        let setConfirmed = try connection.prepare("UPDATE journal SET confirmed = ?1, confirmed_through = ?2")
        let throughAt = try connection.prepare(
            "SELECT bytes_through FROM entries WHERE position <= ?1 ORDER BY position DESC LIMIT 1")
        let sequence = try connection.integer("SELECT seq FROM sqlite_sequence WHERE name = 'entries'") ?? 0
        let last = JournalPosition(max(sequence, head.confirmed.value))
        let through = try connection.integer("SELECT bytes_through FROM entries ORDER BY position DESC LIMIT 1")
        let first = try connection.integer("SELECT min(position) FROM entries")
        let begin = try connection.prepare("BEGIN IMMEDIATE")
        let commit = try connection.prepare("COMMIT")
        self.connection = connection
        self.insert = insert
        self.trim = trim
        self.setConfirmed = setConfirmed
        self.throughAt = throughAt
        self.begin = begin
        self.commit = commit
        id = head.id
        confirmed = head.confirmed
        confirmedThrough = head.confirmedThrough
        self.last = last
        lastThrough = max(through ?? 0, head.confirmedThrough)
        oldest = JournalPosition(first ?? last.value + 1)
    }

    private static func readHead(
        _ connection: borrowing SQLiteConnection, path: String
    ) throws(SQLiteError) -> (id: UniqueID, confirmed: JournalPosition, confirmedThrough: Int64) {
        let head = try connection.prepare("SELECT format, id, confirmed, confirmed_through FROM journal")
        guard try head.step(), let id = UniqueID(bytes: head.bytes(1)) else {
            throw SQLiteError(code: SQLITE_NOTADB, extended: 0, message: "\(path) has no journal row")
        }
        guard head.int64(0) == formatVersion else {
            throw SQLiteError(
                code: SQLITE_NOTADB, extended: 0,
                message: "\(path) has format \(head.int64(0)), this program reads \(formatVersion)")
        }
        return (id, JournalPosition(head.int64(2)), head.int64(3))
    }

    /// WAL, and a sync of it at every commit: SQLite's default in WAL mode would be to sync at checkpoints only. Pages are
    /// small, because a group of a few webhooks writes the last one again.
    private static func configure(_ connection: borrowing SQLiteConnection) throws(SQLiteError) {
        try connection.execute("PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL")
        try connection.execute("PRAGMA journal_size_limit = 67108864")
        connection.checkpointBySelf()
        guard try connection.text("PRAGMA journal_mode") == "wal", try connection.integer("PRAGMA synchronous") == 2
        else {
            throw SQLiteError(
                code: SQLITE_MISUSE, extended: 0, message: "SQLite refused journal_mode=WAL with synchronous=FULL")
        }
    }

    private static func createTables(
        _ connection: borrowing SQLiteConnection, newID: UniqueID, now: Timestamp
    ) throws(SQLiteError) {
        try connection.execute(
            """
            BEGIN IMMEDIATE;
            CREATE TABLE IF NOT EXISTS journal (
                one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, id BLOB NOT NULL,
                confirmed INTEGER NOT NULL, confirmed_through INTEGER NOT NULL, created_at INTEGER NOT NULL);
            CREATE TABLE IF NOT EXISTS entries (
                position INTEGER PRIMARY KEY AUTOINCREMENT, received_at INTEGER NOT NULL, source INTEGER NOT NULL,
                bytes_through INTEGER NOT NULL, signature BLOB NOT NULL, body BLOB NOT NULL);
            COMMIT;
            """)
        let create = try connection.prepare("INSERT OR IGNORE INTO journal VALUES (1, ?1, ?2, 0, 0, ?3)")
        let id = newID.bytes
        create.bind(1, formatVersion)
        create.bind(3, now.microseconds)
        let outcome = id.withUnsafeBytes { bytes -> Result<Bool, SQLiteError> in
            create.bind(2, bytes)
            do throws(SQLiteError) { return .success(try create.step()) } catch { return .failure(error) }
        }
        _ = try outcome.get()
    }

    /// Writes a group and deletes a few old entries, in one transaction with one sync.
    mutating func write(
        _ group: [Envelope], confirming target: JournalPosition?, limits: JournalLimits, now: Timestamp
    ) throws(SQLiteError) {
        try begin.run()
        do throws(SQLiteError) {
            var through = lastThrough
            for envelope in group {
                through += JournalFile.cost(of: envelope)
                try add(envelope, through: through)
            }
            let confirmation = try confirm(target)
            let trimmed =
                group.isEmpty ? 0 : try trimSome(2 * group.count + 8, through: through, limits: limits, now: now)
            try commit.run()
            last = JournalPosition(last.value + Int64(group.count))
            lastThrough = through
            oldest = JournalPosition(oldest.value + trimmed)
            if let confirmation { (confirmed, confirmedThrough) = confirmation }
        } catch {
            if sqlite3_get_autocommit(connection.handle) == 0 { try? connection.execute("ROLLBACK") }
            throw error
        }
    }

    /// Carries the log over into the database once it has 1 MiB: a checkpoint of 16 MiB was measured to hold up everybody
    /// who waits for a commit for 60 ms, and one beside the writing delays its syncs. To be called when those who waited
    /// for the last group have been told.
    func checkpointIfDue() throws(SQLiteError) { try connection.checkpoint(from: Self.checkpointPages) }

    private static let checkpointPages: Int32 = 256

    private func add(_ envelope: Envelope, through: Int64) throws(SQLiteError) {
        insert.bind(1, envelope.receivedAt.microseconds)
        insert.bind(2, Int64(envelope.source.rawValue))
        insert.bind(3, through)
        let result = envelope.signature.withUnsafeBytes { signature in
            envelope.body.withUnsafeBytes { body -> Result<Bool, SQLiteError> in
                insert.bind(4, signature)
                insert.bind(5, body)
                defer { insert.reset() }
                do throws(SQLiteError) { return .success(try insert.step()) } catch { return .failure(error) }
            }
        }
        _ = try result.get()
    }

    private func confirm(_ target: JournalPosition?) throws(SQLiteError) -> (JournalPosition, Int64)? {
        guard let target, target != confirmed else { return nil }
        var through = confirmedThrough
        if let exact = try bytesThrough(target) { through = exact }
        setConfirmed.bind(1, target.value)
        setConfirmed.bind(2, through)
        defer { setConfirmed.reset() }
        _ = try setConfirmed.step()
        return (target, through)
    }

    /// At most `count` entries, from the oldest on, that are confirmed and have been kept for long enough.
    private func trimSome(
        _ count: Int, through: Int64, limits: JournalLimits, now: Timestamp
    ) throws(SQLiteError) -> Int64 {
        guard oldest <= confirmed else { return 0 }
        trim.bind(1, oldest.value + Int64(count))
        trim.bind(2, confirmed.value)
        trim.bind(3, now.advanced(bySeconds: -limits.keepSeconds).microseconds)
        trim.bind(4, through - limits.keepBytes)
        defer { trim.reset() }
        _ = try trim.step()
        return Int64(sqlite3_changes(connection.handle))
    }

    /// Bytes of everything up to a position, or `nil` when nothing that old is kept.
    func bytesThrough(_ position: JournalPosition) throws(SQLiteError) -> Int64? {
        throughAt.bind(1, position.value)
        defer { throughAt.reset() }
        return try throughAt.step() ? throughAt.int64(0) : nil
    }

    /// Goes back: what lies behind `position` counts as unconfirmed again.
    mutating func rewind(to position: JournalPosition) throws(SQLiteError) {
        var through = lastThrough - (try keptBytes())
        if let exact = try bytesThrough(position) { through = exact }
        try connection.execute(
            "UPDATE journal SET confirmed = \(position.value), confirmed_through = \(through)")
        confirmed = position
        confirmedThrough = through
    }

    /// This file is a journal of its own from now on: its directory was copied, or came back from a backup.
    mutating func renew(id newID: UniqueID) throws(SQLiteError) {
        let hex = newID.description.filter { $0 != "-" }
        try connection.execute("UPDATE journal SET id = x'\(hex)'")
        id = newID
    }

    private func keptBytes() throws(SQLiteError) -> Int64 {
        guard let first = try connection.integer("SELECT bytes_through FROM entries ORDER BY position LIMIT 1") else {
            return 0
        }
        return lastThrough - first
    }

    static func cost(of envelope: Envelope) -> Int64 {
        GroupCommitStateMachine<any AppendSink>.cost(of: envelope)
    }
}
