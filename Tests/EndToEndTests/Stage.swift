import Foundation
import Gateway
import Glibc
import Messaging
import PostgresClient
import PrivatePostgres
import Synchronization
import Testing

/// Where the gateway of a test lives: a directory, a migrated database, ports, certificates and rules of its own.
final class Stage: Sendable {
    let directory: String
    let cluster: TemporaryCluster
    let database: String
    let ingressPort: Int
    let apiPort: Int
    let operationsPort: Int
    private let processes = Mutex<[GatewayProcess]>([])

    static let login = "zenrent_gateway"
    static let appSecret = Secret("e2e-app-secret-7f1c")!
    static let verifyToken = Secret("e2e-verify-token-90ab")!
    static let accessToken = Secret("e2e-access-token-41de")!
    static let sessionSecret = Secret("e2e-session-secret-5b2e")!
    static let signingSecret = Secret("e2e-signing-secret-of-at-least-32-bytes")!

    /// Runs a body with a stage, ends whatever runs on it, and checks what its processes said.
    static func run<Result>(
        cluster: TemporaryCluster? = nil, _ body: (Stage) async throws -> Result
    ) async throws -> Result {
        let stage = try await Stage(cluster: cluster)
        do {
            let result = try await body(stage)
            await stage.close()
            return result
        } catch {
            stage.showLogs()
            await stage.close()
            throw error
        }
    }

    private init(cluster: TemporaryCluster?) async throws {
        var template = Array("/tmp/zenrent-e2e-XXXXXX\0".utf8CString)
        guard mkdtemp(&template) != nil else { throw GatewayProcess.SpawnError(description: "mkdtemp: \(errno)") }
        let directory = String(decoding: template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        self.directory = directory
        let ports = Self.freePorts()
        (ingressPort, apiPort, operationsPort) = (ports[0], ports[1], ports[2])
        let chosen: TemporaryCluster
        if let cluster { chosen = cluster } else { chosen = try await .shared() }
        self.cluster = chosen
        try FileManager.default.createDirectory(atPath: directory + "/rules", withIntermediateDirectories: true)
        try Self.rules.write(toFile: directory + "/rules/default.yaml", atomically: true, encoding: .utf8)
        try DevelopmentCertificates.write(to: directory + "/certs", now: Self.now)
        database = try await chosen.makeDatabase(copying: "end_to_end") { connectionString in
            try await chosen.createLogin(Self.login)
            try await Self.migrate(connectionString, logs: directory + "/migrate")
            let owner = try await PostgresConnection.connect(PostgresConfiguration(connectionString))
            try await owner.execute(SampleWorld.sql)
            try await owner.execute(Crowd.sql)
            await owner.close()
        }
    }

    private static func migrate(_ connectionString: String, logs: String) async throws {
        let process = try GatewayProcess(
            ["migrate", "apply", "--grant-to", login],
            environment: ["MIGRATE_DATABASE_URL": connectionString, "PATH": "/usr/bin:/bin"], logs: logs)
        guard try await process.end() == .status(0) else {
            throw GatewayProcess.SpawnError(description: "migrate apply: \(process.errors)")
        }
    }

    static let rules = """
        version: 1
        signature: "From {landlord} via ZenRent: "
        ladder:
          landlord_spoke_hours: 24
          ask: false

        """

    static var now: Timestamp { Timestamp(microseconds: Int64(Date().timeIntervalSince1970 * 1_000_000)) }

    /// Three of them, each another.
    private static func freePorts() -> [Int] {
        var ports: Set<Int> = []
        while ports.count < 3 { ports.insert(freePort()) }
        return Array(ports)
    }

    /// One outside the range the kernel takes ports for outgoing connections from, so that it stays free between two
    /// lives of a gateway.
    static func freePort() -> Int {
        while true {
            let port = Int.random(in: 20_000..<32_000)
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            defer { Glibc.close(descriptor) }
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let isFree = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    Glibc.bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
                }
            }
            if isFree { return port }
        }
    }

    // MARK: Processes

    /// What a gateway on this stage is told.
    var settings: [String: String] {
        [
            "PATH": "/usr/bin:/bin", "TZ": "UTC",
            "DATABASE_URL": cluster.connectionString(user: Self.login, database: database),
            "GATEWAY_DATA_DIR": directory + "/data", "GATEWAY_BIND": "127.0.0.1",
            "GATEWAY_INGRESS_PORT": "\(ingressPort)", "GATEWAY_API_PORT": "\(apiPort)",
            "GATEWAY_OPS_PORT": "\(operationsPort)", "GATEWAY_CERTS_DIR": directory + "/certs",
            "GATEWAY_RULES_DIR": directory + "/rules", "GATEWAY_ROUTE_POLL_INTERVAL": "1s",
            "META_APP_SECRET": Self.appSecret.reveal(), "META_WEBHOOK_VERIFY_TOKEN": Self.verifyToken.reveal(),
            "WHATSAPP_PHONE_NUMBER_ID": Development.phoneNumberID,
            "WHATSAPP_BUSINESS_ACCOUNT_ID": Development.businessAccountID,
            "SUPABASE_JWT_SECRET": Self.signingSecret.reveal(),
        ]
    }

    /// Starts `serve`, and does not wait for anything.
    /// - Parameter change: settings that differ; `nil` takes one away.
    func spawn(_ change: [String: String?] = [:], options: [String] = []) throws -> GatewayProcess {
        try spawn(["serve"] + options, change)
    }

    func spawn(_ arguments: [String], _ change: [String: String?]) throws -> GatewayProcess {
        var environment = settings
        for (name, value) in change { environment[name] = value }
        return try processes.withLock { processes in
            let process = try GatewayProcess(
                arguments, environment: environment, logs: directory + "/process-\(processes.count + 1)")
            processes.append(process)
            return process
        }
    }

    /// Starts `serve`, and returns once webhooks are taken.
    func start(_ change: [String: String?] = [:]) async throws -> GatewayProcess {
        let process = try spawn(change)
        try await eventually("the ingress to listen") {
            if let exit = process.exit {
                throw GatewayProcess.SpawnError(
                    description: "the gateway ended with \(exit): \(process.errors.suffix(2000))")
            }
            return !process.logged("ingress listens").isEmpty
        }
        return process
    }

    private func close() async {
        for process in processes.withLock({ $0 }) {
            process.send(SIGKILL)
            _ = try? await process.end()
            Discretion.check(process)
        }
        try? FileManager.default.removeItem(atPath: directory)
    }

    private func showLogs() {
        for process in processes.withLock({ $0 }) {
            print("---- \(process.errorFile), ended: \(String(describing: process.exit))")
            print(process.errors.split(separator: "\n").suffix(40).joined(separator: "\n"))
        }
    }
}

// MARK: The database, as its superuser sees it

extension Stage {
    /// Runs a script in the stage's database, or another one.
    func execute(_ script: String, database: String? = nil) async throws {
        let connection = try await connect(database)
        do {
            try await connection.execute(script)
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }

    /// The first column of what a query finds, which must be text.
    func texts(_ query: String) async throws -> [String] {
        let connection = try await connect(nil)
        do {
            let rows = try await connection.query(query)
            let texts = try rows.map { try $0.text(0) }
            await connection.close()
            return texts
        } catch {
            await connection.close()
            throw error
        }
    }

    /// The one number a query finds.
    func number(_ expression: String) async throws -> Int {
        try await Int(texts("SELECT (\(expression))::bigint::text").first ?? "") ?? -1
    }

    /// Runs a body inside a transaction of the superuser's that begins with a statement; what it locks is held that long.
    func holding(_ statement: String, _ body: () async throws -> Void) async throws {
        let connection = try await connect(nil)
        do {
            try await connection.execute("BEGIN; \(statement)")
            try await body()
            await connection.close()
        } catch {
            await connection.close()
            throw error
        }
    }

    /// Kills the server, and returns once it is dead: one that is still dying would count as running when it is to be
    /// started again.
    func killServer() async throws {
        let file = try await texts("SELECT pg_read_file('postmaster.pid')")
        let process = try #require(file.first?.split(separator: "\n").first.flatMap { pid_t($0) })
        kill(process, SIGKILL)
        // Dead, even where nobody buries it.
        try await eventually("PostgreSQL to be dead") {
            var byte = CChar(0)
            return readlink("/proc/\(process)/cwd", &byte, 1) < 0
        }
    }

    private func connect(_ name: String?) async throws -> PostgresConnection {
        try await PostgresConnection.connect(
            PostgresConfiguration(
                cluster.connectionString(database: name ?? database), applicationName: "end-to-end tests"))
    }
}

/// Tenants beside the sample world, all of them Alice's, for load.
enum Crowd {
    static let count = 40

    static func phone(_ index: Int) -> String { "447700910\(100 + index % count)" }

    static var sql: String {
        """
        INSERT INTO public.tenants (id, user_id, name, phone)
          SELECT ('c0de0000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, '\(SampleWorld.landlords[0].id)',
                 'Crowd ' || i, '+447700910' || (100 + i) FROM generate_series(0, \(count - 1)) AS i;
        INSERT INTO public.properties (id, user_id, address)
          VALUES ('c0de0001-0000-4000-8000-000000000000', '\(SampleWorld.landlords[0].id)', 'Crowd House');
        INSERT INTO public.leases (id, tenant_id, property_id, status, start_date, end_date)
          SELECT ('c0de0002-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid,
                 ('c0de0000-0000-4000-8000-' || lpad(i::text, 12, '0'))::uuid, 'c0de0001-0000-4000-8000-000000000000',
                 'active', current_date - 200, current_date + 165 FROM generate_series(0, \(count - 1)) AS i;
        """
    }
}

/// What no process may say on standard error, where its log goes (I8): secrets, bodies of messages, whole numbers of
/// people.
enum Discretion {
    /// Stands in the body of every message these tests send.
    static let bodyMark = "kettle"

    static func check(_ process: GatewayProcess) {
        let said = process.errors
        let secrets = [
            Stage.appSecret, Stage.verifyToken, Stage.accessToken, Stage.signingSecret, Stage.sessionSecret,
        ].map { $0.reveal() }
        for text in secrets + [bodyMark, "447911123456", "7911 123456"] where said.contains(text) {
            Issue.record("a log has \(text.prefix(6))…: \(line(with: text, in: said))")
        }
        if let number = said.firstMatch(of: #/447700[0-9]{6}/#) {
            Issue.record("a log has a whole number: \(line(with: String(number.0), in: said))")
        }
    }

    private static func line(with text: String, in said: String) -> String {
        said.split(separator: "\n").first { $0.contains(text) }.map { String($0.prefix(300)) } ?? ""
    }
}
