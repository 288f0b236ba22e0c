package import Logging
package import Operations
package import PostgresClient
import PostgresStore
package import ServiceLifecycle
import Synchronization

/// Lets the parts that need the database begin once it answers, is migrated, and the login is a safe one.
///
/// Ingress does not wait for it: webhooks are journaled meanwhile.
package final class DatabaseGate: Service {
    private let configuration: PostgresConfiguration
    private let health: HealthReporter
    private let logger: Logger
    private let prepare: @Sendable () async throws -> Void
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }
    private let state = Mutex(State())

    /// - Parameter prepare: done once, right before the gate opens: partitions, our own endpoints.
    package init(
        _ configuration: PostgresConfiguration, health: HealthReporter, logger: Logger,
        prepare: @escaping @Sendable () async throws -> Void
    ) {
        self.configuration = configuration
        self.health = health
        self.logger = logger
        self.prepare = prepare
    }

    /// What is wrong with the database for good; mended by a person.
    package struct Refusal: Error, CustomStringConvertible {
        package let description: String
    }

    /// One look before anything starts. A database that does not answer is no reason to stop; one that is not ready is.
    package func check() async throws(Refusal) {
        do {
            try await look()
        } catch let refusal as Refusal {
            throw refusal
        } catch let error as PostgresError where error.code == .transactionPooler {
            throw Refusal(description: "\(error)")
        } catch {
            health.report(.degraded(reason: "the database does not answer: \(error)"))
            logger.warning(
                "the database does not answer; webhooks are journaled meanwhile", metadata: ["error": "\(error)"])
        }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { [self] in
            var lastReason = ""
            while !Task.isCancelled, !state.withLock({ $0.isOpen }) {
                do {
                    try await look()
                    try await prepare()
                    open()
                } catch {
                    let reason = "\(error)"
                    health.report(.degraded(reason: reason))
                    // Once a reason, not once a try: an outage may last for hours.
                    let level: Logger.Level = reason == lastReason ? .debug : .warning
                    logger.log(
                        level: level, "the database is not ready; trying again", metadata: ["error": "\(reason)"])
                    lastReason = reason
                    try? await Task.sleep(for: .seconds(2))
                }
            }
            // Stays until shutdown: a service that ends would end them all.
            try? await gracefulShutdown()
        }
    }

    private func look() async throws {
        try await configuration.checkForTransactionPooler()
        let connection = try await PostgresConnection.connect(configuration)
        do {
            if let problem = try await SchemaCheck(connection).login() { throw Refusal(description: "\(problem)") }
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }

    private func open() {
        health.report(.ok)
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    package var isOpen: Bool { state.withLock { $0.isOpen } }

    /// Returns once the gate is open. Resumed at shutdown, too.
    package func opened() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isOpen = state.withLock { state in
                    if state.isOpen || Task.isCancelled { return true }
                    state.waiting.append(continuation)
                    return false
                }
                if isOpen { continuation.resume() }
            }
        } onCancel: {
            let waiting = state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
        }
    }
}

/// A service that begins once the database is usable.
package struct GatedService: Service {
    private let gate: DatabaseGate
    private let service: any Service

    package init(_ gate: DatabaseGate, _ service: any Service) {
        self.gate = gate
        self.service = service
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown { await gate.opened() }
        // Resumed by a shutdown: there is nothing to begin any more.
        guard gate.isOpen else { return }
        try await service.run()
    }
}
