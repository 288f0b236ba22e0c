package import Journal
package import Messaging

/// A journal in memory that keeps the rules of the real one. Reading, confirming, rewinding and renewing fail when the
/// test says so.
package final class IntakeJournal: Journal {
    private struct State {
        var id: UniqueID
        var confirmed: Int64 = 0
        var oldest: Int64 = 1
        var entries: [Envelope] = []
        var last: Int64 { oldest - 1 + Int64(entries.count) }
    }

    private let state: Watched<State>
    private let turnstile: IntakeTurnstile
    private let fails: @Sendable (IntakeTurnstile.Call) -> Bool

    /// - Parameter fails: asked at each call.
    package init(
        id: UniqueID, turnstile: IntakeTurnstile,
        fails: @escaping @Sendable (IntakeTurnstile.Call) -> Bool = { _ in false }
    ) {
        self.state = Watched(State(id: id))
        self.turnstile = turnstile
        self.fails = fails
    }

    private init(_ state: State, turnstile: IntakeTurnstile, fails: @escaping @Sendable (IntakeTurnstile.Call) -> Bool)
    {
        self.state = Watched(state)
        self.turnstile = turnstile
        self.fails = fails
    }

    /// The same directory at another place, or brought back later: it has the same id.
    package func copy(turnstile: IntakeTurnstile? = nil) -> IntakeJournal {
        IntakeJournal(state.value, turnstile: turnstile ?? self.turnstile, fails: fails)
    }

    @discardableResult
    package func append(_ envelope: Envelope) -> JournalPosition {
        state.change { state in
            state.entries.append(envelope)
            return JournalPosition(state.last)
        }
    }

    /// Deletes confirmed entries that were kept for long enough.
    package func trim(upTo position: JournalPosition) {
        state.change { state in
            let count = min(position.value, state.confirmed) - state.oldest + 1
            guard count > 0 else { return }
            state.entries.removeFirst(Int(count))
            state.oldest += count
        }
    }

    package var standing: JournalStanding {
        let state = state.value
        return JournalStanding(
            id: state.id, confirmed: JournalPosition(state.confirmed), last: JournalPosition(state.last),
            oldest: JournalPosition(state.oldest),
            backlogBytes: state.entries.dropFirst(Int(max(0, state.confirmed - state.oldest + 1)))
                .reduce(0) { $0 + Int64($1.body.count) })
    }

    package func untilConfirmed(_ position: JournalPosition) async {
        await state.until { $0.confirmed >= position.value }
    }

    package func entries(
        after position: JournalPosition, limit: ReadLimit
    ) async throws(JournalError) -> [JournalEntry] {
        try await enter(.read, position)
        let state = state.value
        var entries: [JournalEntry] = []
        var bytes = 0
        var next = max(position.value + 1, state.oldest)
        while next <= state.last, entries.count < limit.entries, bytes < limit.bytes {
            let envelope = state.entries[Int(next - state.oldest)]
            bytes += envelope.body.count + envelope.signature.count
            entries.append(JournalEntry(position: JournalPosition(next), envelope: envelope))
            next += 1
        }
        return entries
    }

    package func entriesAvailable(after position: JournalPosition) async {
        await state.until { $0.last > position.value }
    }

    package func confirm(upTo position: JournalPosition) async throws(JournalError) {
        try await enter(.confirm, position)
        state.change { $0.confirmed = max($0.confirmed, position.value) }
    }

    package func rewind(to position: JournalPosition) async throws(JournalError) {
        try await enter(.rewind, position)
        state.change { $0.confirmed = position.value }
    }

    package func renew(id: UniqueID) async throws(JournalError) {
        try await enter(.renew, standing.confirmed)
        state.change { $0.id = id }
    }

    private func enter(_ call: IntakeTurnstile.Call, _ position: JournalPosition) async throws(JournalError) {
        await turnstile.pass(call)
        if fails(call) { throw JournalError(.unreadable, "the test lets \(call.rawValue) fail") }
        turnstile.note(.init(call, position))
    }
}

extension JournalPosition: ExpressibleByIntegerLiteral {
    package init(integerLiteral value: Int64) { self.init(value) }
}
