import Delivery
import Downstream
import GatewayTesting
import Messaging
import Testing

@Suite(.timeLimit(.minutes(1))) struct RuleDeliveryForwarderTests {
    private static let id = UniqueID("01980000-0000-7000-8000-00000000000a")!

    private static func delivery(_ body: String, to endpoint: String = "crm") -> RuleDelivery {
        RuleDelivery(id: id, endpoint: endpoint, body: Array(body.utf8))
    }

    private static func forwarder(_ url: String, secret: String? = nil) throws -> RuleDeliveryForwarder {
        var endpoints = DownstreamEndpoints(userAgent: "zenrent-gateway")
        try endpoints.add("crm", Secret(url)!)
        endpoints.secret = secret.flatMap { Secret($0) }
        return RuleDeliveryForwarder(endpoints)
    }

    @Test(
        "the body arrives as it is, under its id, with its HMAC-SHA256 where there is a secret",
        arguments: [
            // RFC 4231, test case 2.
            (
                "what do ya want for nothing?", "Jefe",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
            ),
            ("{\"text\":\"h\u{e9}\"}", nil, nil),
        ] as [(String, String?, String?)])
    func delivery(body: String, secret: String?, signature: String?) async throws {
        try await HandlerServer.run { server in
            let outcome = try await Self.forwarder(server.url, secret: secret).forward(Self.delivery(body))
            #expect(outcome == .answered(status: 200, retryAfterSeconds: nil))
            let received = try #require(server.received.value.first)
            #expect(received.text == body)
            #expect(received.headers["x-zenrent-delivery-id"] == "\(Self.id)")
            #expect(received.headers["x-zenrent-signature-256"] == signature.map { "sha256=\($0)" })
            #expect(received.headers["content-type"] == "application/json")
            #expect(received.headers["user-agent"] == "zenrent-gateway")
        }
    }

    @Test("the status is the answer; an endpoint no setting defines is nobody there")
    func outcomes() async throws {
        try await HandlerServer.run(answer: { _, _ in .init(status: 503, headers: ["Retry-After": "9"]) }) { server in
            let forwarder = try Self.forwarder(server.url)
            #expect(
                await forwarder.forward(Self.delivery("{}")) == .answered(status: 503, retryAfterSeconds: 9))
            guard case .unanswered = await forwarder.forward(Self.delivery("{}", to: "desk")) else {
                Issue.record("somebody was there")
                return
            }
            #expect(server.received.value.count == 1)
        }
    }
}
