import PostgresClient
import Routing
import Synchronization

/// Listens for changed routes on a connection of its own, opened when it is first needed and again after it broke.
///
/// A connection that breaks is noticed at once, one whose other end vanished within some twenty seconds
/// (`PostgresConfiguration.keywords`); until then the clock serves.
final class RouteListener: Sendable {
    private struct State {
        var connection: PostgresConnection?
        /// How long to leave the server alone after the next failure; grows until a connection has proved itself.
        var pause = pauseMin
        var notBefore: ContinuousClock.Instant?
        var reason = ""
    }

    private let configuration: PostgresConfiguration
    private let state = Mutex(State())

    private static let pauseMin = Duration.milliseconds(100)
    private static let pauseMax = Duration.seconds(5)

    init(_ configuration: PostgresConfiguration) {
        var configuration = configuration
        configuration.applicationName += " listening"
        self.configuration = configuration
    }

    /// See `RouteSource.changesAvailable`.
    func wait(atMost limit: Duration) async -> RouteHint {
        do {
            guard let connection = state.withLock({ $0.connection }), connection.phase != .closed else {
                return try await listen(limit)
            }
            let isHinted = try await connection.waitForNotification(timeout: limit) != nil
            if isHinted { try await connection.discardNotifications() }
            state.withLock { $0.pause = Self.pauseMin }
            return isHinted ? .hinted : .quiet
        } catch {
            return state.withLock { state in
                state.connection = nil
                state.notBefore = .now + state.pause
                state.pause = min(state.pause * 2, Self.pauseMax)
                state.reason = "\(error)"
                return .deaf(reason: state.reason)
            }
        }
    }

    /// Opens a connection, unless one failed a moment ago. Whatever was said before it listened was not heard.
    private func listen(_ limit: Duration) async throws(PostgresError) -> RouteHint {
        let (notBefore, reason) = state.withLock { ($0.notBefore, $0.reason) }
        if let left = notBefore.map({ $0 - .now }), left > .zero {
            try? await Task.sleep(for: min(left, limit))
            if left > limit || Task.isCancelled { return .deaf(reason: reason) }
        }
        let connection = try await PostgresConnection.connect(configuration)
        try await connection.listen("gateway_routes")
        state.withLock { $0.connection = connection }
        return .hinted
    }
}
