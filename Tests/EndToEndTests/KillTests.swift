import GatewayTesting
import Glibc
import Testing

extension EndToEndTests {
    @Suite struct KillTests {
        @Test("SIGKILL at random moments under load loses nothing that was acknowledged, and doubles nothing")
        func kills() async throws {
            let seed = UInt64.random(in: .min ... .max)
            print("kills: seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            try await Stage.run { stage in
                let load = Load(port: stage.ingressPort, connections: 6, seed: seed)
                var lives: [Int] = []
                try await load.running { load in
                    for _ in 0..<24 {
                        let before = load.ledger.acknowledgedWebhooks
                        try await live(stage, load, using: &generator)
                        lives.append(load.ledger.acknowledgedWebhooks - before)
                    }
                    _ = try await stage.start()
                    try await load.acknowledged(50)
                }
                print("kills: acknowledged in each life: \(lives)")
                try await Account.settle(stage)
                try await Account(stage).checkExactlyOnce(load.ledger)
                try await Account.checkVerdicts(stage)
                try await Account.checkMessagesAgainstVerdicts(stage)
                try await Account.checkOrder(stage)
            }
        }

        /// One life: some die while they start, most under load.
        private func live(_ stage: Stage, _ load: Load, using generator: inout SeededGenerator) async throws {
            if Int.random(in: 0..<8, using: &generator) == 0 {
                let process = try stage.spawn()
                let words = ["SANDBOX_PORT", "ingress listens", "operations listener", "routes loaded"]
                let word = words.randomElement(using: &generator) ?? ""
                try await eventually("the gateway to start") { process.errors.contains(word) || process.exit != nil }
                #expect(try await process.end(by: SIGKILL) == .signal(SIGKILL))
                return
            }
            let process = try await stage.start()
            try await load.acknowledged(Int.random(in: 1...150, using: &generator))
            #expect(try await process.end(by: SIGKILL) == .signal(SIGKILL))
        }
    }
}
