import Foundation
import Testing

extension EndToEndTests {
    /// With the rules files as they are shipped.
    @Suite struct LadderTests {
        private static let shippedRules = URL(filePath: #filePath).deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "routing-rules").path

        private func run(_ body: (Stage, RunningTwin, _ alice: Landlord, _ bob: Landlord) async throws -> Void)
            async throws
        {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    let settings = twin.settings.merging(["GATEWAY_RULES_DIR": Self.shippedRules]) { $1 }
                    _ = try await stage.start(settings)
                    try await stage.untilReady()
                    try await body(
                        stage, twin, try await Landlord("Alice", of: stage), try await Landlord("Bob", of: stage))
                }
            }
        }

        @Test("A tenant of two landlords is asked once, taps, and the one they mean has all that waited")
        func asked() async throws {
            try await run { stage, twin, alice, bob in
                try await twin.post("send", #"{"from":"447700900003","text":"The window does not close"}"#)
                let question = try await eventual("the tenant to be asked") {
                    try await twin.sent().first { $0.options?.isEmpty == false }
                }
                #expect(question.to == "447700900003")
                #expect(question.options?.map(\.title) == ["4 Cedar Close", "Studio 5, Dock Stre…"])
                #expect(
                    question.text
                        == "Who is this message for?\n1. 4 Cedar Close – Alice Archer\n2. Studio 5, Dock Street – Bob Brown"
                )
                try await twin.post("send", #"{"from":"447700900003","text":"It rains in"}"#)
                try await eventually("both to wait") {
                    try await stage.number(
                        "SELECT count(*) FROM gateway.whatsapp_messages WHERE routing_status = 'ambiguous'") == 2
                }
                #expect(try await alice.conversations().isEmpty)
                #expect(try await bob.conversations().isEmpty)

                try await twin.post("tap", #"{"from":"447700900003","option":2}"#)
                let thread = try await eventual("Bob to see the thread") { try await bob.conversations().first }
                #expect(
                    try await bob.messages(in: thread).map(\.body)
                        == ["Studio 5, Dock Stre…", "It rains in", "The window does not close"])
                #expect(thread.unread_count == 3)
                #expect(try await alice.conversations().isEmpty)
                #expect(try await twin.sent().count { $0.options?.isEmpty == false } == 1)

                // Who spoke is meant, while nobody else has a thread.
                #expect(try await bob.reply("I will look at it", in: thread).status == 202)
                try await twin.post("send", #"{"from":"447700900003","text":"Thank you"}"#)
                try await eventually("the thanks to reach Bob") {
                    try await bob.messages(in: thread).contains { $0.body == "Thank you" }
                }
                try await Account.settle(stage)
                try await Account.checkVerdicts(stage)
                try await Account.checkMessagesAgainstVerdicts(stage)
            }
        }

        @Test("STOP is heard, recorded and not passed on; the receipt is the last that leaves")
        func stop() async throws {
            try await run { stage, twin, alice, _ in
                try await twin.post("send", #"{"from":"447911123456","text":"Hello"}"#)
                try await twin.post("send", #"{"from":"447911123456","text":"Stop!"}"#)
                _ = try await twin.sent(
                    "You will get no more messages from this number. Write START to get them again.")
                let thread = try #require(try await alice.conversations().first)
                let stop = try #require(try await alice.messages(in: thread).first { $0.body == "Stop!" })
                #expect(stop.routing_status == "by_rule")
                #expect(try await alice.reply("Why?", in: thread).status == 409)
                #expect(
                    try await stage.number("SELECT count(*) FROM gateway.consent_events WHERE action = 'revoke'") == 1)
                try await twin.post("send", #"{"from":"447911123456","text":"START"}"#)
                _ = try await twin.sent("Welcome back. Your landlord's messages reach you again.")
                #expect(try await alice.reply("Good", in: thread).status == 202)
            }
        }

        @Test("An administrator is told why a message waits, and what would become of another")
        func explained() async throws {
            try await run { stage, twin, alice, _ in
                let sent = try await twin.post("send", #"{"from":"447700900003","text":"It rains in"}"#)
                let id = try #require(sent.first?.addingPercentEncoding(withAllowedCharacters: .alphanumerics))
                _ = try await eventual("the tenant to be asked") {
                    try await twin.sent().first { $0.options?.isEmpty == false }
                }
                let admin = try await Landlord.administrator(of: stage)
                let answer = try await admin.call(.GET, "/api/admin/explain?of=\(id)")
                #expect(answer.status == 200, "\(answer.text)")
                for fact in [
                    #""summary":"held: waits, and could be for Alice Archer (4 Cedar Close); Bob Brown"#,
                    #""rung":"held""#, #""is_unchanged":true"#, #""source":"of the running gateway""#,
                    #""choices":["4 Cedar Close – Alice Archer","#, #""rules_generation":1"#,
                ] {
                    #expect(answer.text.contains(fact), "\(fact) in \(answer.text)")
                }
                #expect(!answer.text.contains("rains") && !answer.text.contains("447700900003"))
                #expect(try await alice.call(.GET, "/api/admin/explain?of=\(id)").status == 403)
                #expect(try await admin.call(.GET, "/api/admin/explain?of=wamid.none").status == 404)

                let rules = ["GATEWAY_RULES_DIR": Self.shippedRules]
                let command = try stage.spawn(["explain", "07911 123456", "--text", "stop!"], rules)
                #expect(try await command.end() == .status(0), "\(command.errors)")
                let lines = command.output.split(separator: "\n")
                #expect(lines[1].hasPrefix("withheld: stands in the conversation with Alice Archer"))
                #expect(lines[2].hasPrefix("rung: only_candidate: "))
                #expect(command.output.contains("  opt out, by stop\n"))
                for (arguments, status, words) in [
                    (["explain", "wamid.none"], 1, "no message with this id"),
                    (["explain", "0791"], 64, "not a telephone"),
                    (["explain", "07911123456", "--to", "x"], 64, "--to: there is no such endpoint"),
                ] {
                    let refused = try stage.spawn(arguments, rules)
                    #expect(try await refused.end() == .status(Int32(status)))
                    #expect(refused.errors.contains(words) && refused.errors.split(separator: "\n").count == 1)
                }
                #expect(
                    try await stage.texts(
                        """
                        SELECT entity || ' ' || (actor IS NULL) FROM gateway.audit_log
                         WHERE action = 'explain' ORDER BY at
                        """) == ["message false", "sender true"])
            }
        }

        @Test("A word of emergency raises the conversation in the landlord's list, and is noticed")
        func emergency() async throws {
            try await run { stage, twin, alice, _ in
                try await twin.post("send", #"{"from":"447700900002","text":"Good morning"}"#)
                try await twin.post("send", #"{"from":"447911123456","text":"Help, there is a GAS LEAK!"}"#)
                try await eventually("Alice to see both") { try await alice.conversations().count == 2 }
                let threads = try await alice.conversations()
                let raised = threads.filter { $0.priority == "high" }
                #expect(raised.map(\.tenant_name) == ["Tom Taylor"] && raised.first?.tags == ["emergency"])
                #expect(threads.filter { $0.priority == "normal" }.allSatisfy { $0.tags.isEmpty })
                #expect(
                    try await stage.texts("SELECT rule || ' ' || value FROM gateway.rule_notices()")
                        == ["emergency A tenant writes of an emergency"])
            }
        }
    }
}
