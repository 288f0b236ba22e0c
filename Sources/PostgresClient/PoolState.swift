/// What a caller gets: a connection, or the right to open one.
enum PoolGrant<Connection: Sendable>: Sendable {
    case connection(Connection)
    case open
}

/// What happens to a caller who asks.
enum PoolAnswer<Connection: Sendable> {
    case grant(PoolGrant<Connection>)
    case inLine
    case lineFull
    case closed
    case cancelled
}

/// What happens to a connection that comes back.
enum PoolReturn<Waiter> {
    case none
    case give(Waiter)
    case close
}

/// Who has which connection, and who waits: decisions only.
///
/// `standing` counts connections that are open or being opened; it never passes `connectionsMax`. Nobody waits while a
/// connection is idle or could be opened.
struct PoolState<Connection: Sendable, Waiter> {
    let connectionsMax: Int
    let waitersMax: Int
    private(set) var standing = 0
    /// The last one used is used next, so that its caches are warm.
    private var idle: [Connection] = []
    /// In order. Tickets climb, so one is found by halving.
    private var line: [(ticket: UInt64, waiter: Waiter)] = []
    private var tickets: UInt64 = 0
    private var isClosed = false

    init(connectionsMax: Int, waitersMax: Int) {
        self.connectionsMax = connectionsMax
        self.waitersMax = waitersMax
    }

    var usage: (lent: Int, idle: Int, waiting: Int) { (standing - idle.count, idle.count, line.count) }

    mutating func ticket() -> UInt64 {
        tickets += 1
        return tickets
    }

    mutating func ask(_ ticket: UInt64, _ waiter: Waiter) -> PoolAnswer<Connection> {
        if isClosed { return .closed }
        if let connection = idle.popLast() { return .grant(.connection(connection)) }
        if standing < connectionsMax {
            standing += 1
            return .grant(.open)
        }
        guard line.count < waitersMax else { return .lineFull }
        line.append((ticket, waiter))
        return .inLine
    }

    /// A caller goes away; `nil` if its turn had come already.
    mutating func leave(_ ticket: UInt64) -> Waiter? {
        guard let index = line.firstIndex(where: { $0.ticket == ticket }) else { return nil }
        return line.remove(at: index).waiter
    }

    mutating func returned(_ connection: Connection) -> PoolReturn<Waiter> {
        if isClosed {
            standing -= 1
            return .close
        }
        guard line.isEmpty else { return .give(line.removeFirst().waiter) }
        idle.append(connection)
        return .none
    }

    /// A connection is gone, or could not be opened: the first in line may open one.
    mutating func lost() -> Waiter? {
        guard !isClosed, !line.isEmpty else {
            standing -= 1
            return nil
        }
        return line.removeFirst().waiter
    }

    mutating func close() -> (idle: [Connection], waiters: [Waiter]) {
        isClosed = true
        standing -= idle.count
        defer {
            idle = []
            line = []
        }
        return (idle, line.map(\.waiter))
    }
}
