import Delivery
import Downstream
import GatewayTesting
import Messaging
import Testing

@Suite(.timeLimit(.minutes(1))) struct DownstreamForwarderTests {
    static func configuration(_ url: String, callTimeoutMilliseconds: Int64 = 30_000) throws -> DownstreamConfiguration
    {
        var configuration = try DownstreamConfiguration(url: Secret(url)!, userAgent: "zenrent-gateway")
        configuration.companionHeaders = [.vps: ["X-Webhook-Hmac-Algorithm": "sha512"]]
        configuration.timing.callMilliseconds = callTimeoutMilliseconds
        return configuration
    }

    static func forwarder(_ url: String, callTimeoutMilliseconds: Int64 = 30_000) throws -> DownstreamForwarder {
        DownstreamForwarder(configuration: try configuration(url, callTimeoutMilliseconds: callTimeoutMilliseconds))
    }

    static func webhook(
        _ body: [UInt8], source: WebhookSource = .meta, prefix: String = "sha256="
    ) -> ForwardedWebhook {
        let signature = prefix + String(repeating: "ab", count: 32)
        return ForwardedWebhook(id: "0198/7", source: source, signature: Array(signature.utf8), body: body)
    }

    @Test(
        "the body arrives byte for byte, the signature as it came and under its own name",
        arguments: [
            ([UInt8]("{\"a\": \"h\\u00e9\\/\"}\r\n".utf8), WebhookSource.meta, "sha256="),
            ([UInt8](0...255), .vps, ""), ([UInt8](0...255), .vps, "sha256="), ([], .meta, "sha256="),
            ([UInt8](repeating: 0x7B, count: 4 << 20), .meta, "sha256="),
        ])
    func bytes(body: [UInt8], source: WebhookSource, prefix: String) async throws {
        try await HandlerServer.run { server in
            let webhook = Self.webhook(body, source: source, prefix: prefix)
            let header = prefix.isEmpty ? "x-webhook-hmac" : "x-hub-signature-256"
            let outcome = try await Self.forwarder(server.url).forward(webhook)
            #expect(outcome == .answered(status: 200, retryAfterSeconds: nil))
            let received = try #require(server.received.value.first)
            #expect(received.body == body)
            #expect(received.headers[header] == String(decoding: webhook.signature, as: UTF8.self))
            #expect(received.headers["x-webhook-hmac-algorithm"] == (source == .vps ? "sha512" : nil))
            #expect(received.headers["content-type"] == "application/json")
            #expect(received.headers["user-agent"] == "zenrent-gateway")
            #expect(received.id == "0198/7" && received.source == source.name)
            #expect(received.headers["content-length"] == "\(body.count)")
        }
    }

    @Test(
        "a signature leaves in the header it came in; of one kept without a name, in that of who writes it so",
        arguments: [
            ("sha256=abcd", "x-hub-signature-256", "sha256=abcd"), ("abcd", "x-webhook-hmac", "abcd"),
            ("X-Webhook-Hmac: sha256=abcd", "x-webhook-hmac", "sha256=abcd"),
            ("X-Hub-Signature-256: abcd", "x-hub-signature-256", "abcd"), ("", nil, nil),
        ])
    func signatureHeaders(kept: String, header: String?, value: String?) async throws {
        try await HandlerServer.run { server in
            let webhook = ForwardedWebhook(id: "0198/7", source: .vps, signature: Array(kept.utf8), body: [1])
            _ = try await Self.forwarder(server.url).forward(webhook)
            let received = try #require(server.received.value.first)
            let names = ["x-hub-signature-256", "x-webhook-hmac"]
            #expect(received.headers.keys.filter(names.contains) == [header].compactMap { $0 })
            #expect(header.flatMap { received.headers[$0] } == value)
        }
    }

    @Test(
        "the status is the answer, with what it says about coming again",
        arguments: [(200, nil), (204, nil), (404, nil), (422, nil), (500, nil), (503, "7"), (429, "soon")])
    func statuses(status: Int, retryAfter: String?) async throws {
        let headers = retryAfter.map { ["Retry-After": $0] } ?? [:]
        try await HandlerServer.run(answer: { _, _ in .init(status: status, headers: headers) }) { server in
            let outcome = try await Self.forwarder(server.url).forward(Self.webhook([1]))
            #expect(outcome == .answered(status: status, retryAfterSeconds: retryAfter.flatMap { Int64($0) }))
        }
    }

    @Test("a redirect is not followed: it is an answer like another")
    func redirect() async throws {
        try await HandlerServer.run(answer: { _, _ in .init(status: 307, headers: ["Location": "/elsewhere"]) }) {
            server in
            let outcome = try await Self.forwarder(server.url).forward(Self.webhook([1]))
            #expect(outcome == .answered(status: 307, retryAfterSeconds: nil))
            #expect(server.received.value.count == 1)
        }
    }

    @Test("a handler that is silent, or not there, is no answer; the reason does not show the address")
    func unanswered() async throws {
        var outcomes: [ForwardOutcome] = []
        let port = try await HandlerServer.run(answer: { _, _ in .init(isSilent: true) }) { server in
            outcomes.append(
                try await Self.forwarder(server.url, callTimeoutMilliseconds: 200).forward(Self.webhook([1])))
            return server.port
        }
        outcomes.append(try await Self.forwarder("http://127.0.0.1:\(port)/hooks?key=k").forward(Self.webhook([1])))
        for outcome in outcomes {
            guard case .unanswered(let reason) = outcome else {
                Issue.record("\(outcome)")
                continue
            }
            #expect(!reason.contains("key") && !reason.contains("127.0.0.1") && !reason.isEmpty)
        }
    }
}

@Suite struct DownstreamConfigurationTests {
    @Test(
        "takes an address with TLS, and one without it on this machine alone",
        arguments: [
            ("https://handler.example", nil), ("https://handler.example:8443/a/b?key=1", nil),
            ("https://[2001:db8::1]/x", nil),
            ("http://127.0.0.1:9000/hooks", nil), ("http://localhost/hooks", nil), ("http://[::1]:80", nil),
            ("http://handler.example/hooks", DownstreamConfigurationError.inClear),
            ("http://127.0.0.1.example/hooks", .inClear), ("http://localhost.example", .inClear),
            ("https://user:hunter2@handler.example", .hasCredentials),
            ("http://127.0.0.1@handler.example", .hasCredentials),
            ("https://", .badURL), ("https://:443", .badURL), ("https:///path", .badURL),
            ("ftp://handler.example", .badURL),
            ("handler.example", .badURL), ("https://handler.example:port", .badURL),
            ("https://handler.example:99999", .badURL), ("https://handler.example:0", .badURL),
            ("https://handler.example/#part", .badURL), ("https://handler.example/a b", .badURL),
            ("https://handler.example/\u{e9}", .badURL), ("HTTPS://handler.example", .badURL),
        ])
    func addresses(url: String, problem: DownstreamConfigurationError?) {
        do {
            _ = try DownstreamForwarderTests.configuration(url)
            #expect(problem == nil)
        } catch let error as DownstreamConfigurationError {
            #expect(error == problem)
            #expect(!error.description.contains("hunter2"))
        } catch { Issue.record(error) }
    }
}
