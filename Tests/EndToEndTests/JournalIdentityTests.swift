import Foundation
import Glibc
import Testing

extension EndToEndTests {
    /// The journal survives its database, and tells itself from its copies (I11).
    @Suite struct JournalIdentityTests {
        @Test("A database restored to an earlier state gets everything since then again, and the log names the range")
        func restored() async throws {
            try await Stage.run { stage in
                let first = try await session(stage, "a", 1...25)
                let saved = stage.database + "_saved"
                try await stage.copyDatabase(to: saved)
                let second = try await session(stage, "b", 1...25)
                let through = try await stage.number("SELECT max(position) FROM gateway.journal_checkpoints")
                try await stage.replaceDatabase(with: saved)
                #expect(try await Account(stage).recorded.keys.filter { $0.hasPrefix("wamid.b-") }.isEmpty)
                let after = try await stage.number("SELECT max(position) FROM gateway.journal_checkpoints")

                let gateway = try await stage.start()
                try await stage.post("c", 1...5)
                try await Account.settle(stage)
                let line = try #require(gateway.logged("the database is behind the journal; recording again").first)
                #expect(line.contains(#""after":"\#(after)""#) && line.contains(#""through":"\#(through)""#))
                #expect(line.contains(#""trimmed_and_lost":"0""#))
                try await checkOnce(stage, first + second + ids("c", 1...5))
            }
        }

        @Test("A database that lost the row of a known journal raises the alarm and gets everything kept again")
        func rowMissing() async throws {
            try await Stage.run { stage in
                let all = try await session(stage, "a", 1...25)
                try await stage.execute("DELETE FROM gateway.journal_checkpoints; DELETE FROM gateway.journals")
                let gateway = try await stage.start()
                try await stage.post("b", 1...5)
                try await Account.settle(stage)
                let line = try #require(gateway.logged("the database does not know this journal any more").first)
                #expect(line.contains(#""level":"critical""#) && line.contains(#""after":"0""#))
                try await checkOnce(stage, all + ids("b", 1...5))
            }
        }

        @Test(
            "A copy of a journal that fell behind gets an identity of its own, and records what was unconfirmed again")
        func copiedBehind() async throws {
            try await Stage.run { stage in
                let confirmed = try await session(stage, "a", 1...10)
                // Acknowledged while the database is out of reach: unconfirmed in the original and in its copy.
                let dead = try await stage.start(["DATABASE_URL": stage.settings["DATABASE_URL"]! + " port=1"])
                try await stage.post("u", 1...10)
                try await dead.end(by: SIGKILL)
                let copy = stage.directory + "/copied"
                try FileManager.default.copyItem(atPath: stage.directory + "/data", toPath: copy)
                let original = try await session(stage, "b", 1...10)

                let gateway = try await stage.start(["GATEWAY_DATA_DIR": copy])
                try await stage.post("c", 1...5)
                try await Account.settle(stage)
                #expect(gateway.logged("it gets a new identity").count == 1)
                #expect(try await stage.number("SELECT count(*) FROM gateway.journals") == 2)
                try await checkOnce(stage, confirmed + ids("u", 1...10) + original + ids("c", 1...5))
                // The unconfirmed ones came in both journals, the second time as duplicates.
                #expect(try await stage.number("SELECT sum(duplicate) FROM gateway.webhook_log") == 10)
            }
        }

        @Test("A journal and its copy that run side by side part, and between them record every message once")
        func copiedBeside() async throws {
            try await Stage.run { stage in
                let before = try await session(stage, "a", 1...10)
                let copy = stage.directory + "/copied"
                try FileManager.default.copyItem(atPath: stage.directory + "/data", toPath: copy)
                let original = try await stage.start()
                try await Account.settle(stage)
                let port = Stage.freePort()
                let other = try await stage.start([
                    "GATEWAY_DATA_DIR": copy, "GATEWAY_INGRESS_PORT": "\(port)",
                    "GATEWAY_API_PORT": "\(Stage.freePort())",
                    "GATEWAY_OPS_PORT": "\(Stage.freePort())",
                ])
                try await eventually("the copy to be compared with the database") {
                    !other.logged("recording goes on").isEmpty || !other.logged("new identity").isEmpty
                }
                for number in 1...20 {
                    try await stage.post("o", number...number)
                    try await stage.post("p", number...number, port: port)
                }
                let all = before + ids("o", 1...20) + ids("p", 1...20)
                try await eventually("both to record everything") {
                    let recorded = try await Account(stage).recorded
                    return all.allSatisfy { recorded[$0] != nil }
                }
                try await checkOnce(stage, all)
                let renewals = original.logged("new identity").count + other.logged("new identity").count
                #expect((1...2).contains(renewals), "each parts from the other once")
                #expect(try await stage.number("SELECT count(*) FROM gateway.journals") == 1 + renewals)
            }
        }

        /// A life of a gateway: some webhooks, recorded, and a quiet end.
        private func session(_ stage: Stage, _ name: String, _ numbers: ClosedRange<Int>) async throws -> [String] {
            let gateway = try await stage.start()
            try await stage.post(name, numbers)
            try await Account.settle(stage)
            #expect(try await gateway.end(by: SIGTERM) == .status(0))
            return ids(name, numbers)
        }

        private func ids(_ name: String, _ numbers: ClosedRange<Int>) -> [String] {
            numbers.map { "wamid.\(name)-\($0)" }
        }

        private func checkOnce(_ stage: Stage, _ ids: [String]) async throws {
            let recorded = try await Account(stage).recorded
            #expect(ids.filter { recorded[$0] == nil } == [], "lost")
            #expect(recorded.filter { $0.value > 1 }.isEmpty, "doubled")
            try await Account.checkVerdicts(stage)
        }
    }
}

extension Stage {
    /// Posts texts one after the other; each must be acknowledged.
    func post(_ name: String, _ numbers: ClosedRange<Int>, port: Int? = nil) async throws {
        let connection = try await WebhookConnection.open(port: port ?? ingressPort)
        for number in numbers {
            let body = Script.text("wamid.\(name)-\(number)", from: Crowd.phone(number))
            let answer = try await connection.post(body)
            guard answer.status == 200 else { throw Landlord.Refused(answer: "\(answer)") }
        }
        await connection.close()
    }

    /// Nobody may be connected to the database.
    func copyDatabase(to name: String) async throws {
        try await withoutConnections("CREATE DATABASE \(name) TEMPLATE \(database)")
    }

    /// Puts a copy in the database's place.
    func replaceDatabase(with name: String) async throws {
        try await withoutConnections("ALTER DATABASE \(database) RENAME TO \(database)_gone")
        try await withoutConnections("ALTER DATABASE \(name) RENAME TO \(database)")
    }

    /// The server needs a moment to see that its clients have gone.
    private func withoutConnections(_ statement: String) async throws {
        try await eventually(statement) { (try? await execute(statement, database: "postgres")) != nil }
    }
}
