import Foundation
import Messaging
import NIOHTTP1
import Sandbox
import Synchronization
import Testing

/// The Graph side, as a client of Meta sees it.
@Suite(.timeLimit(.minutes(1))) struct GraphSideTests {
    @Test("a send is answered as Meta does")
    func success() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            let answer = try await stage.graph(Stage.text(to: "+44 7911 123456"))
            #expect(answer.status == 200)
            #expect(dig(answer.json, "messaging_product") as? String == "whatsapp")
            #expect(dig(answer.json, "contacts", 0, "input") as? String == "+44 7911 123456")
            #expect(dig(answer.json, "contacts", 0, "wa_id") as? String == "447911123456")
            #expect((dig(answer.json, "messages", 0, "id") as? String)?.hasPrefix("wamid.") == true)
            let person = try await stage.graph(
                #"{"messaging_product":"whatsapp","recipient":"GB.123","type":"text","text":{"body":"x"}}"#)
            #expect(dig(person.json, "contacts", 0, "user_id") as? String == "GB.123")
            #expect(dig(person.json, "contacts", 0, "wa_id") == nil)
            let read = try await stage.graph(
                #"{"messaging_product":"whatsapp","status":"read","message_id":"wamid.X"}"#)
            #expect(read["success"] as? Bool == true)
        }
    }

    static let refusals: [(body: String, code: Int, status: Int)] = [
        ("", 100, 400), ("[]", 100, 400), ("{", 100, 400), ("{}", 100, 400),
        (#"{"messaging_product":"whatsapp"}"#, 100, 400),
        (#"{"messaging_product":"whatsapp","to":"12","type":"text","text":{"body":"x"}}"#, 131009, 400),
        (#"{"messaging_product":"whatsapp","to":"+44791112345x","type":"text","text":{"body":"x"}}"#, 131009, 400),
        (#"{"messaging_product":"whatsapp","recipient":"nobody","type":"text","text":{"body":"x"}}"#, 131009, 400),
        (#"{"messaging_product":"whatsapp","to":"+447911123456"}"#, 100, 400),
        (#"{"messaging_product":"whatsapp","to":"+447911123456","type":"poem","poem":{}}"#, 131051, 400),
        (#"{"messaging_product":"whatsapp","to":"+447911123456","type":"image"}"#, 131008, 400),
        (#"{"messaging_product":"whatsapp","to":"+447911123456","type":"text","text":{}}"#, 131008, 400),
        (#"{"messaging_product":"whatsapp","to":"+447911123456","type":"text","text":{"body":""}}"#, 131008, 400),
        (Stage.text(String(repeating: "x", count: 4097)), 100, 400),
        (Stage.text(to: "+15550783881"), 131021, 400),
        (Stage.text(to: "+447911999999"), 131030, 400),
    ]

    @Test("what Meta refuses is refused with its code and status", arguments: refusals)
    func refusal(body: String, code: Int, status: Int) async throws {
        try await Stage.run({
            $0.window = .lenient
            $0.allowedRecipients = ["447911123456", "15550783881"]
        }) { stage in
            let answer = try await stage.graph(body)
            #expect(dig(answer.json, "error", "code") as? Int == code)
            #expect(answer.status == status)
            #expect((dig(answer.json, "error", "fbtrace_id") as? String)?.isEmpty == false)
            #expect(dig(try await stage.call(.GET, "/twin/messages").json, 0) == nil)
        }
    }

    @Test("token, proof and number are checked first")
    func authority() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            let path = "/v24.0/\(samplePhone.phoneNumberID)/messages"
            let bearer = ["Authorization": "Bearer EAAtoken"]
            let without = try await stage.call(.POST, path, Stage.text())
            #expect(without.status == 401)
            #expect(dig(without.json, "error", "code") as? Int == 190)
            let unproven = try await stage.call(.POST, path, Stage.text(), headers: bearer)
            #expect(dig(unproven.json, "error", "code") as? Int == 100)
            let wrong = try await stage.call(.POST, path + "?appsecret_proof=00", Stage.text(), headers: bearer)
            #expect((dig(wrong.json, "error", "message") as? String)?.contains("appsecret_proof") == true)
            let unknown = try await stage.graph(Stage.text(), object: "999")
            #expect(dig(unknown.json, "error", "code") as? Int == 100)
            #expect(dig(unknown.json, "error", "error_subcode") as? Int == 33)
        }
    }

    @Test("a proof that nobody asked for is checked all the same")
    func optionalProof() async throws {
        try await Stage.run({
            $0.window = .lenient
            $0.requiresProof = false
        }) { stage in
            let path = "/v24.0/\(samplePhone.phoneNumberID)/messages"
            let bearer = ["Authorization": "Bearer EAAtoken"]
            let unproven = try await stage.call(.POST, path, Stage.text(), headers: bearer)
            #expect(unproven.status == 200)
            let wrong = try await stage.call(.POST, path + "?appsecret_proof=00", Stage.text(), headers: bearer)
            #expect(wrong.status == 400)
        }
    }

    @Test("the window is open for 24 hours after a tenant wrote")
    func window() async throws {
        let time = TwinTime()
        try await Stage.run({ $0.now = time.now }) { stage in
            let before = try await stage.graph(Stage.text())
            #expect(dig(before.json, "error", "code") as? Int == 131047)
            _ = try await stage.call(.POST, "/twin/send", #"{"from":"447911123456","text":"x","bsuid":"GB.1"}"#)
            #expect(try await stage.graph(Stage.text()).status == 200)
            time.advance(bySeconds: 86_399)
            #expect(try await stage.graph(Stage.text()).status == 200)
            let person = #"{"messaging_product":"whatsapp","recipient":"GB.1","type":"text","text":{"body":"x"}}"#
            #expect(try await stage.graph(person).status == 200)
            time.advance(bySeconds: 1)
            let after = try await stage.graph(Stage.text())
            #expect(dig(after.json, "error", "code") as? Int == 131047)
            let template = #"{"messaging_product":"whatsapp","to":"+447911123456","type":"template","template":{}}"#
            #expect(try await stage.graph(template).status == 200)
        }
    }

    @Test("the pair rate lets 45 pass at once, then one every six seconds")
    func pairRate() async throws {
        let time = TwinTime()
        try await Stage.run({
            $0.window = .lenient
            $0.hasPairRate = true
            $0.now = time.now
            $0.statusDelays = []
        }) { stage in
            for _ in 0..<45 { #expect(try await stage.graph(Stage.text()).status == 200) }
            let full = try await stage.graph(Stage.text())
            #expect(dig(full.json, "error", "code") as? Int == 131056)
            #expect(try await stage.graph(Stage.text(to: "+447911000000")).status == 200)
            time.advance(bySeconds: 6)
            #expect(try await stage.graph(Stage.text()).status == 200)
            #expect(try await stage.graph(Stage.text()).status == 400)
        }
    }
}

/// What the twin posts to the gateway.
@Suite(.timeLimit(.minutes(1))) struct WebhookPostingTests {
    @Test("statuses follow a send in order, signed, with our reference")
    func statuses() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            let answer = try await stage.graph(Stage.text())
            await stage.gateway.untilPosted(3)
            let posts = stage.gateway.posts
            let statuses = posts.map { dig($0.json, "entry", 0, "changes", 0, "value", "statuses", 0) }
            #expect(statuses.map { dig($0, "status") as? String } == ["sent", "delivered", "read"])
            for status in statuses {
                #expect(dig(status, "id") as? String == dig(answer.json, "messages", 0, "id") as? String)
                #expect(dig(status, "recipient_id") as? String == "447911123456")
                #expect(dig(status, "biz_opaque_callback_data") as? String == "ref-1")
                #expect(dig(status, "conversation") == nil)
            }
            for post in posts {
                #expect(isSigned(post))
                #expect(post.contentType == "application/json")
            }
            let listed = try await stage.call(.GET, "/twin/messages")
            #expect(dig(listed.json, 0, "statuses") as? [String] == ["sent", "delivered", "read"])
            #expect(dig(listed.json, 0, "text") as? String == "Hello")
        }
    }

    @Test("versions before 24 tell of a conversation with sent")
    func oldVersion() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            _ = try await stage.graph(Stage.text(), version: "v23.0")
            await stage.gateway.untilPosted(3)
            let conversations = stage.gateway.posts.map {
                dig($0.json, "entry", 0, "changes", 0, "value", "statuses", 0, "conversation", "id") != nil
            }
            #expect(conversations == [true, false, false])
        }
    }

    @Test("shuffled statuses are the same three")
    func shuffled() async throws {
        try await Stage.run({
            $0.window = .lenient
            $0.statusOrder = .shuffled
        }) { stage in
            for _ in 0..<8 { _ = try await stage.graph(Stage.text()) }
            await stage.gateway.untilPosted(24)
            let pairs = stage.gateway.posts.map { post -> String in
                let status = dig(post.json, "entry", 0, "changes", 0, "value", "statuses", 0)
                return "\(dig(status, "id") as? String ?? "") \(dig(status, "status") as? String ?? "")"
            }
            #expect(Set(pairs).count == 24)
        }
    }

    @Test("a message that fails is sent, then failed with its code")
    func failed() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"failed","code":131026}"#)
            #expect(try await stage.graph(Stage.text()).status == 200)
            await stage.gateway.untilPosted(2)
            let statuses = stage.gateway.posts.map { dig($0.json, "entry", 0, "changes", 0, "value", "statuses", 0) }
            #expect(statuses.map { dig($0, "status") as? String } == ["sent", "failed"])
            #expect(dig(statuses[1], "errors", 0, "code") as? Int == 131026)
        }
    }

    @Test("a message taken without an answer still gets its statuses: they settle it")
    func uncertain() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"http500"}"#)
            #expect(try await stage.graph(Stage.text()).status == 500)
            await stage.gateway.untilPosted(3)
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"http500","accepted":false}"#)
            #expect(try await stage.graph(Stage.text()).status == 500)
            let messages = try await stage.call(.GET, "/twin/messages")
            #expect((messages.json as? [Any])?.count == 1)
        }
    }

    @Test("what is not answered with 200 is posted again, the same bytes, up to the bound")
    func retries() async throws {
        try await Stage.run { stage in
            stage.gateway.answer([503, 202])
            let answer = try await stage.call(.POST, "/twin/send", #"{"from":"447911123456","text":"x"}"#)
            #expect(answer[number: "gateway_status"] == 503)
            await stage.gateway.untilPosted(3)
            #expect(Set(stage.gateway.posts.map(\.body)).count == 1)
            stage.gateway.answer([500, 500, 500, 500])
            _ = try await stage.call(.POST, "/twin/send", #"{"from":"447911123456","text":"y"}"#)
            await stage.gateway.untilPosted(7)
            var stats = try await stage.call(.GET, "/twin/stats")
            while stats[number: "webhooks_lost"] < 1 { stats = try await stage.call(.GET, "/twin/stats") }
            #expect(stats[number: "webhooks_posted"] == 7)
            #expect(stats[number: "webhooks_retried"] == 5)
            #expect(stats[number: "webhooks_lost"] == 1)
        }
    }
}

/// A twin's clock that the test moves.
private final class TwinTime: Sendable {
    private let time = Mutex(Timestamp(seconds: 1_772_000_000))

    var now: @Sendable () -> Timestamp { { self.time.withLock { $0 } } }

    func advance(bySeconds seconds: Int64) {
        time.withLock { $0 = $0.advanced(bySeconds: seconds) }
    }
}
