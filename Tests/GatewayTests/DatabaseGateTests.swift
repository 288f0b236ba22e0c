import GatewayTesting
import Logging
import Messaging
import Operations
import PostgresClient
import PostgresStore
import PrivatePostgres
import ServiceLifecycle
import Testing

@testable import Gateway

@Suite struct DatabaseGateTests {
    @Test("refuses pending migrations, and names the command")
    func pending() async throws {
        let scene = GateScene(try await GatewayDatabase.empty().plain)
        let refusal = await #expect(throws: DatabaseGate.Refusal.self) { try await scene.gate.check() }
        #expect(refusal?.description.contains("zenrent-gateway migrate apply") == true)
    }

    @Test("refuses a superuser, whom row security does not bind")
    func superuser() async throws {
        let scene = GateScene(try await GatewayDatabase.migrated().owner)
        let refusal = await #expect(throws: DatabaseGate.Refusal.self) { try await scene.gate.check() }
        #expect(refusal?.description.contains("superuser") == true)
        #expect(refusal?.description.contains("--grant-to") == true)
    }

    @Test("takes a database that does not answer for one that will")
    func unreachable() async throws {
        let scene = GateScene(PostgresConfiguration("host=/nowhere dbname=none"))
        try await scene.gate.check()
        guard case .degraded = scene.state else {
            Issue.record("not degraded: \(scene.board.report().json)")
            return
        }
        #expect(scene.board.report().canAcknowledge)
    }

    @Test("is ready at once in a database that is, after what is to be done first")
    func opens() async throws {
        let scene = GateScene(try await GatewayDatabase.migrated().plain)
        try await scene.gate.check()
        try await scene.run {
            await scene.gate.opened()
            #expect(scene.prepared.value == 1)
            #expect(scene.state == .ok)
            await scene.gate.opened()
        }
    }

    @Test("stays shut while migrations are pending, and opens once they are applied")
    func opensLater() async throws {
        let database = try await GatewayDatabase.empty()
        let scene = GateScene(database.plain)
        try await scene.run {
            await scene.looked.until { $0 > 0 }
            #expect(scene.prepared.value == 0)
            guard case .degraded(let reason) = scene.state else {
                Issue.record("not degraded: \(scene.board.report().json)")
                return
            }
            #expect(reason.contains("migrate apply"))
            let schema = try SchemaAdministration(try await database.settings())
            _ = try await schema.apply(grantTo: [GatewayDatabase.login]) { _ in }
            await scene.gate.opened()
            #expect(scene.prepared.value == 1)
            #expect(scene.state == .ok)
        }
    }

    @Test("tries again when what is to be done first fails")
    func preparationFails() async throws {
        let scene = GateScene(try await GatewayDatabase.migrated().plain, failures: 1)
        try await scene.run {
            await scene.gate.opened()
            #expect(scene.prepared.value == 2)
        }
    }

    @Test("lets those who wait go when their task is cancelled")
    func cancelled() async throws {
        let scene = GateScene(PostgresConfiguration("host=/nowhere dbname=none"))
        let waiting = Task { await scene.gate.opened() }
        waiting.cancel()
        await waiting.value
    }
}

private struct GateScene: Sendable {
    let board = HealthBoard()
    let gate: DatabaseGate
    /// How often what is to be done before the gate opens was begun.
    let prepared = Watched(0)
    /// How often the gate told that the database is not ready.
    let looked = Watched(0)

    private struct Failure: Error {}

    init(_ configuration: PostgresConfiguration, failures: Int = 0) {
        let (prepared, looked) = (prepared, looked)
        let logger = Logger(label: "test") { _ in LineCounter(lines: looked) }
        gate = DatabaseGate(
            configuration, health: board.register("database", blocksAcknowledging: false), logger: logger
        ) {
            if prepared.change({
                $0 += 1
                return $0
            }) <= failures {
                throw Failure()
            }
        }
    }

    var state: HealthState { board.report().components[0].state }

    /// The gate does its work while `body` runs.
    func run(_ body: @escaping @Sendable () async throws -> Void) async throws {
        let running = Task { try await gate.run() }
        defer { running.cancel() }
        try await body()
    }
}

/// Counts lines, so that a test can wait for one.
private struct LineCounter: LogHandler {
    let lines: Watched<Int>
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { lines.change { $0 += 1 } }
}
