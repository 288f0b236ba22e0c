import CPostgres
import Glibc
import Synchronization

/// One connection to a server. Its calls block a thread of its own, never the cooperative pool, and each has a time
/// limit: past it the connection is closed, for nobody knows what the server did.
///
/// A call is not cut short when its task is cancelled; it ends by itself or by its limit.
package actor PostgresConnection {
    /// Whether the connection can be given to the next caller; readable from anywhere.
    package enum Phase: UInt8, Sendable, AtomicRepresentable {
        case idle
        case inTransaction
        case closed
    }

    private let executor: ConnectionExecutor
    private let phaseCell = Atomic<Phase>(.closed)
    private let socketCell = Atomic<Int32>(-1)
    let configuration: PostgresConfiguration
    /// `nil` once closed; never opened again.
    private var handle: PostgresHandle?
    /// Statements prepared here, and the names they got.
    private var prepared: [String: String] = [:]
    private var preparedCount = 0
    /// Parameters of the call under way; kept for its room.
    private var parameterBytes: [UInt8] = []
    /// A COPY was begun and is not read to its end.
    private(set) var isCopying = false
    let wakeUp: WakeUp

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    private init(_ configuration: PostgresConfiguration) throws(PostgresError) {
        self.configuration = configuration
        self.executor = ConnectionExecutor(label: "postgres \(configuration.applicationName)")
        self.wakeUp = try WakeUp()
    }

    /// Connects and applies the session settings.
    package static func connect(_ configuration: PostgresConfiguration) async throws(PostgresError)
        -> PostgresConnection
    {
        let connection = try PostgresConnection(configuration)
        try await connection.open()
        return connection
    }

    private func open() throws(PostgresError) {
        let opened = try PostgresHandle.open(configuration)
        let pointer = opened.pointer
        handle = consume opened
        socketCell.store(PQsocket(pointer), ordering: .releasing)
        notePhase()
        var settings = configuration.settings
        // A statement whose caller has gone ends by itself; older servers do not know the setting.
        if PQserverVersion(pointer) >= 14_00_00 { settings.insert(("client_connection_check_interval", "2s"), at: 0) }
        settings.insert(("standard_conforming_strings", "on"), at: 0)
        let calls = settings.indices.map { "set_config($\(2 * $0 + 1), $\(2 * $0 + 2), false)" }
        _ = try query(
            "SELECT \(calls.joined(separator: ", "))", settings.flatMap { [.text($0.name), .text($0.value)] })
    }

    /// What can be done with the connection now.
    package nonisolated var phase: Phase { phaseCell.load(ordering: .acquiring) }

    /// Whether an idle connection still stands: nothing has come in that nobody asked for, such as its end.
    package nonisolated var isQuiet: Bool {
        guard phase != .closed else { return false }
        var descriptor = pollfd(fd: socketCell.load(ordering: .acquiring), events: Int16(POLLIN), revents: 0)
        return poll(&descriptor, 1, 0) == 0
    }

    /// The server's version, as `150020`.
    package var serverVersion: Int { pointer.map { Int(PQserverVersion($0)) } ?? 0 }

    package func close() {
        phaseCell.store(.closed, ordering: .releasing)
        socketCell.store(-1, ordering: .releasing)
        handle = nil
    }
}

// MARK: Statements

extension PostgresConnection {
    /// Runs one statement with parameters and results in binary format.
    /// - Parameter timeout: instead of the configuration's `callTimeout`.
    package func query(
        _ sql: String, _ parameters: [PostgresValue] = [], timeout: Duration? = nil
    ) throws(PostgresError) -> PostgresRows {
        let types = parameters.map(\.type)
        return try run(timeout, parameters) { pointer, values, lengths, formats in
            PQsendQueryParams(pointer, sql, Int32(types.count), types, values, lengths, formats, 1)
        }
    }

    /// Runs a statement that this connection prepares the first time.
    package func query(
        _ statement: PostgresStatement, _ parameters: [PostgresValue], timeout: Duration? = nil
    ) throws(PostgresError) -> PostgresRows {
        let name = try prepare(statement, parameters, timeout)
        do {
            return try run(timeout, parameters) { pointer, values, lengths, formats in
                PQsendQueryPrepared(pointer, name, Int32(parameters.count), values, lengths, formats, 1)
            }
        } catch {
            // Its plan does not fit the tables any more, or the server forgot it: prepared anew next time.
            if error.sqlState == "0A000" || error.sqlState == "26000" { prepared[statement.name] = nil }
            throw error
        }
    }

    /// Runs the statements of a script, separated by semicolons, without parameters. A script that holds no BEGIN or
    /// COMMIT is one transaction.
    package func execute(_ script: String, timeout: Duration? = nil) throws(PostgresError) {
        let deadline = deadline(timeout)
        let pointer = try usable()
        guard PQsendQuery(pointer, script) == 1 else { throw lost(pointer) }
        _ = try finish(pointer, deadline)
    }

    private func prepare(
        _ statement: PostgresStatement, _ parameters: [PostgresValue], _ timeout: Duration?
    ) throws(PostgresError) -> String {
        if let name = prepared[statement.name] { return name }
        preparedCount += 1
        let name = "\(statement.name)_\(preparedCount)"
        let deadline = deadline(timeout)
        let pointer = try usable()
        guard PQsendPrepare(pointer, name, statement.sql, 0, nil) == 1 else { throw lost(pointer) }
        _ = try finish(pointer, deadline)
        prepared[statement.name] = name
        return name
    }

    private typealias Send = (
        OpaquePointer, [UnsafePointer<CChar>?], _ lengths: [Int32], _ formats: [Int32]
    ) -> Int32

    private func run(
        _ timeout: Duration?, _ parameters: [PostgresValue], _ send: Send
    ) throws(PostgresError) -> PostgresRows {
        let deadline = deadline(timeout)
        let pointer = try usable()
        guard withParameters(parameters, { send(pointer, $0, $1, $2) }) == 1 else { throw lost(pointer) }
        return try finish(pointer, deadline)
    }

    /// All parameters stand one after the other in one buffer, so that one pointer each is enough.
    private func withParameters(
        _ parameters: [PostgresValue],
        _ body: ([UnsafePointer<CChar>?], _ lengths: [Int32], _ formats: [Int32]) -> Int32
    ) -> Int32 {
        parameterBytes.removeAll(keepingCapacity: true)
        var offsets: [Int?] = []
        var lengths: [Int32] = []
        for parameter in parameters {
            let start = parameterBytes.count
            offsets.append(parameter.append(to: &parameterBytes) ? start : nil)
            lengths.append(Int32(parameterBytes.count - start))
        }
        parameterBytes.append(0)
        let formats = [Int32](repeating: 1, count: parameters.count)
        defer { if parameterBytes.capacity > Self.parameterRoomKept { parameterBytes = [] } }
        return parameterBytes.withUnsafeBufferPointer { buffer in
            buffer.withMemoryRebound(to: CChar.self) { characters in
                body(
                    offsets.map { offset in offset.flatMap { characters.baseAddress?.advanced(by: $0) } }, lengths,
                    formats)
            }
        }
    }

    /// Room for parameters that one large batch does not take for ever.
    private static let parameterRoomKept = 4 << 20

    /// Waits for everything the server has to say, and returns the last result, or throws the first error.
    private func finish(_ pointer: OpaquePointer, _ deadline: ContinuousClock.Instant) throws(PostgresError)
        -> PostgresRows
    {
        defer { notePhase() }
        try flush(pointer, deadline)
        var last: ResultStorage?
        var failure: PostgresError?
        while let result = try nextResult(pointer, deadline) {
            switch PQresultStatus(result.result) {
            case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY: last = result
            case PGRES_COPY_IN, PGRES_COPY_OUT, PGRES_COPY_BOTH:
                close()
                throw PostgresError(.unexpectedResult, "a COPY was sent as a plain statement; the connection is closed")
            default:
                failure = failure ?? refusal(result, pointer)
            }
        }
        if PQstatus(pointer) != CONNECTION_OK || failure?.code == .connectionLost {
            close()
            throw failure ?? PostgresError(.connectionLost, "the connection to PostgreSQL broke")
        }
        if let failure { throw failure }
        guard let last else { throw PostgresError(.unexpectedResult, "the server answered nothing") }
        return PostgresRows(last)
    }
}

// MARK: Waiting

extension PostgresConnection {
    func deadline(_ timeout: Duration?) -> ContinuousClock.Instant {
        .now + (timeout ?? configuration.callTimeout)
    }

    /// The open connection, with nothing under way.
    func usable() throws(PostgresError) -> OpaquePointer {
        guard let pointer = pointer else {
            throw PostgresError(.connectionLost, "the connection to PostgreSQL is closed")
        }
        precondition(!isCopying, "a COPY is under way")
        return pointer
    }

    var pointer: OpaquePointer? {
        switch handle {
        case .some(let handle): handle.pointer
        case .none: nil
        }
    }

    /// Closes the connection, and says what libpq last said.
    func lost(_ pointer: OpaquePointer) -> PostgresError {
        let message = PostgresHandle.lastMessage(pointer)
        close()
        return PostgresError(.connectionLost, "the connection to PostgreSQL broke: \(message)")
    }

    /// What a result says went wrong. After a FATAL one the server closes the connection, also where that was not seen
    /// yet.
    func refusal(_ result: ResultStorage, _ pointer: OpaquePointer) -> PostgresError {
        let severity = PQresultErrorField(result.result, Int32(UInt8(ascii: "V"))).map { String(cString: $0) }
        let isFatal = severity == "FATAL" || severity == "PANIC"
        return PostgresError(result.result, isConnected: PQstatus(pointer) == CONNECTION_OK && !isFatal)
    }

    func notePhase() {
        guard let pointer else { return }
        let phase: Phase = PQtransactionStatus(pointer) == PQTRANS_IDLE ? .idle : .inTransaction
        phaseCell.store(PQstatus(pointer) == CONNECTION_OK ? phase : .closed, ordering: .releasing)
    }

    func setCopying(_ value: Bool) { isCopying = value }

    func flush(_ pointer: OpaquePointer, _ deadline: ContinuousClock.Instant) throws(PostgresError) {
        while true {
            switch PQflush(pointer) {
            case 0: return
            case 1:
                // The server may have to be read from before it goes on reading from us.
                let ready = try wait(pointer, Int16(POLLIN | POLLOUT), deadline)
                if ready & Int16(POLLIN) != 0, PQconsumeInput(pointer) == 0 { throw lost(pointer) }
            default: throw lost(pointer)
            }
        }
    }

    /// The next result of what was sent; `nil` when there is no further one.
    func nextResult(_ pointer: OpaquePointer, _ deadline: ContinuousClock.Instant) throws(PostgresError)
        -> ResultStorage?
    {
        while PQisBusy(pointer) != 0 {
            _ = try wait(pointer, Int16(POLLIN), deadline)
            // A connection that breaks here still has its last words among the results.
            if PQconsumeInput(pointer) == 0 { break }
        }
        return PQgetResult(pointer).map(ResultStorage.init)
    }

    /// Returns when the socket is ready; past the deadline the connection is closed.
    func wait(
        _ pointer: OpaquePointer, _ events: Int16, _ deadline: ContinuousClock.Instant
    ) throws(PostgresError) -> Int16 {
        while true {
            var descriptor = pollfd(fd: PQsocket(pointer), events: events, revents: 0)
            let ready = poll(&descriptor, 1, Self.milliseconds(until: deadline))
            if ready > 0 { return descriptor.revents }
            if ready == 0, deadline <= .now {
                close()
                throw PostgresError(
                    .connectionLost,
                    "PostgreSQL did not answer in time: the connection is closed; what was under way may have happened"
                )
            }
            if ready < 0, errno != EINTR { throw lost(pointer) }
        }
    }

    /// For `poll`: rounded up, so that it does not spin through the last fraction.
    static func milliseconds(until deadline: ContinuousClock.Instant) -> Int32 {
        let left = deadline - .now
        guard left > .zero else { return 0 }
        return Int32(clamping: Int64((left / .milliseconds(1)).rounded(.up)))
    }
}
