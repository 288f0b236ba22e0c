import UnixSignals

/// Ctrl-C, or SIGTERM, while something is being started that must be stopped again.
package struct Interruption: Error, CustomStringConvertible {
    package var description: String { "interrupted before it was up" }

    /// Runs `body`; at an interrupt it is cancelled, waited for, and `Interruption` is thrown in its place.
    static func watched<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value {
        let signals = await UnixSignalsSequence(trapping: .sigint, .sigterm)
        return try await withThrowingTaskGroup(of: Value?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                for await _ in signals { throw Interruption() }
                return nil
            }
            defer { group.cancelAll() }
            while let value = try await group.next() {
                if let value { return value }
            }
            throw Interruption()
        }
    }
}
