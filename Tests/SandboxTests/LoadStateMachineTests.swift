import Testing

@testable import Sandbox

@Suite struct LoadStateMachineTests {
    private static let millisecond: Int64 = 1_000_000
    private static let second: Int64 = 1_000_000_000

    /// 1,000 a second from the time 0, one second measured: one due each millisecond.
    private static func machine(connections: Int, warmUp: Int = 0) -> LoadStateMachine {
        var machine = LoadStateMachine(
            schedule: LoadSchedule(start: 0, rate: 1000, warmUpSeconds: warmUp, seconds: 1), connections: connections)
        for connection in 0..<connections { machine.opened(connection, at: 0) }
        return machine
    }

    @Test("nothing is sent before it is due, and everything due is")
    func due() {
        var machine = Self.machine(connections: 4)
        #expect(machine.nextSend(at: 0)?.number == 0)
        #expect(machine.nextSend(at: Self.millisecond - 1) == nil)
        #expect(machine.nextWake(at: Self.millisecond - 1) == Self.millisecond)
        #expect(machine.nextSend(at: 2 * Self.millisecond)?.number == 1)
        #expect(machine.nextSend(at: 2 * Self.millisecond)?.number == 2)
        #expect(machine.nextSend(at: 2 * Self.millisecond) == nil)
    }

    @Test("the connection that has been idle longest sends")
    func fairness() {
        var machine = Self.machine(connections: 3)
        let first = (0..<3).compactMap { machine.nextSend(at: $0 * Self.millisecond)?.connection }
        #expect(first == [0, 1, 2])
        for connection in [1, 2, 0] { machine.answered(connection, status: 200, at: 3 * Self.millisecond) }
        let second = (3..<6).compactMap { machine.nextSend(at: $0 * Self.millisecond)?.connection }
        #expect(second == [1, 2, 0])
    }

    @Test("requests that a stalled server keeps from being sent have waited since they were due")
    func noOmission() {
        var machine = Self.machine(connections: 1)
        #expect(machine.nextSend(at: 0)?.number == 0)
        // The only connection is busy for half the time; then answers take no time at all.
        #expect(machine.nextWake(at: 500 * Self.millisecond) == nil)
        machine.answered(0, status: 200, at: 500 * Self.millisecond)
        for number in 1..<1000 {
            let now = max(500, Int64(number)) * Self.millisecond
            #expect(machine.nextSend(at: now)?.number == Int64(number))
            machine.answered(0, status: 200, at: now)
        }
        let tally = machine.tally
        #expect(tally.acknowledged == 1000)
        #expect(tally.latency.maximum == 500 * Self.millisecond)
        // Half of all waited, evenly from 500 ms to nothing.
        let p75 = tally.latency.percentile(75) ?? 0
        #expect(abs(p75 - 250 * Self.millisecond) < 2 * Self.millisecond)
        // None of it is the generator's fault.
        #expect(tally.lateness.maximum == 0)
    }

    @Test("a free connection that gets its request late is the generator's fault")
    func lateness() {
        var machine = Self.machine(connections: 2)
        #expect(machine.nextSend(at: 0) != nil)
        #expect(machine.nextSend(at: 4 * Self.millisecond)?.number == 1)
        #expect(machine.tally.lateness.maximum == 3 * Self.millisecond)
    }

    @Test("other answers are counted by status, and are no latency")
    func refusals() {
        var machine = Self.machine(connections: 1)
        for (number, status) in [200, 401, 503, 503].enumerated() {
            #expect(machine.nextSend(at: Int64(number) * Self.millisecond) != nil)
            machine.answered(0, status: status, at: Int64(number) * Self.millisecond + 10)
        }
        #expect(machine.tally.acknowledged == 1)
        #expect(machine.tally.refused == [401: 1, 503: 2])
        #expect(machine.tally.latency.count == 1)
    }

    @Test("a lost connection breaks its request, is not used, and is again once it is back")
    func lostConnections() {
        var machine = Self.machine(connections: 2)
        #expect(machine.nextSend(at: 0)?.connection == 0)
        machine.lost(0)
        machine.lost(0)
        #expect(machine.tally.broken == 1)
        machine.lost(1)
        #expect(machine.nextSend(at: Self.millisecond) == nil)
        #expect(machine.nextWake(at: Self.millisecond) == nil)
        machine.opened(1, at: 2 * Self.millisecond)
        machine.opened(1, at: 2 * Self.millisecond)
        #expect(machine.nextSend(at: 2 * Self.millisecond)?.connection == 1)
        #expect(machine.nextSend(at: 2 * Self.millisecond) == nil)
        #expect(machine.answered(0, status: 200, at: 3 * Self.millisecond) == nil)
    }

    @Test("an answer that nobody asked for changes nothing")
    func unasked() {
        var machine = Self.machine(connections: 1)
        #expect(machine.answered(0, status: 200, at: 5) == nil)
        #expect(machine.tally.acknowledged == 0)
        #expect(machine.nextSend(at: 5) != nil)
        #expect(machine.nextSend(at: Self.second) == nil)
    }

    @Test("the warm-up is not measured, its errors are")
    func warmUp() {
        var machine = Self.machine(connections: 1, warmUp: 1)
        for number in 0..<2000 {
            #expect(machine.nextSend(at: Int64(number) * Self.millisecond) != nil)
            machine.answered(0, status: number == 5 ? 500 : 200, at: Int64(number) * Self.millisecond)
        }
        #expect(machine.isFinished(at: 2 * Self.second))
        #expect(machine.tally.sent == 1000)
        #expect(machine.tally.acknowledged == 1000)
        #expect(machine.tally.acknowledgedInTime == 1000)
        #expect(machine.tally.refused == [500: 1])
    }

    @Test("what was never sent or answered is in the latency with the time it waited")
    func unfinished() {
        var machine = Self.machine(connections: 1)
        #expect(machine.nextSend(at: 0) != nil)
        #expect(!machine.isFinished(at: 3 * Self.second))
        machine.end(at: 3 * Self.second)
        let tally = machine.tally
        #expect(tally.unanswered == 1)
        #expect(tally.unsent == 999)
        #expect(tally.latency.count == 1000)
        #expect(tally.latency.maximum == 3 * Self.second)
        let median = tally.latency.percentile(50) ?? 0
        #expect(abs(median - 2500 * Self.millisecond) < 5 * Self.millisecond)
    }

    @Test("after its end the schedule sends for a second more what was due, and then nothing")
    func grace() {
        var machine = Self.machine(connections: 1)
        #expect(machine.nextSend(at: machine.lastSend)?.number == 0)
        machine.answered(0, status: 200, at: machine.lastSend)
        #expect(machine.nextSend(at: machine.lastSend + 1) == nil)
        #expect(machine.isFinished(at: machine.lastSend + 1))
    }

    @Test("any order of answers and losses keeps the books: what was sent ends in one way")
    func books() {
        let seed = UInt64.random(in: 0 ... .max)
        var random = LoadRandom(seed: seed)
        var machine = Self.machine(connections: 8)
        var busy: Set<Int> = []
        var now: Int64 = 0
        while now < machine.schedule.end {
            now += Int64(random.next() % 400_000)
            while let (connection, _) = machine.nextSend(at: now) {
                #expect(busy.insert(connection).inserted, "seed \(seed)")
            }
            let connection = Int(random.next() % 8)
            switch random.next() % 10 {
            case 0:
                machine.lost(connection)
                busy.remove(connection)
            case 1: machine.opened(connection, at: now)
            default:
                let number = machine.answered(connection, status: random.next() % 8 == 0 ? 503 : 200, at: now)
                #expect((number != nil) == (busy.remove(connection) != nil), "seed \(seed)")
            }
        }
        machine.end(at: now + Self.second)
        let tally = machine.tally
        let refused = tally.refused.values.reduce(0, +)
        #expect(tally.sent == tally.acknowledged + refused + tally.broken + tally.unanswered, "seed \(seed)")
        #expect(tally.sent + tally.unsent == 1000, "seed \(seed)")
    }
}
