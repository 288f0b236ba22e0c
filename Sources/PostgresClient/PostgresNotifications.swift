import CPostgres
import Glibc

/// What somebody told a channel with NOTIFY.
package struct PostgresNotification: Sendable, Hashable {
    package let channel: String
    package let payload: String
}

extension PostgresConnection {
    /// Listens on a channel; its name is lower-case letters and underscores.
    package func listen(_ channel: String) throws(PostgresError) {
        precondition(channel.utf8.allSatisfy { (0x61...0x7A).contains($0) || $0 == 0x5F }, "not a channel: \(channel)")
        try execute("LISTEN \(channel)")
    }

    /// Takes back every notification that has come in so far, without waiting.
    package func discardNotifications() throws(PostgresError) {
        let pointer = try usable()
        guard PQconsumeInput(pointer) == 1 else { throw lost(pointer) }
        while let notification = PQnotifies(pointer) { PQfreemem(notification) }
    }

    /// Waits for the next notification, on a connection that does nothing else meanwhile.
    /// - Returns: `nil` when the time is over, or the task is cancelled.
    package nonisolated func waitForNotification(timeout: Duration) async throws(PostgresError) -> PostgresNotification?
    {
        let wakeUp = wakeUp
        let waiting = await withTaskCancellationHandler {
            await self.blockForNotification(timeout)
        } onCancel: {
            wakeUp.signal()
        }
        return try waiting.get()
    }

    private func blockForNotification(_ timeout: Duration) -> Result<PostgresNotification?, PostgresError> {
        let deadline = deadline(timeout)
        defer { wakeUp.clear() }
        do throws(PostgresError) {
            let pointer = try usable()
            while !Task.isCancelled {
                guard PQconsumeInput(pointer) == 1 else { throw lost(pointer) }
                if let notification = PQnotifies(pointer) {
                    defer { PQfreemem(notification) }
                    return .success(
                        PostgresNotification(
                            channel: String(cString: notification.pointee.relname),
                            payload: String(cString: notification.pointee.extra)))
                }
                var descriptors = [
                    pollfd(fd: PQsocket(pointer), events: Int16(POLLIN), revents: 0),
                    pollfd(fd: wakeUp.descriptor, events: Int16(POLLIN), revents: 0),
                ]
                let ready = poll(&descriptors, 2, Self.milliseconds(until: deadline))
                if ready == 0, deadline <= .now { break }
                if ready < 0, errno != EINTR { throw lost(pointer) }
                if ready > 0, descriptors[1].revents != 0 { break }
            }
            return .success(nil)
        } catch {
            return .failure(error)
        }
    }
}
