import Foundation
import Glibc
import NIOCore
import PrivatePostgres
import Testing

extension EndToEndTests {
    @Suite struct StartAndStopTests {
        @Test("serve refuses in one line with the cure what must be mended first")
        func refusals() async throws {
            try await Stage.run { stage in
                let empty = try await stage.cluster.makeDatabase()
                let cases: [(change: [String: String?], options: [String], words: [String])] = [
                    (["META_APP_SECRET": nil], [], ["META_APP_SECRET: is not set", "dashboard"]),
                    (["META_WEBHOOK_VERIFY_TOKEN": nil], [], ["META_WEBHOOK_VERIFY_TOKEN: is not set"]),
                    (["DATABASE_URL": nil], [], ["DATABASE_URL: is not set", "--private-postgres"]),
                    (
                        ["DATABASE_URL": stage.cluster.connectionString(user: Stage.login, database: empty)], [],
                        ["migrate apply"]
                    ),
                    (
                        ["DATABASE_URL": stage.cluster.connectionString(database: stage.database)], [],
                        ["superuser", "migrate apply --grant-to"]
                    ),
                    (["GATEWAY_CERTS_DIR": stage.directory + "/nowhere"], [], ["nowhere", "certs dev"]),
                    (["GATEWAY_RULES_DIR": stage.directory + "/nowhere"], [], ["nowhere"]),
                    (["GATEWAY_ACK": "disk"], [], ["GATEWAY_ACK: \"disk\" is not a policy", "postgres"]),
                    (["GATEWAY_FORWARD_URL": "http://x.example"], [], ["GATEWAY_FORWARD_URL", "use https://"]),
                    (["SUPABASE_JWT_SECRET": "short"], [], ["SUPABASE_JWT_SECRET", "32 bytes"]),
                    (
                        ["DATABASE_URL": nil, "GATEWAY_DATA_DIR": "var"], ["--private-postgres"],
                        ["GATEWAY_DATA_DIR: must be an absolute path"]
                    ),
                ]
                for (change, options, words) in cases {
                    try await checkRefusal(try stage.spawn(change, options: options), words)
                }
                try stage.write(Stage.rules + "  surprise: 1\n", to: "rules/default.yaml")
                try await checkRefusal(try stage.spawn(), ["default.yaml:6"])
            }
        }

        @Test(
            "serve refuses a port that is taken, and names the setting",
            arguments: [
                "GATEWAY_INGRESS_PORT", "GATEWAY_API_PORT", "GATEWAY_OPS_PORT",
            ])
        func takenPort(setting: String) async throws {
            try await Stage.run { stage in
                let (descriptor, port) = try Self.listen()
                defer { close(descriptor) }
                try await checkRefusal(try stage.spawn([setting: "\(port)"]), ["\(port)", setting])
            }
        }

        @Test("A second process on the same data directory is refused, and the first one serves on")
        func secondProcess() async throws {
            try await Stage.run { stage in
                let first = try await stage.start()
                let free = ["GATEWAY_INGRESS_PORT", "GATEWAY_API_PORT", "GATEWAY_OPS_PORT"]
                let second = try stage.spawn(Dictionary(uniqueKeysWithValues: free.map { ($0, "\(Stage.freePort())") }))
                try await checkRefusal(second, ["held by another gateway", "\(first.processID)", "GATEWAY_DATA_DIR"])
                try await stage.post("first", 1...3)
                #expect(first.exit == nil)
            }
        }

        private func checkRefusal(_ process: GatewayProcess, _ words: [String]) async throws {
            let exit = try await process.end()
            #expect(exit == .status(1), "\(words)")
            let lines = process.errors.split(separator: "\n")
            let said = lines.filter { !$0.hasPrefix("  ") && !$0.hasPrefix("{") }
            #expect(said.count == 1, "one line, not \(said)")
            let line = lines.last ?? ""
            #expect(line.hasPrefix("zenrent-gateway: "), "\(line)")
            for word in words { #expect(line.contains(word), "\(word) in: \(line)") }
        }

        private static func listen() throws -> (descriptor: Int32, port: Int) {
            let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            let port = Stage.freePort()
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_port = UInt16(port).bigEndian
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            let code = withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
                }
            }
            guard code == 0, Glibc.listen(descriptor, 1) == 0 else {
                throw GatewayProcess.SpawnError(description: String(cString: strerror(errno)))
            }
            return (descriptor, port)
        }

        @Test("Neither recording nor an end waits for the upkeep of the database, however long that takes")
        func slowUpkeep() async throws {
            try await Stage.run { stage in
                try await stage.holding("LOCK TABLE gateway.oauth_states IN ACCESS EXCLUSIVE MODE") {
                    let gateway = try await stage.start()
                    try await stage.untilReady()
                    try await Account.settle(stage)
                    let upkeep = """
                        SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                           AND application_name = 'zenrent-gateway upkeep' AND wait_event_type = 'Lock'
                        """
                    try await eventually("the upkeep to wait") { try await stage.number(upkeep) == 1 }
                    #expect(try await gateway.end(by: SIGTERM) == .status(0))
                    #expect(try await stage.number(upkeep) == 1, "it was waited for")
                }
            }
        }

        @Test("Upkeep of the database that fails shows, and holds up nothing")
        func failingUpkeep() async throws {
            try await Stage.run { stage in
                try await stage.execute("ALTER TABLE gateway.oauth_states RENAME TO moved")
                _ = try await stage.start()
                try await eventually("the failure to show") {
                    guard let answer = try? await stage.operations("/readyz") else { return false }
                    return answer.status == 200 && answer.text.contains("upkeep of the database failed")
                }
                try await Account.settle(stage)
                try await stage.execute("ALTER TABLE gateway.moved RENAME TO oauth_states")
                try await stage.untilReady()
            }
        }

        @Test("SIGTERM under load: what was sent before is answered, and the gateway ends well")
        func drain() async throws {
            try await Stage.run { stage in
                var ids: [String] = []
                for round in 1...5 {
                    let gateway = try await stage.start()
                    var connections: [WebhookConnection] = []
                    for number in 0..<12 {
                        let connection = try await WebhookConnection.open(port: stage.ingressPort)
                        #expect(
                            try await connection.post(
                                Script.text("wamid.warm-\(round)-\(number)", from: Crowd.phone(number))
                            ).status == 200)
                        connections.append(connection)
                    }
                    var answers: [EventLoopFuture<WebhookConnection.Answer>] = []
                    for (number, connection) in connections.enumerated() {
                        for part in 0..<3 {
                            ids.append("wamid.drain-\(round)-\(number)-\(part)")
                            answers.append(
                                try await connection.send(Script.text(ids[ids.count - 1], from: Crowd.phone(number))))
                        }
                    }
                    gateway.send(SIGTERM)
                    for answer in answers { #expect(try await answer.get().status == 200) }
                    #expect(try await gateway.end() == .status(0))
                }
                _ = try await stage.start()
                try await Account.settle(stage)
                let recorded = try await Account(stage).recorded
                #expect(ids.allSatisfy { recorded[$0] == 1 })
            }
        }

        @Test("SIGTERM while the disk is slow: those who wait get their answer before the gateway ends")
        func drainWhileSyncing() async throws {
            try await Stage.run { stage in
                let system = try await SystemCalls(stage)
                let gateway = try await stage.start(system.settings(stage))
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                #expect(try await connection.post(Script.text("wamid.warm", from: Crowd.phone(0))).status == 200)
                let before = system.calls.count
                system.order(.holdSync)
                let answer = try await connection.send(Script.text("wamid.slow", from: Crowd.phone(0)))
                try await eventually("the webhook to wait for the disk") {
                    let calls = system.calls.dropFirst(before)
                    guard let request = calls.lastIndex(where: { if case .request = $0 { true } else { false } }) else {
                        return false
                    }
                    return calls[request...].contains(.syncBegins)
                }
                gateway.send(SIGTERM)
                try await eventually("the listener to close") {
                    (try? await WebhookConnection.open(port: stage.ingressPort)) == nil
                }
                system.withdraw(.holdSync)
                #expect(try await answer.get().status == 200)
                #expect(try await gateway.end() == .status(0))
                _ = try await stage.start()
                try await Account.settle(stage)
                #expect(try await Account(stage).recorded["wamid.slow"] == 1)
            }
        }
    }
}
