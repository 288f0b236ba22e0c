import CSQLite

/// One connection to one SQLite file, closed when its owner lets go. Used by one thread at a time.
struct SQLiteConnection: ~Copyable {
    let handle: OpaquePointer
    private let pagesInLog = UnsafeMutablePointer<Int32>.allocate(capacity: 1)

    /// - Parameter path: an absolute path; the file is made when `flags` say so.
    init(path: String, flags: Int32) throws(SQLiteError) {
        var handle: OpaquePointer?
        let code = sqlite3_open_v2(path, &handle, flags | SQLITE_OPEN_NOMUTEX, nil)
        guard code == SQLITE_OK, let handle else {
            let error = SQLiteError(
                code: code, extended: code, message: "open \(path): \(String(cString: sqlite3_errstr(code)))")
            sqlite3_close_v2(handle)
            pagesInLog.deallocate()
            throw error
        }
        self.handle = handle
        pagesInLog.initialize(to: 0)
        sqlite3_extended_result_codes(handle, 1)
        sqlite3_busy_timeout(handle, 5000)
    }

    deinit {
        sqlite3_close_v2(handle)
        pagesInLog.deallocate()
    }

    /// From now on a commit does not carry the log over into the database by itself; see `checkpoint(from:)`.
    func checkpointBySelf() {
        sqlite3_wal_hook(
            handle,
            { pages, _, _, count in
                pages?.assumingMemoryBound(to: Int32.self).pointee = count
                return SQLITE_OK
            }, pagesInLog)
    }

    /// Carries the log over into the database if it has at least so many pages; a reader in its way is let go on.
    func checkpoint(from pages: Int32) throws(SQLiteError) {
        guard pagesInLog.pointee >= pages else { return }
        let code = sqlite3_wal_checkpoint_v2(handle, nil, SQLITE_CHECKPOINT_PASSIVE, nil, nil)
        guard code == SQLITE_OK || code & 0xFF == SQLITE_BUSY else { throw error(code, "checkpoint") }
        pagesInLog.pointee = 0
    }

    /// Runs statements that return nothing.
    func execute(_ sql: String) throws(SQLiteError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        guard code == SQLITE_OK else { throw error(code, sql) }
    }

    func prepare(_ sql: String) throws(SQLiteError) -> SQLiteStatement {
        var statement: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &statement, nil)
        guard code == SQLITE_OK, let statement else { throw error(code, sql) }
        return SQLiteStatement(handle: statement, sql: sql)
    }

    /// The first column of the first row, as an integer.
    func integer(_ sql: String) throws(SQLiteError) -> Int64? {
        let statement = try prepare(sql)
        guard try statement.step() else { return nil }
        return statement.isNull(0) ? nil : statement.int64(0)
    }

    /// The first column of the first row, as text.
    func text(_ sql: String) throws(SQLiteError) -> String? {
        let statement = try prepare(sql)
        guard try statement.step(), let text = sqlite3_column_text(statement.handle, 0) else { return nil }
        return String(cString: text)
    }

    private func error(_ code: Int32, _ sql: String) -> SQLiteError {
        SQLiteError(
            code: code & 0xFF, extended: sqlite3_extended_errcode(handle),
            message: "\(String(cString: sqlite3_errmsg(handle))) (\(sql.prefix(60)))")
    }
}

/// A prepared statement, finalised when its owner lets go.
struct SQLiteStatement: ~Copyable {
    let handle: OpaquePointer
    private let sql: String

    fileprivate init(handle: OpaquePointer, sql: String) {
        self.handle = handle
        self.sql = sql
    }

    deinit { sqlite3_finalize(handle) }

    /// `true` while there is a row.
    func step() throws(SQLiteError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        if code == SQLITE_DONE { return false }
        let database = sqlite3_db_handle(handle)
        throw SQLiteError(
            code: code & 0xFF, extended: sqlite3_extended_errcode(database),
            message: "\(String(cString: sqlite3_errmsg(database))) (\(sql.prefix(60)))")
    }

    /// Steps once and makes ready for the next time; for statements that return nothing.
    func run() throws(SQLiteError) {
        defer { reset() }
        _ = try step()
    }

    func reset() { sqlite3_reset(handle) }
    func bind(_ index: Int32, _ value: Int64) { sqlite3_bind_int64(handle, index, value) }

    /// The bytes must stay where they are until the statement was stepped and reset.
    func bind(_ index: Int32, _ bytes: UnsafeRawBufferPointer) {
        if let base = bytes.baseAddress {
            sqlite3_bind_blob64(handle, index, base, UInt64(bytes.count), nil)
        } else {
            sqlite3_bind_zeroblob(handle, index, 0)
        }
    }

    func isNull(_ column: Int32) -> Bool { sqlite3_column_type(handle, column) == SQLITE_NULL }
    func int64(_ column: Int32) -> Int64 { sqlite3_column_int64(handle, column) }

    func bytes(_ column: Int32) -> [UInt8] {
        guard let base = sqlite3_column_blob(handle, column) else { return [] }
        return [UInt8](UnsafeRawBufferPointer(start: base, count: Int(sqlite3_column_bytes(handle, column))))
    }
}

/// What SQLite answered.
struct SQLiteError: Error, CustomStringConvertible {
    let code: Int32
    let extended: Int32
    let message: String

    var description: String { "SQLite \(code)/\(extended): \(message)" }

    /// The disk is full: nothing of the transaction was kept, and a later one may succeed.
    var isDiskFull: Bool { code == SQLITE_FULL }
}
