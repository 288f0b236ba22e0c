package import Intake

/// Keeps what intake tells, and lets a test wait for it.
package final class IntakeEventLog: IntakeObserver {
    private let state = Watched((events: [IntakeEvent](), read: 0))

    package init() {}

    package func observe(_ event: IntakeEvent) { state.change { $0.events.append(event) } }

    package var events: [IntakeEvent] { state.value.events }

    package func all<Part>(_ part: (IntakeEvent) -> Part?) -> [Part] { events.compactMap(part) }

    /// Waits for the next event, after the last one that was waited for, that has such a part.
    package func next<Part: Sendable>(_ part: @escaping @Sendable (IntakeEvent) -> Part?) async -> Part? {
        await state.until { state in state.events[state.read...].contains { part($0) != nil } }
        return state.change { state in
            guard let index = state.events[state.read...].firstIndex(where: { part($0) != nil }) else { return nil }
            state.read = index + 1
            return part(state.events[index])
        }
    }
}
