import Crypto
import Foundation
import Messaging
import NIOHTTP1
import Sandbox
import Testing

/// What a developer asks of the session server's twin.
@Suite(.timeLimit(.minutes(1))) struct SessionSideTests {
    private static let secret = Secret("zr-demo-vps-key")!

    private static func run(
        _ dialect: TwinSession.Dialect = .waha, _ body: @Sendable (Stage) async throws -> Void
    ) async throws {
        try await Stage.run {
            let url = ($0.webhookURL ?? "").replacingOccurrences(of: "/meta", with: "/vps")
            $0.session = TwinSession(
                name: "default", number: "15550783882", secret: secret, dialect: dialect, webhookURL: url)
        } _: {
            try await body($0)
        }
    }

    /// By the library's own comparison, not by the code that signed.
    private static func isSigned(_ post: GatewayStandIn.Post) -> Bool {
        let digits = Array((post.hmac ?? "").utf8)
        let code = stride(from: 0, to: digits.count - 1, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<($0 + 2)], as: UTF8.self), radix: 16)
        }
        let key = SymmetricKey(data: secret.utf8)
        return post.hmacAlgorithm == "sha512"
            ? HMAC<SHA512>.isValidAuthenticationCode(code, authenticating: post.body, using: key)
            : HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: post.body, using: key)
    }

    @Test("signs as WAHA does")
    func demonstration() {
        #expect(
            VPSPayloads.signature(
                of: Array(#"{"event":"session.status"}"#.utf8), secret: Self.secret, dialect: .waha)
                == "7bdc802369468b8e8df5ad52c3ccc483ad40b40eadf9763f43325019db162df6"
                + "a8f37620bf4df78660d210accd05dd1c87b1d05fac3eade55e6142163fa81b97")
    }

    @Test("a tenant's message reaches the gateway signed, under the id that is returned")
    func send() async throws {
        try await Self.run { stage in
            let answer = try await stage.call(
                .POST, "/twin/vps",
                #"{"from":"0044 7911 123456","lid":"382","text":"The tap drips 💧","name":"Sam","quote":"true_382@lid_Q"}"#
            )
            #expect(answer.status == 200 && answer[number: "gateway_status"] == 200)
            let post = try #require(stage.gateway.posts.first)
            #expect(post.signature == nil && post.hmacAlgorithm == "sha512" && Self.isSigned(post))
            #expect(dig(post.json, "event") as? String == "message")
            #expect(dig(post.json, "session") as? String == "default")
            #expect(dig(post.json, "payload", "id") as? String == answer[string: "wamid"])
            #expect(dig(post.json, "payload", "from") as? String == "382@lid")
            #expect(dig(post.json, "payload", "body") as? String == "The tap drips 💧")
            #expect(dig(post.json, "payload", "replyTo", "id") as? String == "true_382@lid_Q")
            #expect(
                dig(post.json, "payload", "_data", "key", "remoteJidAlt") as? String == "447911123456@s.whatsapp.net")
        }
    }

    @Test("the other dialect, the state of the session, and a body as it is are signed, too")
    func others() async throws {
        try await Self.run(.sha256) { stage in
            for (path, body) in [
                ("vps", #"{"from":"447911123456","type":"image","text":"a","id":"K"}"#), ("vps/raw", "not JSON"),
                ("vps", #"{"from":"447911123456","type":"location"}"#), ("vps/session", #"{"status":"WORKING"}"#),
            ] {
                let answer = try await stage.call(.POST, "/twin/" + path, body)
                #expect(answer[number: "gateway_status"] == 200)
            }
            let posts = stage.gateway.posts
            #expect(posts.count == 4 && posts.allSatisfy { $0.hmacAlgorithm == "sha256" && Self.isSigned($0) })
            #expect(dig(posts[0].json, "payload", "id") as? String == "false_447911123456@c.us_K")
            #expect(dig(posts[0].json, "payload", "media", "mimetype") as? String == "image/jpeg")
            #expect(posts[1].body == Array("not JSON".utf8))
            #expect(dig(posts[3].json, "payload", "status") as? String == "WORKING")
        }
    }

    @Test(
        "a mistake is answered with 400 and the cure",
        arguments: [
            ("vps", "{}", "\"lid\""), ("vps", #"{"from":"abc","text":"x"}"#, "447911123456"),
            ("vps", #"{"lid":"12x","text":"x"}"#, "digits"), ("vps", #"{"from":"447911123456"}"#, "\"text\""),
            ("vps", #"{"from":"447911123456","type":"poem"}"#, "text, image"), ("vps/session", "{}", "\"status\""),
        ])
    func mistake(path: String, body: String, says: String) async throws {
        try await Self.run { stage in
            let answer = try await stage.call(.POST, "/twin/\(path)", body)
            #expect(answer.status == 400)
            #expect(answer[string: "error"].contains(says), "\(answer[string: "error"])")
            #expect(stage.gateway.posts.isEmpty)
        }
    }

    @Test("without a session there is none to write to")
    func none() async throws {
        try await Stage.run { stage in
            let answer = try await stage.call(.POST, "/twin/vps", #"{"from":"447911123456","text":"x"}"#)
            #expect(answer.status == 400 && answer[string: "error"].contains("VPS_WEBHOOK_SECRET"))
        }
    }
}
