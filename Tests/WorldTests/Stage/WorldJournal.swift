import GatewayTesting
import Intake
import Journal
import Messaging

/// A journal in memory that takes webhooks many at once, so that the same story is cut into the same batches, and that
/// tells when its reader has nothing left to do.
final class WorldJournal: Journal {
    private struct State {
        var id = UniqueID(high: 0x4000, low: 0x8000_0000_0000_0001)
        var entries: [Envelope] = []
        var confirmed: Int64 = 0
        /// The reader waits for what comes after this.
        var waitingAfter: Int64?
        /// Why the reader does not get on.
        var trouble: String?
    }

    private let state = Watched(State())

    var count: Int { state.value.entries.count }

    func append(_ envelopes: [Envelope]) {
        state.change { state in
            state.waitingAfter = nil
            state.entries += envelopes
        }
    }

    /// Whoever read before reads no more.
    func forgetReader() { state.change { $0.waitingAfter = nil } }

    /// Returns when all there is was recorded, and the reader waits; or does not get on.
    func untilIdle() async throws {
        await state.until {
            $0.trouble != nil
                || $0.waitingAfter == Int64($0.entries.count) && $0.confirmed == Int64($0.entries.count)
        }
        if let trouble = state.value.trouble { throw Trouble(reason: trouble) }
    }

    struct Trouble: Error { let reason: String }

    var standing: JournalStanding {
        let state = state.value
        return JournalStanding(
            id: state.id, confirmed: JournalPosition(state.confirmed),
            last: JournalPosition(Int64(state.entries.count)),
            oldest: JournalPosition(1), backlogBytes: 0)
    }

    func entries(after position: JournalPosition, limit: ReadLimit) async throws(JournalError) -> [JournalEntry] {
        let first = Int(position.value)
        let entries = state.value.entries.dropFirst(first).prefix(limit.entries)
        return entries.enumerated().map {
            JournalEntry(position: JournalPosition(Int64(first + $0.offset + 1)), envelope: $0.element)
        }
    }

    func entriesAvailable(after position: JournalPosition) async {
        state.change { if Int64($0.entries.count) == position.value { $0.waitingAfter = position.value } }
        await state.until { Int64($0.entries.count) > position.value }
    }

    func confirm(upTo position: JournalPosition) async throws(JournalError) {
        state.change { $0.confirmed = max($0.confirmed, position.value) }
    }

    func rewind(to position: JournalPosition) async throws(JournalError) {
        state.change { state in
            state.confirmed = position.value
            state.waitingAfter = nil
        }
    }

    func renew(id: UniqueID) async throws(JournalError) { state.change { $0.id = id } }
}

/// Nothing goes wrong in a story: whatever intake would try again, or park, ends it.
extension WorldJournal: IntakeObserver {
    func observe(_ event: IntakeEvent) {
        let trouble: String? =
            switch event {
            case .retrying(let reason, _): reason
            case .stopped(let refusals, let sqlState): "stopped after \(refusals) refusals, SQLSTATE \(sqlState)"
            case .parked(let position, let index, let sqlState):
                "update \(index) of webhook \(position.value) was refused, SQLSTATE \(sqlState)"
            default: nil
            }
        if let trouble { state.change { $0.trouble = trouble } }
    }
}
