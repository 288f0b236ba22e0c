import GatewayTesting
import Glibc
import Testing

extension EndToEndTests {
    /// No send whose outcome is unknown is repeated (I9).
    @Suite struct SendTests {
        @Test(
            "A reply whose answer is lost goes out once, and its statuses tell what became of it",
            arguments: [
                "drop", "http500", "no_id",
            ])
        func lostAnswer(fault: String) async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    try await twin.post("send", #"{"from":"447911123456","text":"kettle"}"#)
                    let alice = try await Landlord("Alice", of: stage)
                    let thread = try await eventual("Tom's thread") { try await alice.conversations().first }
                    try await twin.plan(fault)
                    #expect(try await alice.reply("kettle \(fault)", in: thread).status == 202)
                    try await eventually("the statuses to tell that it was read") {
                        try await alice.messages(in: thread).contains {
                            $0.direction == "outgoing" && $0.status == "read"
                        }
                    }
                    #expect(try await alice.reply("next kettle", in: thread).status == 202)
                    _ = try await twin.sent("From Alice Archer via ZenRent: next kettle")
                    #expect(
                        try await twin.sent().map(\.text) == [
                            "From Alice Archer via ZenRent: kettle \(fault)",
                            "From Alice Archer via ZenRent: next kettle",
                        ])
                }
            }
        }

        @Test("A reply that Meta refuses for now is tried again, and goes out once")
        func refusedForNow() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    try await twin.post("send", #"{"from":"447911123456","text":"kettle"}"#)
                    let alice = try await Landlord("Alice", of: stage)
                    let thread = try await eventual("Tom's thread") { try await alice.conversations().first }
                    try await twin.plan("error", code: 130429)
                    #expect(try await alice.reply("kettle", in: thread).status == 202)
                    _ = try await twin.sent("From Alice Archer via ZenRent: kettle")
                    #expect(try await twin.sent().count == 1)
                }
            }
        }

        @Test("SIGKILL while replies go out sends none of them twice, and statuses reach those that went")
        func kills() async throws {
            let seed = UInt64.random(in: .min ... .max)
            print("kills while sending: seed \(seed)")
            var generator = SeededGenerator(seed: seed)
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    var gateway = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    try await stage.post("tenant", 0...(Crowd.count - 1))
                    let alice = try await Landlord("Alice", of: stage)
                    try await eventually("all threads") { try await alice.conversations().count == Crowd.count }
                    let threads = try await alice.conversations()
                    for round in 1...5 {
                        let some = try await twin.sent().count + Int.random(in: 3...6, using: &generator)
                        let mine = threads.enumerated().filter { $0.offset % 5 == round - 1 }
                        async let replies: Void = reply(mine, alice)
                        try await eventually("some replies to go out") { try await twin.sent().count >= some }
                        try await gateway.end(by: SIGKILL)
                        await replies
                        gateway = try await stage.start(twin.settings)
                        try await stage.untilReady()
                    }
                    try await checkSends(stage, twin)
                }
            }
        }

        /// One reply a thread; the gateway may die meanwhile.
        private func reply(_ threads: [(offset: Int, element: Landlord.Conversation)], _ landlord: Landlord) async {
            for (index, thread) in threads { _ = try? await landlord.reply("kettle \(index)", in: thread) }
        }

        private func checkSends(_ stage: Stage, _ twin: RunningTwin) async throws {
            let waiting = "SELECT count(*) FROM gateway.outbox WHERE state = 'ready'"
            try await eventually("no reply to be left to send") { try await stage.number(waiting) == 0 }
            let sent = try await twin.sent()
            #expect(sent.count >= 15)
            #expect(Set(sent.compactMap(\.to)).count == sent.count, "one reply a thread: a second one is a repetition")
            try await eventually("what went out to count as read") {
                try await stage.number(
                    "SELECT count(*) FROM gateway.whatsapp_messages WHERE direction = 'outgoing' AND status = 'read'")
                    == sent.count
            }
        }
    }
}
