import Glibc
import NIOCore
import PrivatePostgres
import Testing

extension EndToEndTests {
    @Suite struct AcknowledgementTests {
        private static let policy: [String: String?] = ["GATEWAY_ACK": "postgres", "GATEWAY_ACK_TIMEOUT": "1s"]

        @Test("Under the policy postgres a 200 means that the row is in the database, right then")
        func recordedFirst() async throws {
            try await Stage.run { stage in
                _ = try await stage.start(Self.policy)
                try await stage.untilReady()
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for sender in 0..<4 {
                        group.addTask {
                            let connection = try await WebhookConnection.open(port: stage.ingressPort)
                            for number in 1...25 {
                                let id = "wamid.now-\(sender)-\(number)"
                                let answer = try await connection.post(Script.text(id, from: Crowd.phone(sender)))
                                #expect(answer.status == 200)
                                let rows = try await stage.number(
                                    "SELECT count(*) FROM gateway.whatsapp_messages WHERE wamid = '\(id)'")
                                #expect(rows == 1, "acknowledged before it was recorded")
                            }
                            await connection.close()
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await stage.operations("/metrics").text.contains("gateway_acknowledgements_waiting 0"))
            }
        }

        @Test("Without PostgreSQL webhooks get 503 with Retry-After; afterwards all of them are recorded once")
        func databaseAway() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                _ = try await stage.start(Self.policy)
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 11)
                var refused: [String] = []
                try await load.running { load in
                    try await load.acknowledged(50)
                    try await cluster.stop()
                    let connection = try await WebhookConnection.open(port: stage.ingressPort)
                    for number in 1...2 {
                        let id = "wamid.refused-\(number)"
                        let answer = try await connection.post(Script.text(id, from: Crowd.phone(1)))
                        #expect(answer.status == 503 && answer.retryAfter == "5" && !answer.isLast)
                        refused.append(id)
                    }
                    await connection.close()
                    try await eventually("the outage to show") {
                        let answer = try await stage.operations("/readyz")
                        return answer.status == 503 && answer.text.contains("GATEWAY_ACK_TIMEOUT")
                    }
                    try await cluster.start()
                    try await stage.untilReady()
                    try await load.acknowledged(50)
                }
                #expect(load.ledger.refusals[503, default: 0] > 0 && load.ledger.lost == 0)
                try await Account.settle(stage)
                // What was refused was kept, and is there without having been sent again.
                for id in refused {
                    #expect(
                        try await stage.number(
                            "SELECT count(*) FROM gateway.whatsapp_messages WHERE wamid = '\(id)'") == 1)
                }
                try await stage.execute("DELETE FROM gateway.whatsapp_messages WHERE wamid LIKE 'wamid.refused-%'")
                try await Account(stage).checkExactlyOnce(load.ledger)
                try await Account.checkVerdicts(stage)
            }
        }

        @Test("Started without PostgreSQL nothing is acknowledged, which /readyz says at once; with it everything is")
        func startedWithout() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                try await cluster.stop()
                _ = try await stage.start(Self.policy)
                let first = try await eventual("an answer of /readyz") { try? await stage.operations("/readyz") }
                #expect(first.status == 503 && first.text.contains("waits for database: "))
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                let refused = try await connection.post(Script.text("wamid.early", from: Crowd.phone(1)))
                #expect(refused.status == 503 && refused.retryAfter == "5" && !refused.isLast)
                try await cluster.start()
                try await stage.untilReady()
                // What cannot be processed is recorded as well: raw, and parked.
                for body in [Script.text("wamid.late", from: Crowd.phone(1)), Array("{\"object\":".utf8)] {
                    #expect(try await connection.post(body).status == 200)
                }
                #expect(try await stage.number("SELECT count(*) FROM gateway.parked_updates") == 1)
                #expect(try await stage.number("SELECT count(*) FROM gateway.webhook_log") == 3)
                #expect(try await stage.loggedVerdicts() == ["routed": 2, "parked": 1])
                await connection.close()
            }
        }

        @Test("PostgreSQL that goes away while nobody writes shows in /readyz before anybody waits in vain")
        func idleOutage() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                _ = try await stage.start(Self.policy)
                try await stage.untilReady()
                try await cluster.stop()
                try await eventually("the outage to show") {
                    let answer = try await stage.operations("/readyz")
                    return answer.status == 503 && answer.text.contains("waits for database")
                }
                try await cluster.start()
                try await stage.untilReady()
            }
        }

        @Test(
            "A 200 outlives a database that is killed right after it, also one that is set to commit without its disk")
        func databaseKilled() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                #expect(try await stage.texts("SHOW synchronous_commit") == ["off"])
                let gateway = try await stage.start(Self.policy)
                try await stage.untilReady()
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                for number in 1...20 {
                    let body = Script.text("wamid.kept-\(number)", from: Crowd.phone(1))
                    #expect(try await connection.post(body).status == 200)
                }
                // Both: the gateway would record again what the database forgot.
                try await stage.killServer()
                try await gateway.end(by: SIGKILL)
                try await cluster.start()
                #expect(
                    try await stage.number(
                        "SELECT count(*) FROM gateway.whatsapp_messages WHERE wamid LIKE 'wamid.kept-%'") == 20)
            }
        }

        @Test("At shutdown those who wait have an answer: 503 where the database is away")
        func shutdown() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                let gateway = try await stage.start(Self.policy)
                try await stage.untilReady()
                try await cluster.stop()
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                let answer = try await connection.send(Script.text("wamid.last", from: Crowd.phone(1)))
                gateway.send(SIGTERM)
                #expect(try await answer.get().status == 503)
                #expect(try await gateway.end() == .status(0))
                try await cluster.start()
                _ = try await stage.start(Self.policy)
                try await Account.settle(stage)
                #expect(
                    try await stage.number(
                        "SELECT count(*) FROM gateway.whatsapp_messages WHERE wamid = 'wamid.last'") == 1)
            }
        }
    }
}
