/// Decides which connection sends which request, and keeps the books. Pure: the caller tells the time and carries bytes.
///
/// ```
///           opened          nextSend           answered
///   ┌──────┐ ───▶ ┌──────────────┐ ───▶ ┌──────┐ ───▶ idle
///   │ away │      │ idle (since) │      │ busy │
///   └──────┘ ◀─── └──────────────┘      └──────┘ ───▶ away, its request broken
///            lost                        lost
/// ```
/// Requests become due by the schedule alone. Each goes to the connection that has been idle longest; while none is, it
/// waits, and its latency counts from the time it was due: a server that stalls is not spared the requests that it kept
/// from being sent (no coordinated omission).
struct LoadStateMachine: Sendable {
    private enum Connection {
        /// → idle
        case away
        /// → busy, away
        case idle(since: Int64)
        /// → idle, away
        case busy(Int64)
    }

    let schedule: LoadSchedule
    private(set) var tally = LoadTally()
    private var connections: [Connection]
    /// Idle ones, the longest idle first, from `firstIdle` on.
    private var idle: [Int] = []
    private var firstIdle = 0
    private var nextNumber: Int64 = 0
    private var busyCount = 0

    /// How long after its end the schedule's last requests may still be sent, so that a short stall at the end is
    /// measured and not cut off.
    private static let sendGrace: Int64 = 1_000_000_000

    init(schedule: LoadSchedule, connections count: Int) {
        self.schedule = schedule
        connections = Array(repeating: .away, count: count)
    }

    mutating func opened(_ connection: Int, at now: Int64) {
        guard case .away = connections[connection] else { return }
        becomeIdle(connection, since: now)
    }

    /// What is to be sent now, and over which connection; `nil` when nothing is due or no connection is free.
    mutating func nextSend(at now: Int64) -> (connection: Int, number: Int64)? {
        guard firstIdle < idle.count, hasRequests(at: now) else { return nil }
        let due = schedule.due(nextNumber)
        guard due <= now, case .idle(let since) = connections[idle[firstIdle]] else { return nil }
        let (connection, number) = (idle[firstIdle], nextNumber)
        firstIdle += 1
        nextNumber += 1
        busyCount += 1
        connections[connection] = .busy(number)
        if schedule.isMeasured(number) {
            tally.sent += 1
            // Late by the generator's own fault: a connection was free, and the time had come.
            tally.lateness.record(now - max(due, since))
        }
        return (connection, number)
    }

    /// When the next request can be sent without another answer; `nil` when only an answer helps, or none is left.
    func nextWake(at now: Int64) -> Int64? {
        firstIdle < idle.count && hasRequests(at: now) ? schedule.due(nextNumber) : nil
    }

    /// - Returns: the request that this connection waited for.
    @discardableResult
    mutating func answered(_ connection: Int, status: Int, at now: Int64) -> Int64? {
        guard case .busy(let number) = connections[connection] else { return nil }
        busyCount -= 1
        becomeIdle(connection, since: now)
        if status == 200, schedule.measuredFrom <= now, now < schedule.end { tally.acknowledgedInTime += 1 }
        if status != 200 {
            tally.refused[status, default: 0] += 1
        } else if schedule.isMeasured(number) {
            tally.acknowledged += 1
            tally.latency.record(now - schedule.due(number))
        }
        return number
    }

    /// A connection is gone, or never came.
    mutating func lost(_ connection: Int) {
        switch connections[connection] {
        case .away: return
        case .idle:
            forgetPassed()
            idle.removeAll { $0 == connection }
        case .busy:
            busyCount -= 1
            tally.broken += 1
        }
        connections[connection] = .away
    }

    /// Nothing more will be sent, and everything sent has its answer.
    func isFinished(at now: Int64) -> Bool { busyCount == 0 && !hasRequests(at: now) }

    /// When nothing more is sent.
    var lastSend: Int64 { schedule.end + Self.sendGrace }

    /// Closes the books. What has no answer counts with the time it has waited until now: its latency is at least that.
    mutating func end(at now: Int64) {
        for case .busy(let number) in connections where schedule.isMeasured(number) {
            tally.unanswered += 1
            tally.latency.record(now - schedule.due(number))
        }
        let first = max(nextNumber, schedule.firstMeasured)
        tally.unsent = UInt64(max(0, schedule.count - first))
        // They are as evenly spread as a few thousand of them.
        let step = max(1, (schedule.count - first) / 4096)
        for number in stride(from: first, to: schedule.count, by: Int(step)) {
            let times = min(step, schedule.count - number)
            tally.latency.record(now - schedule.due(number), times: UInt64(times))
        }
    }

    private func hasRequests(at now: Int64) -> Bool { nextNumber < schedule.count && now <= lastSend }

    private mutating func becomeIdle(_ connection: Int, since now: Int64) {
        connections[connection] = .idle(since: now)
        if firstIdle >= 1024 { forgetPassed() }
        idle.append(connection)
    }

    private mutating func forgetPassed() {
        idle.removeFirst(firstIdle)
        firstIdle = 0
    }
}

/// The books of a run: of the requests that were due while it was measured, where nothing else is said.
struct LoadTally: Sendable {
    var sent: UInt64 = 0
    /// Answered with 200.
    var acknowledged: UInt64 = 0
    /// Answers with 200 that came while it was measured, to whichever request: what the rate is made of.
    var acknowledgedInTime: UInt64 = 0
    /// Other answers, by status; the warm-up's too.
    var refused: [Int: UInt64] = [:]
    /// Requests whose connection ended before their answer; the warm-up's too.
    var broken: UInt64 = 0
    /// Requests without an answer at the end.
    var unanswered: UInt64 = 0
    /// Requests that were never sent: no connection became free for them.
    var unsent: UInt64 = 0
    /// Of the acknowledged, from the time they were due; of the unanswered and unsent, as long as they were waited for.
    var latency = LatencyHistogram()
    /// How late a free connection got its request.
    var lateness = LatencyHistogram()
}
