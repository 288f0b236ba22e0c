import Synchronization

/// The port a listener got, for those who wait for it.
final class BoundPort: Sendable {
    private enum State {
        case pending([CheckedContinuation<Int, any Error>])
        case settled(Result<Int, TwinError>)
    }

    private let state = Mutex(State.pending([]))

    /// The first call counts.
    /// - Returns: whether this was it.
    func settle(_ result: Result<Int, TwinError>) -> Bool {
        let waiting = state.withLock { state -> [CheckedContinuation<Int, any Error>]? in
            guard case .pending(let waiting) = state else { return nil }
            state = .settled(result)
            return waiting
        }
        guard let waiting else { return false }
        for continuation in waiting { continuation.resume(with: result.mapError { $0 }) }
        return true
    }

    func value() async throws -> Int {
        try await withCheckedThrowingContinuation { continuation in
            let result = state.withLock { state -> Result<Int, TwinError>? in
                switch state {
                case .settled(let result): return result
                case .pending(let waiting):
                    state = .pending(waiting + [continuation])
                    return nil
                }
            }
            if let result { continuation.resume(with: result.mapError { $0 }) }
        }
    }
}
