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
                    try await stage.texts("SELECT rule || ' ' || value FROM gateway.inbox_notices()")
                        == ["emergency A tenant writes of an emergency"])
            }
        }
    }
}
