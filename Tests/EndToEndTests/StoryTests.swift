import NIOHTTP1
import Testing

/// All of these start processes and load the machine: one after the other.
@Suite(.serialized)
struct EndToEndTests {}

extension EndToEndTests {
    @Suite struct StoryTests {
        @Test("A tenant's message reaches its landlord's thread and nobody else's, and the signed answer comes back")
        func story() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    let (alice, bob) = (try await Landlord("Alice", of: stage), try await Landlord("Bob", of: stage))
                    try await twin.post("send", #"{"from":"447911123456","text":"The kettle is broken"}"#)
                    let thread = try await eventual("Alice to see the thread") { try await alice.conversations().first }
                    #expect(thread.tenant_name == "Tom Taylor")
                    #expect(try await alice.messages(in: thread).map(\.body) == ["The kettle is broken"])
                    #expect(try await bob.conversations().isEmpty)
                    #expect(try await bob.call(.GET, "/api/conversations/\(thread.id)/messages").status == 404)
                    #expect(try await bob.reply("kettle?", in: thread).status == 404)
                    #expect(try await alice.call(.GET, "/api/conversations", withToken: false).status == 401)

                    #expect(try await alice.reply("A new kettle comes at ten", in: thread).status == 202)
                    let sent = try await twin.sent("From Alice Archer via ZenRent: A new kettle comes at ten")
                    #expect(sent.to == "447911123456")
                    try await eventually("the answer to be read") {
                        try await alice.messages(in: thread).contains {
                            $0.direction == "outgoing" && $0.status == "read"
                        }
                    }
                    let answer = try await alice.messages(in: thread).first { $0.direction == "outgoing" }
                    #expect(answer?.provider_id == sent.wamid)
                    #expect(answer?.delivered_at != nil && answer?.read_at != nil)
                    #expect(try await twin.sent().first?.statuses == ["sent", "delivered", "read"])
                    #expect(try await twin.sent().count == 1)
                }
            }
        }

        @Test("Every update of every sort of webhook ends in one verdict, in the log as in the metrics")
        func verdicts() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    let gateway = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    let ids = try await postOneOfEach(twin)
                    try await Account.settle(stage)

                    let expected = [
                        "routed": 33, "withheld": 1, "held": 1, "unclaimed": 2, "status": 3, "duplicate": 1,
                        "ignored": 2,
                        "parked": 1,
                    ]
                    let logged = try await stage.loggedVerdicts()
                    #expect(logged == expected)
                    try await eventually("the metrics to agree") { try await stage.countedVerdicts() == logged }
                    #expect(
                        try await stage.counted("gateway_updates_ignored_total") == ["account:flows": 1, "errors": 1])
                    #expect(gateway.logged("Meta reports trouble").count == 1)
                    try await Account.checkVerdicts(stage)
                    try await Account.checkMessagesAgainstVerdicts(stage)
                    try await checkThreads(stage, ids)
                }
            }
        }

        private struct Wamids {
            let image, held, unclaimed, withheld: String
        }

        private func postOneOfEach(_ twin: RunningTwin) async throws -> Wamids {
            let text = #""text":"kettle""#
            let first = try await twin.post("send", #"{"from":"447911123456",\#(text)}"#)[0]
            try await twin.post("send", #"{"from":"447911123456",\#(text),"id":"\#(first)"}"#)
            let ids = Wamids(
                image: try await twin.post("send", #"{"from":"447911123456","type":"image",\#(text)}"#)[0],
                held: try await twin.post("send", #"{"from":"447700900003",\#(text)}"#)[0],
                unclaimed: try await twin.post("send", #"{"from":"447700999999",\#(text)}"#)[0],
                withheld: try await twin.post("send", #"{"from":"447700900005",\#(text)}"#)[0])
            // A lease that ended long ago is none.
            try await twin.post("send", #"{"from":"447700900004",\#(text)}"#)
            try await twin.post("status", #"{"id":"wamid.never-sent","status":"read","recipient":"447911123456"}"#)
            try await twin.post(
                "batch",
                #"{"messages":[{"from":"447911123456",\#(text)},{"from":"447700900002",\#(text)}],"count":15,"#
                    + #""statuses":[{"id":"wamid.nobody-1","status":"sent"},{"id":"wamid.nobody-2","status":"failed"}],"#
                    + #""updates_per_change":4,"changes_per_entry":3}"#)
            try await twin.post("raw", "{\"object\":\"whatsapp_business_account\",\"entry\":[")
            try await twin.post(
                "raw",
                #"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"flows","value":{}}]}]}"#
            )
            let errors = #"{"errors":[{"code":130429,"title":"Rate limit hit"}]}"#
            try await twin.post(
                "raw",
                #"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","#
                    + #""value":\#(errors)}]}]}"#)
            return ids
        }

        private func checkThreads(_ stage: Stage, _ ids: Wamids) async throws {
            let alice = try await Landlord("Alice", of: stage).messages()
            let bob = try await Landlord("Bob", of: stage).messages()
            let carol = try await Landlord("Carol", of: stage).messages()
            // The one that settles is of the crowd, which is Alice's.
            #expect(alice.count == 33 && bob.isEmpty && carol.count == 1)
            #expect(alice.first { $0.provider_id == ids.image }?.type == "image")
            #expect(!alice.contains { $0.provider_id == ids.held })
            #expect(carol.first?.provider_id == ids.withheld)
            #expect(carol.first?.routing_status == "opted_out")
            let waiting = try await stage.texts(
                "SELECT wamid || ' ' || routing_status FROM gateway.whatsapp_messages WHERE conversation_id IS NULL ORDER BY sent_at, id"
            )
            #expect(waiting.contains("\(ids.held) ambiguous"))
            #expect(waiting.contains("\(ids.unclaimed) unknown_sender"))
            #expect(try await stage.number("SELECT count(*) FROM gateway.pending_statuses") == 3)
        }
    }
}

extension Stage {
    /// The sums of the webhook log by verdict; those of zero are left out.
    func loggedVerdicts() async throws -> [String: Int] {
        let columns = [
            "routed": "routed", "withheld": "withheld", "held": "held", "unclaimed": "unclaimed",
            "status": "status_applied",
            "duplicate": "duplicate", "ignored": "ignored", "parked": "parked",
        ]
        var counts: [String: Int] = [:]
        for (verdict, column) in columns {
            let sum = try await number("SELECT coalesce(sum(\(column)), 0) FROM gateway.webhook_log")
            if sum > 0 { counts[verdict] = sum }
        }
        return counts
    }
}
