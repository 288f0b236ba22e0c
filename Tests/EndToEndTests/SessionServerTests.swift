import Glibc
import Messaging
import Testing

extension EndToEndTests {
    @Suite struct SessionServerTests {
        @Test("A tenant's message to a session reaches its landlord's thread; what is not one, does not")
        func story() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settingsWithSession)
                    try await stage.untilReady()
                    let alice = try await Landlord("Alice", of: stage)
                    let id = try await twin.post(
                        "vps", #"{"from":"447911123456","lid":"38203818037365","text":"The kettle is out","id":"K1"}"#)
                    let thread = try await eventual("Alice to see the thread") { try await alice.conversations().first }
                    #expect(thread.tenant_name == "Tom Taylor")
                    let message = try #require(try await alice.messages(in: thread).first)
                    #expect(message.body == "The kettle is out" && message.type == "text")
                    #expect(message.provider_id == id[0])

                    // The hidden id was learnt with the number; alone, it is as good.
                    try await twin.post("vps", #"{"lid":"38203818037365","text":"kettle","id":"K2"}"#)
                    // Twice the same, once by each of two subscriptions
                    try await twin.post("vps", #"{"lid":"38203818037365","text":"kettle","id":"K2"}"#)
                    try await twin.post("vps/raw", Self.event("message", #""id":"false_1@g.us_A","from":"1@g.us""#))
                    try await twin.post(
                        "vps/raw", Self.event("message.any", #""id":"true_447911123456@c.us_A","fromMe":true"#))
                    try await twin.post(
                        "vps/raw", Self.event("message.ack", #""id":"true_447911123456@c.us_A","fromMe":true,"ack":3"#))
                    try await twin.post("vps/raw", "{\"event\":")
                    try await Account.settle(stage)
                    #expect(
                        try await stage.loggedVerdicts() == [
                            "routed": 3, "duplicate": 1, "ignored": 2, "status": 1, "parked": 1,
                        ])
                    try await Account.checkVerdicts(stage)
                    #expect(try await alice.messages(in: thread).count == 2)
                    #expect(try await stage.number("SELECT count(*) FROM gateway.pending_statuses") == 1)
                    #expect(try await alice.reply("kettle?", in: thread).status == 409, "sessions cannot send yet")
                }
            }
        }

        @Test("A session that nobody named is not the platform's; named later, what it brought is redriven by itself")
        func unknownSession() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    var gateway = try await stage.start(twin.settingsWithSession)
                    try await stage.untilReady()
                    let message = #""id":"false_447911123456@c.us_A","from":"447911123456@c.us","body":"kettle""#
                    try await twin.post("vps/raw", Self.event("message", message, session: "other"))
                    try await Account.settle(stage)
                    #expect(try await stage.loggedVerdicts() == ["routed": 1, "parked": 1])
                    let endpoints = "SELECT provider_id FROM gateway.endpoints WHERE kind = 'vps_session' ORDER BY 1"
                    #expect(try await stage.texts(endpoints) == ["default"])

                    try await gateway.end(by: SIGTERM)
                    gateway = try await stage.start(
                        twin.settingsWithSession.merging(["VPS_SESSIONS": "default,other"]) { $1 })
                    try await stage.untilReady()
                    let alice = try await Landlord("Alice", of: stage)
                    try await eventually("Alice to see the message") {
                        try await alice.messages().contains {
                            $0.body == "kettle" && $0.provider_id?.hasSuffix("_A") == true
                        }
                    }
                    #expect(try await stage.texts(endpoints) == ["default", "other"])
                    #expect(try await stage.loggedVerdicts() == ["routed": 2])
                }
            }
        }

        @Test("Without a secret there is no such path, and the start says so once")
        func off() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    let gateway = try await stage.start(twin.settings)
                    try await stage.untilReady()
                    let error = await #expect(throws: Landlord.Refused.self) {
                        try await twin.post("vps", #"{"from":"447911123456","text":"kettle"}"#)
                    }
                    #expect(error?.answer.contains(#""gateway_status":404"#) == true)
                    #expect(gateway.logged("VPS source is off").count == 1)
                }
            }
        }

        @Test("The state of a session stands in its endpoint, and an older one does not undo it")
        func state() async throws {
            try await Stage.run { stage in
                try await RunningTwin.run(before: stage) { twin in
                    _ = try await stage.start(twin.settingsWithSession)
                    try await stage.untilReady()
                    let now = Stage.now.microseconds / 1000
                    for (status, at) in [("WORKING", now), ("SCAN_QR_CODE", now - 60_000)] {
                        try await twin.post(
                            "vps/raw",
                            #"{"event":"session.status","session":"default","timestamp":\#(at),"#
                                + #""me":{"id":"15550783882:4@c.us"},"payload":{"status":"\#(status)"}}"#)
                    }
                    try await Account.settle(stage)
                    #expect(try await stage.loggedVerdicts() == ["routed": 1, "status": 2])
                    #expect(
                        try await stage.texts(
                            "SELECT status || ' ' || phone FROM gateway.endpoints WHERE kind = 'vps_session'")
                            == ["connected 15550783882"])
                    try await twin.post("vps/session", #"{"status":"STOPPED"}"#)
                    try await eventually("the session to be disconnected") {
                        try await stage.texts("SELECT status FROM gateway.endpoints WHERE kind = 'vps_session'")
                            == ["disconnected"]
                    }
                }
            }
        }

        private static func event(_ name: String, _ payload: String, session: String = "default") -> String {
            #"{"event":"\#(name)","session":"\#(session)","payload":{\#(payload)}}"#
        }
    }
}
