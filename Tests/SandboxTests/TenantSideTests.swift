import Foundation
import Logging
import Messaging
import NIOHTTP1
import Sandbox
import ServiceLifecycle
import Testing

/// What a developer asks of the twin.
@Suite(.timeLimit(.minutes(1))) struct TenantSideTests {
    @Test("a tenant's message reaches the gateway signed, under the id that is returned")
    func send() async throws {
        try await Stage.run { stage in
            let answer = try await stage.call(
                .POST, "/twin/send",
                #"{"from":"0044 7911 123456","text":"The tap drips 💧","name":"Sam","quote":"wamid.Q"}"#)
            #expect(answer.status == 200)
            #expect(answer[number: "gateway_status"] == 200)
            let post = try #require(stage.gateway.posts.first)
            #expect(isSigned(post))
            let message = dig(post.json, "entry", 0, "changes", 0, "value", "messages", 0)
            #expect(dig(message, "id") as? String == answer[string: "wamid"])
            #expect(dig(message, "from") as? String == "447911123456")
            #expect(dig(message, "text", "body") as? String == "The tap drips 💧")
            #expect(dig(message, "context", "id") as? String == "wamid.Q")
            let contact = dig(post.json, "entry", 0, "changes", 0, "value", "contacts", 0)
            #expect(dig(contact, "profile", "name") as? String == "Sam")
        }
    }

    static let mistakes: [(path: String, body: String, says: String)] = [
        ("send", "", "\"from\""), ("send", "[", "JSON"), ("send", #"{"from":7}"#, "\"from\" has the wrong type"),
        ("send", #"{"from":"abc","text":"x"}"#, "447911123456"), ("send", #"{"from":"447911123456"}"#, "\"text\""),
        ("send", #"{"from":"447911123456","type":"poem"}"#, "text, image"),
        ("send", #"{"from":"447911123456","text":"x","phone":"1"}"#, samplePhone.phoneNumberID),
        ("tap", "{}", "\"from\""), ("tap", #"{"from":"447911123456","option":1}"#, "something to tap"),
        ("batch", "{}", "\"messages\""),
        ("batch", #"{"messages":[{"from":"447911123456","text":"x"}],"count":99999}"#, "10000"),
        ("status", #"{"id":"wamid.A"}"#, "\"status\" is missing"), ("faults", "{}", "\"kind\" is missing"),
        ("faults", #"{"kind":"rain"}"#, "error, failed"), ("faults", #"{"kind":"drop","next":0}"#, "\"next\""),
        ("faults", #"{"kind":"plain"}"#, "\"status\""),
    ]

    @Test("a mistake is answered with 400 and the cure", arguments: mistakes)
    func mistake(path: String, body: String, says: String) async throws {
        try await Stage.run { stage in
            let answer = try await stage.call(.POST, "/twin/\(path)", body)
            #expect(answer.status == 400)
            #expect(answer[string: "error"].contains(says), "\(answer[string: "error"])")
            #expect(stage.gateway.posts.isEmpty)
        }
    }

    @Test("a batch is one webhook with many updates")
    func batch() async throws {
        try await Stage.run { stage in
            let answer = try await stage.call(
                .POST, "/twin/batch",
                #"{"messages":[{"from":"447911123456","text":"a"},{"bsuid":"GB.9","type":"image"}],"count":6,"#
                    + #""statuses":[{"id":"wamid.Z","status":"read","recipient":"447911123456"}],"#
                    + #""updates_per_change":5,"changes_per_entry":2}"#)
            #expect((answer["wamids"] as? [String])?.count == 12)
            #expect(stage.gateway.posts.count == 1)
            let entries = dig(stage.gateway.posts[0].json, "entry") as? [Any]
            #expect(entries?.count == 2)
            #expect(dig(entries?[1], "changes", 1, "value", "statuses", 0, "id") as? String == "wamid.Z")
        }
    }

    @Test("a status can be told of any message, known or not")
    func status() async throws {
        try await Stage.run({
            $0.window = .lenient
            $0.statusDelays = []
        }) { stage in
            let sent = try await stage.graph(Stage.text())
            let id = try #require(dig(sent.json, "messages", 0, "id") as? String)
            _ = try await stage.call(.POST, "/twin/status", #"{"id":"\#(id)","status":"failed","code":131049}"#)
            _ = try await stage.call(.POST, "/twin/status", #"{"id":"wamid.X","status":"read","timestamp":17}"#)
            let statuses = stage.gateway.posts.map { dig($0.json, "entry", 0, "changes", 0, "value", "statuses", 0) }
            #expect(dig(statuses[0], "biz_opaque_callback_data") as? String == "ref-1")
            #expect(dig(statuses[0], "errors", 0, "code") as? Int == 131049)
            #expect(dig(statuses[1], "timestamp") as? String == "17")
        }
    }

    @Test("any bytes are signed and posted as they are")
    func raw() async throws {
        try await Stage.run { stage in
            _ = try await stage.call(.POST, "/twin/raw", "not JSON é")
            let post = try #require(stage.gateway.posts.first)
            #expect(post.body == Array("not JSON é".utf8))
            #expect(isSigned(post))
        }
    }

    @Test("the handshake is verified, and a wrong token is not")
    func handshake() async throws {
        try await Stage.run { stage in
            let right = try await stage.call(.POST, "/twin/handshake")
            #expect(right["verified"] as? Bool == true)
            let wrong = try await stage.call(.POST, "/twin/handshake", #"{"token":"other"}"#)
            #expect(wrong["verified"] as? Bool == false)
            #expect(wrong[number: "gateway_status"] == 403)
        }
    }

    @Test("a gateway that does not answer is a 502 with status 0")
    func unreachable() async throws {
        try await Stage.run({ $0.webhookURL = "http://127.0.0.1:1/api/webhooks/meta" }) { stage in
            let answer = try await stage.call(.POST, "/twin/send", #"{"from":"447911123456","text":"x"}"#)
            #expect(answer.status == 502)
            #expect(answer[number: "gateway_status"] == 0)
            #expect(answer[string: "error"].contains("http://127.0.0.1:1/"))
        }
    }

    @Test("faults come in order, are counted, and can be taken back")
    func faults() async throws {
        try await Stage.run({ $0.window = .lenient }) { stage in
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"error","code":131016,"next":2}"#)
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"error","code":4}"#)
            let codes = try await [1, 2, 3].asyncMap { _ in
                dig(try await stage.graph(Stage.text()).json, "error", "code") as? Int
            }
            #expect(codes == [131016, 131016, 4])
            _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"drop","next":5}"#)
            _ = try await stage.call(.DELETE, "/twin/faults")
            #expect(try await stage.graph(Stage.text()).status == 200)
            let stats = try await stage.call(.GET, "/twin/stats")
            #expect(stats[number: "faults_played"] == 3)
            #expect(stats[number: "accepted"] == 1)
            #expect(stats[number: "refused"] == 3)
        }
    }

    @Test("its numbers are listed")
    func phones() async throws {
        try await Stage.run { stage in
            let phones = try await stage.call(.GET, "/twin/phones")
            #expect(dig(phones.json, 0, "phone_number_id") as? String == samplePhone.phoneNumberID)
            #expect(dig(phones.json, 0, "waba_id") as? String == samplePhone.accountID)
        }
    }
}

@Suite(.timeLimit(.minutes(1))) struct MetaTwinTests {
    private func configuration(port: Int) -> TwinConfiguration {
        TwinConfiguration(
            port: port, phones: [samplePhone], appSecret: appSecret, accessToken: accessToken, verifyToken: verifyToken,
            webhookURL: nil)
    }

    @Test("a port that is taken is named, with the setting that changes it")
    func portTaken() async throws {
        try await Stage.run { stage in
            let twin = try MetaTwin(configuration: configuration(port: stage.port))
            do {
                try await twin.run()
                Issue.record("two twins on one port")
            } catch {
                #expect("\(error)".contains("127.0.0.1:\(stage.port)"))
                #expect("\(error)".contains("SANDBOX_PORT"))
            }
            await #expect(throws: TwinError.self) { try await twin.boundPort }
        }
    }

    @Test("a certificate that cannot be read is named")
    func badTrustRoot() throws {
        var configuration = configuration(port: 0)
        configuration.trustRootFile = "/does/not/exist.pem"
        do {
            _ = try MetaTwin(configuration: configuration)
            Issue.record("it was read")
        } catch {
            #expect(error.description.contains("/does/not/exist.pem"))
        }
    }

    @Test("it ends when it is told to, also in the middle of a call without an answer")
    func shutdown() async throws {
        var configuration = configuration(port: 0)
        configuration.window = .lenient
        let twin = try MetaTwin(configuration: configuration)
        let group = ServiceGroup(services: [twin], logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        let run = Task { try await group.run() }
        let stage = Stage(gateway: GatewayStandIn(verifyToken: ""), port: try await twin.boundPort)
        _ = try await stage.call(.POST, "/twin/faults", #"{"kind":"timeout"}"#)
        let hanging = Task { _ = try? await stage.graph(Stage.text()) }
        while try await (stage.call(.GET, "/twin/messages").json as? [Any])?.isEmpty == true { await Task.yield() }
        await group.triggerGracefulShutdown()
        try await run.value
        await hanging.value
    }
}

@Suite(.timeLimit(.minutes(1))) struct TwinClientTests {
    @Test("an order becomes a message, and its receipt says what the gateway answered")
    func receipt() async throws {
        try await Stage.run { stage in
            let receipt = try await TwinClient(port: stage.port).send(
                .init(from: "447911123456", text: "Hello / 😀", name: "Sam"))
            #expect(receipt.gatewayStatus == 200)
            let message = dig(stage.gateway.posts[0].json, "entry", 0, "changes", 0, "value", "messages", 0)
            #expect(dig(message, "id") as? String == receipt.wamid)
            #expect(dig(message, "text", "body") as? String == "Hello / 😀")
        }
    }

    @Test("a mistake comes back in words")
    func refused() async throws {
        try await Stage.run { stage in
            await #expect(throws: TwinClient.Failure.refused("\"text\" is missing")) {
                _ = try await TwinClient(port: stage.port).send(.init(from: "447911123456", text: nil))
            }
        }
    }

    @Test("no twin there: the cure is named")
    func unreachable() async {
        do {
            _ = try await TwinClient(port: 1).send(.init(from: "447911123456", text: "x"))
            Issue.record("port 1 answered")
        } catch {
            #expect(error.description.contains("zenrent-gateway dev"))
            #expect(error.description.contains("127.0.0.1:1"))
        }
    }
}

extension Array {
    fileprivate func asyncMap<Result>(_ transform: (Element) async throws -> Result) async rethrows -> [Result] {
        var results: [Result] = []
        for element in self { try await results.append(transform(element)) }
        return results
    }
}
