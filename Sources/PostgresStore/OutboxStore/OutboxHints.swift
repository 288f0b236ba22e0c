import PostgresClient
import Synchronization

/// Waits for the hint on the channel `gateway_outbox` that something was queued, on a connection of its own: opened when
/// it is first needed, and again after it broke.
final class OutboxHints: Sendable {
    private let configuration: PostgresConfiguration
    private let listener = Mutex<PostgresConnection?>(nil)

    init(_ configuration: PostgresConfiguration) { self.configuration = configuration }

    /// Returns at a hint, after the time, or when the task is cancelled. For one caller at a time.
    func next(atMostSeconds seconds: Int) async {
        do {
            let connection = try await listening()
            _ = try await connection.waitForNotification(timeout: .seconds(seconds))
        } catch {
            listener.withLock { $0 = nil }
            // The hint is out of reach; the clock serves.
            try? await Task.sleep(for: .seconds(min(seconds, 5)))
        }
    }

    private func listening() async throws(PostgresError) -> PostgresConnection {
        if let connection = listener.withLock({ $0 }), connection.phase != .closed { return connection }
        let connection = try await PostgresConnection.connect(configuration)
        try await connection.listen("gateway_outbox")
        listener.withLock { $0 = connection }
        return connection
    }
}
