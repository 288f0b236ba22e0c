import PrivatePostgres
import Testing

extension EndToEndTests {
    @Suite struct OutageTests {
        @Test(
            "While PostgreSQL is away no webhook is refused; afterwards all are recorded once, each sender's in order")
        func outage() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                _ = try await stage.start()
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 4)
                try await load.running { load in
                    try await load.acknowledged(100)
                    try await cluster.stop()
                    try await load.acknowledged(300)
                    try await eventually("the outage to show") {
                        let answer = try await stage.operations("/readyz")
                        return answer.status == 200 && answer.text.contains("recording waits")
                    }
                    try await cluster.start()
                    try await load.acknowledged(50)
                    try await stage.untilReady()
                }
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
                try await checkEverything(stage, load.ledger)
            }
        }

        @Test("A gateway that starts without PostgreSQL acknowledges, says what is degraded, and records when it comes")
        func startedWithout() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                try await cluster.stop()
                _ = try await stage.start()
                let load = Load(port: stage.ingressPort, connections: 3, seed: 5)
                try await load.running { load in
                    try await load.acknowledged(100)
                    let ready = try await stage.operations("/readyz")
                    #expect(ready.status == 200)
                    #expect(ready.text.contains("\"status\":\"degraded\",\"can_acknowledge\":true"))
                    #expect(ready.text.contains("\"name\":\"database\",\"state\":\"degraded\""))
                    #expect(try await stage.operations("/healthz").status == 200)
                    try await cluster.start()
                    try await stage.untilReady()
                }
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
                try await checkEverything(stage, load.ledger)
            }
        }

        @Test("Database connections that are cut under load cost nothing but time")
        func cutConnections() async throws {
            try await Stage.run { stage in
                _ = try await stage.start()
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 6)
                try await load.running { load in
                    for _ in 0..<15 {
                        try await load.acknowledged(20)
                        try await stage.execute(
                            """
                            SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                             WHERE datname = current_database() AND usename = '\(Stage.login)'
                            """)
                    }
                }
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
                try await checkEverything(stage, load.ledger)
            }
        }

        @Test("A PostgreSQL that is killed under load and forgets its last commits gets them again")
        func crashes() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                let gateway = try await stage.start()
                try await stage.untilReady()
                let load = Load(port: stage.ingressPort, connections: 4, seed: 7)
                try await load.running { load in
                    for _ in 0..<5 {
                        try await load.acknowledged(60)
                        // Without synchronous_commit the last half second goes with it.
                        try await stage.killServer()
                        try await load.acknowledged(60)
                        try await cluster.start()
                        try await stage.untilReady()
                    }
                }
                #expect(load.ledger.refusals.isEmpty && load.ledger.lost == 0 && load.ledger.unconnected == 0)
                print("crashes: recorded again \(gateway.logged("the database is behind the journal").count) times")
                try await checkEverything(stage, load.ledger, countsLast: false)
            }
        }

        /// - Parameter countsLast: whether what was counted was recorded for good.
        private func checkEverything(_ stage: Stage, _ ledger: Ledger, countsLast: Bool = true) async throws {
            try await Account.settle(stage)
            try await Account(stage).checkExactlyOnce(ledger)
            try await Account.checkVerdicts(stage)
            try await Account.checkMessagesAgainstVerdicts(stage)
            try await Account.checkOrder(stage)
            guard countsLast else { return }
            let logged = try await stage.loggedVerdicts()
            try await eventually("the metrics to agree with the log: \(logged)", within: .seconds(10)) {
                try await stage.countedVerdicts() == logged
            }
        }
    }
}
