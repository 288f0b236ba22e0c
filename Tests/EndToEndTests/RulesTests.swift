import Foundation
import Gateway
import Glibc
import Messaging
import NIOHTTP1
import PrivatePostgres
import Testing

extension EndToEndTests {
    /// Rules changed under a running gateway: what an administrator sees before, while and after.
    @Suite struct RulesTests {
        private static let tagging = "rules: [{name: kettle, when: {type: text}, then: [{tag: kettle}]}]\n"

        /// Runs a command to its end.
        private func command(
            _ stage: Stage, _ arguments: [String]
        ) async throws -> (exit: GatewayProcess.Exit, output: String) {
            let process = try stage.spawn(arguments, [:])
            let exit = try await process.end()
            return (exit, process.output + process.errors)
        }

        @Test("status, diff, SIGHUP and an administrator's reload tell the same story, and who did it")
        func story() async throws {
            try await Stage.run { stage in
                let gateway = try await stage.start()
                try await stage.untilReady()
                let connection = try await WebhookConnection.open(port: stage.ingressPort)
                #expect(try await connection.post(Script.text("wamid.rules-1", from: "447911123456")).status == 200)
                await connection.close()
                try await Account.settle(stage)
                try await eventually("the gateway to tell by which rules it decides") {
                    let (exit, text) = try await command(stage, ["rules", "status"])
                    return exit == .status(0) && text.contains("generation  1") && text.contains("by start")
                        && text.contains("as the directory")
                }
                #expect(try await command(stage, ["rules", "diff"]).exit == .status(0))

                try stage.write(Stage.rules + Self.tagging, to: "rules/default.yaml")
                let (exit, diff) = try await command(stage, ["rules", "diff", "--json"])
                #expect(exit == .status(2) && diff.contains(#""rules_added":["kettle"]"#), "\(diff)")
                #expect(!diff.contains(#""changed":0"#) && diff.contains("tag: ") && !diff.contains("447911123456"))

                gateway.send(SIGHUP)
                try await eventually("the rules to be swapped") { !gateway.logged("reloaded rules").isEmpty }
                let line = try #require(gateway.logged("rules are about to change").first)
                #expect(line.contains("1 added") && line.contains("\"replayed\":") && line.contains("\"changed\":"))

                try stage.write(Stage.rules, to: "rules/default.yaml")
                let admin = try await Landlord.administrator(of: stage)
                let reload = try await admin.call(.POST, "/api/admin/rules/reload")
                #expect(reload.status == 200 && reload.text.contains(#""outcome":"swapped","#), "\(reload.text)")
                #expect(reload.text.contains(#""generation":3"#))
                #expect(
                    try await admin.call(.GET, "/api/admin/rules").text.contains(
                        "administrator \(SampleWorld.administratorID)"))
                try await eventually("the database to know who loaded") {
                    let audit = try await stage.texts(
                        """
                        SELECT concat_ws(' ', actor, actor_role, detail ->> 'outcome') FROM gateway.audit_log
                         WHERE action = 'rules.reload' ORDER BY at
                        """)
                    return audit.count == 3 && audit[1] == "SIGHUP swapped"
                        && audit[2].hasPrefix("\(SampleWorld.administratorID) ")
                }
            }
        }

        @Test("a reload swaps at once while PostgreSQL is away, and says that nothing was compared")
        func outage() async throws {
            let cluster = try await TemporaryCluster()
            try await Stage.run(cluster: cluster) { stage in
                let gateway = try await stage.start()
                try await stage.untilReady()
                try await cluster.stop()
                try stage.write(Stage.rules + Self.tagging, to: "rules/default.yaml")
                gateway.send(SIGHUP)
                try await eventually("the rules to be swapped") { !gateway.logged("reloaded rules").isEmpty }
                let line = try #require(gateway.logged("rules are about to change").first)
                #expect(line.contains("not made: ") && line.contains("1 added"))
                let admin = try await Landlord.administrator(of: stage)
                let status = try await admin.call(.GET, "/api/admin/rules")
                #expect(status.status == 200 && status.text.contains(#""generation":2"#))
                #expect(status.text.contains("the database does not answer"))
                #expect(try await admin.call(.POST, "/api/admin/rules/diff", "{}").status == 503)
                try await cluster.start()
                try await stage.untilReady()
            }
        }
    }
}
