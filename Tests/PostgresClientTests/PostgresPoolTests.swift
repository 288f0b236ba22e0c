import Testing

@testable import PostgresClient

@Suite struct PostgresPoolTests {
    static func pool(_ limits: PostgresPool.Limits) async throws -> PostgresPool {
        PostgresPool(try await Server.configuration(), limits: limits)
    }

    static func process(_ connection: PostgresConnection) async throws(PostgresError) -> Int32 {
        try await connection.query("SELECT pg_backend_pid()").one().int32(0)
    }

    @Test("opens no more than it may, and uses each again")
    func bounded() async throws {
        let pool = try await Self.pool(.init(connectionsMax: 3))
        let processes = try await withThrowingTaskGroup(of: Int32.self) { group in
            for _ in 0..<50 { group.addTask { try await pool.withConnection(Self.process) } }
            return try await group.reduce(into: Set<Int32>()) { $0.insert($1) }
        }
        #expect((1...3).contains(processes.count))
        #expect(pool.usage.lent == 0 && pool.usage.idle == processes.count && pool.usage.waiting == 0)
        await pool.close()
        let error = await #expect(throws: PostgresError.self) { _ = try await pool.withConnection(Self.process) }
        #expect(error?.code == .poolClosed)
    }

    @Test("lends a connection to one caller at a time")
    func exclusive() async throws {
        let pool = try await Self.pool(.init(connectionsMax: 2))
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<40 {
                group.addTask {
                    let seen = try await pool.withConnection { connection throws(PostgresError) in
                        _ = try await connection.query("SELECT set_config('test.holder', '\(number)', false)")
                        for _ in 0..<5 { await Task.yield() }
                        return try await connection.query("SELECT current_setting('test.holder')").one().text(0)
                    }
                    #expect(seen == "\(number)")
                }
            }
            try await group.waitForAll()
        }
    }

    enum Spoiling: CaseIterable { case beganTransaction, closed, startedCopy }

    @Test(
        "a connection that comes back inside a transaction, or broken, is not lent again", arguments: Spoiling.allCases)
    func discards(_ spoiling: Spoiling) async throws {
        let pool = try await Self.pool(.init(connectionsMax: 1))
        let first = try await pool.withConnection { connection throws(PostgresError) in
            let process = try await Self.process(connection)
            switch spoiling {
            case .beganTransaction: try await connection.begin()
            case .closed: await connection.close()
            case .startedCopy: try await connection.startCopy("COPY (SELECT 1) TO STDOUT (FORMAT binary)")
            }
            return process
        }
        #expect(pool.usage.idle == 0)
        #expect(try await pool.withConnection(Self.process) != first)
    }

    @Test("a session that ended while it was idle is replaced before anybody notices")
    func replaces() async throws {
        let pool = try await Self.pool(.init(connectionsMax: 1))
        let first = try await pool.withConnection(Self.process)
        let killer = try await Server.connect()
        _ = try await killer.query("SELECT pg_terminate_backend($1, 10000)", [.int32(first)])
        #expect(try await pool.withConnection(Self.process) != first)
    }

    @Test("who waits too long, or comes when the line is full, is told so; a cancelled one leaves the line intact")
    func line() async throws {
        let pool = try await Self.pool(.init(connectionsMax: 1, waitersMax: 2, waitTimeout: .seconds(60)))
        let lease = try await pool.lease()
        let cancelled = Task { try await pool.withConnection(Self.process) }
        while pool.usage.waiting < 1 { await Task.yield() }
        let patient = Task { try await pool.withConnection(Self.process) }
        while pool.usage.waiting < 2 { await Task.yield() }
        let refused = await #expect(throws: PostgresError.self) { _ = try await pool.withConnection(Self.process) }
        #expect(refused?.code == .poolExhausted)
        cancelled.cancel()
        let error = await #expect(throws: PostgresError.self) { try await cancelled.value }
        #expect(error?.code == .cancelled)
        #expect(pool.usage.waiting == 1)
        let process = try await Self.process(lease.connection)
        _ = consume lease
        #expect(try await patient.value == process)
    }

    @Test("waiting ends after the time it may take")
    func waitEnds() async throws {
        let pool = try await Self.pool(.init(connectionsMax: 1, waitTimeout: .milliseconds(10)))
        let lease = try await pool.lease()
        let error = await #expect(throws: PostgresError.self) { _ = try await pool.withConnection(Self.process) }
        #expect(error?.code == .poolExhausted)
        _ = consume lease
        _ = try await pool.withConnection(Self.process)
    }

    @Test("a server that is away fails each caller and blocks none for later")
    func away() async throws {
        let configuration = PostgresConfiguration("host=127.0.0.1 port=1 dbname=nowhere", connectTimeoutSeconds: 2)
        let pool = PostgresPool(configuration, limits: .init(connectionsMax: 1, waitTimeout: .seconds(120)))
        await withTaskGroup(of: PostgresError.Code?.self) { group in
            for _ in 0..<8 {
                group.addTask {
                    do throws(PostgresError) { _ = try await pool.withConnection(Self.process) } catch {
                        return error.code
                    }
                    return nil
                }
            }
            for await code in group { #expect(code == .connectFailed) }
        }
        #expect(pool.usage == (0, 0, 0))
    }
}

@Suite struct PoolStateTests {
    @Test(
        "never passes its limits, leaves nobody waiting beside a free connection, and serves in order",
        arguments: 0..<50 as Range<UInt64>)
    func randomWalk(_ seed: UInt64) {
        var random = SplitMix(state: seed)
        let (connectionsMax, waitersMax) = (
            Int.random(in: 1...4, using: &random), Int.random(in: 0...5, using: &random)
        )
        var pool = PoolState<Int, UInt64>(connectionsMax: connectionsMax, waitersMax: waitersMax)
        var lent: [Int] = []
        var opening = 0
        var line: [UInt64] = []
        var made = 0
        for _ in 0..<500 {
            switch Int.random(in: 0..<5, using: &random) {
            case 0, 1:
                let ticket = pool.ticket()
                switch pool.ask(ticket, ticket) {
                case .grant(.connection(let connection)): lent.append(connection)
                case .grant(.open): opening += 1
                case .inLine: line.append(ticket)
                case .lineFull: #expect(line.count == waitersMax)
                case .closed, .cancelled: Issue.record("not closed")
                }
            case 2 where !lent.isEmpty:
                let connection = lent.remove(at: Int.random(in: lent.indices, using: &random))
                switch pool.returned(connection) {
                case .none: #expect(line.isEmpty)
                case .give(let waiter):
                    #expect(waiter == line.removeFirst())
                    lent.append(connection)
                case .close: Issue.record("not closed")
                }
            case 3 where opening > 0:
                opening -= 1
                if Bool.random(using: &random) {
                    made += 1
                    lent.append(made)
                } else if let waiter = pool.lost() {
                    #expect(waiter == line.removeFirst())
                    opening += 1
                }
            case 4 where !line.isEmpty:
                let ticket = line.remove(at: Int.random(in: line.indices, using: &random))
                #expect(pool.leave(ticket) == ticket)
                #expect(pool.leave(ticket) == nil)
            default: break
            }
            let usage = pool.usage
            #expect(
                pool.standing <= connectionsMax && usage.waiting == line.count && usage.lent == lent.count + opening)
            #expect(line.isEmpty || (usage.idle == 0 && pool.standing == connectionsMax))
        }
    }
}

struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
