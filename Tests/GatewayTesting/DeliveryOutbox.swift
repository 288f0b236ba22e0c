package import Delivery
package import Messaging
import Synchronization

/// An outbox in memory that keeps the rules of the real one: oldest first, one job of an order key at a time, attempts
/// as the fencing token. It knows no time: a job to be retried is due again when the test says so.
package final class DeliveryOutbox: OutboxStore {
    package struct Refusal: Hashable, Sendable {
        package let code: Int32?
        package let error: String
        package let retryAfterMilliseconds: Int64?

        package init(code: Int32?, error: String, retryAfterMilliseconds: Int64?) {
            self.code = code
            self.error = error
            self.retryAfterMilliseconds = retryAfterMilliseconds
        }
    }

    /// What became of a job, in the order in which it was told.
    package enum Entry: Hashable, Sendable {
        case accepted(id: Int64, providerID: String)
        case refused(id: Int64, Refusal)
        case uncertain(id: Int64, error: String)
    }

    package struct Outage: Error {}

    private enum Place { case ready, waiting, sending, uncertain, done }

    private struct Row {
        let id: Int64
        let orderKey: Int?
        let message: OutboundMessage?
        let permission: String
        let attemptsMax: Int
        var attempts = 0
        var place = Place.ready
    }

    private struct State {
        var rows: [Row] = []
        var log: [Entry] = []
        var claims = 0
        var failures: [String: Int] = [:]
        var sweeps = 0
        var bell: [CheckedContinuation<Void, Never>] = []
        var rung = 0
    }

    private let state = Mutex(State())

    package init() {}

    package var log: [Entry] { state.withLock { $0.log } }
    package var claims: Int { state.withLock { $0.claims } }
    package var sweeps: Int { state.withLock { $0.sweeps } }
    /// Jobs that nobody has finished with.
    package var pending: Int { state.withLock { $0.rows.count { $0.place == .ready || $0.place == .sending } } }

    package func add(
        _ message: OutboundMessage?, orderKey: Int? = nil, permission: String = "ok", attemptsMax: Int = 8
    ) {
        state.withLock { state in
            state.rows.append(
                Row(
                    id: Int64(state.rows.count + 1), orderKey: orderKey, message: message, permission: permission,
                    attemptsMax: attemptsMax))
        }
        ring()
    }

    /// Makes every job that waits for another attempt due.
    package func makeDue() {
        state.withLock { state in
            for index in state.rows.indices where state.rows[index].place == .waiting {
                state.rows[index].place = .ready
            }
        }
        ring()
    }

    /// The next so many calls of `claim`, `record` or `sweep` fail.
    package func fail(_ operation: String, times: Int) {
        state.withLock { $0.failures[operation] = times }
    }

    package func claim(kind: OutboxKind, worker: String, limit: Int, leaseSeconds: Int) async throws -> [OutboxJob] {
        try check("claim")
        return state.withLock { state in
            state.claims += 1
            var jobs: [OutboxJob] = []
            for index in state.rows.indices where state.rows[index].place == .ready && jobs.count < limit {
                let row = state.rows[index]
                let isBehind = row.orderKey.map { key in
                    state.rows[..<index].contains { $0.orderKey == key && $0.place != .done && $0.place != .uncertain }
                }
                if isBehind == true { continue }
                state.rows[index].place = .sending
                state.rows[index].attempts += 1
                jobs.append(
                    OutboxJob(
                        id: row.id, attempt: row.attempts + 1, attemptsMax: row.attemptsMax, message: row.message,
                        permission: row.permission))
            }
            return jobs
        }
    }

    package func accepted(_ job: OutboxJob, providerID: String) async throws {
        try finish(job, as: .done, .accepted(id: job.id, providerID: providerID))
    }

    package func refused(_ job: OutboxJob, code: Int32?, error: String, retryAfterMilliseconds: Int64?) async throws {
        let refusal = Refusal(code: code, error: error, retryAfterMilliseconds: retryAfterMilliseconds)
        try finish(job, as: retryAfterMilliseconds == nil ? .done : .waiting, .refused(id: job.id, refusal))
    }

    package func uncertain(_ job: OutboxJob, error: String) async throws {
        try finish(job, as: .uncertain, .uncertain(id: job.id, error: error))
    }

    package func sweep() async throws -> Int {
        try check("sweep")
        state.withLock { $0.sweeps += 1 }
        return 0
    }

    package func jobsAvailable(atMostSeconds seconds: Int) async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isRung = state.withLock { state in
                    if state.rung > 0 || Task.isCancelled {
                        state.rung = 0
                        return true
                    }
                    state.bell.append(continuation)
                    return false
                }
                if isRung { continuation.resume() }
            }
        } onCancel: {
            ring()
        }
    }

    private func ring() {
        let waiting = state.withLock { state -> [CheckedContinuation<Void, Never>] in
            defer { state.bell = [] }
            if state.bell.isEmpty { state.rung += 1 }
            return state.bell
        }
        for continuation in waiting { continuation.resume() }
    }

    private func check(_ operation: String) throws {
        let fails = state.withLock { state in
            guard let left = state.failures[operation], left > 0 else { return false }
            state.failures[operation] = left - 1
            return true
        }
        if fails { throw Outage() }
    }

    private func finish(_ job: OutboxJob, as place: Place, _ entry: Entry) throws {
        try check("record")
        state.withLock { state in
            let index = Int(job.id) - 1
            guard state.rows[index].attempts == job.attempt else { return }
            state.rows[index].place = place
            state.log.append(entry)
        }
    }
}
