import Foundation
import Messaging
import NIOCore
import Testing
import Webhooks

@testable import Sandbox

@Suite struct LoadRequestsTests {
    private static func requests(senders: Int = 10_000, run: UInt64 = 7) -> LoadRequests {
        LoadRequests(
            .init(phone: samplePhone, firstSender: 447_700_000_000, senders: senders), secret: appSecret,
            path: "/api/webhooks/meta", authority: "localhost:8443", run: run)
    }

    private struct Parts {
        let head: [String]
        let body: [UInt8]

        init(_ request: ByteBuffer) throws {
            let text = String(buffer: request)
            let end = try #require(text.range(of: "\r\n\r\n"))
            head = text[..<end.lowerBound].components(separatedBy: "\r\n")
            body = Array(text[end.upperBound...].utf8)
        }

        func header(_ name: String) -> String? {
            head.first { $0.hasPrefix(name + ": ") }.map { String($0.dropFirst(name.count + 2)) }
        }
    }

    @Test("every request is signed over its own body, and told its length")
    func signed() throws {
        var requests = Self.requests()
        let authenticator = WebhookAuthenticator(scheme: .meta, secrets: [appSecret])
        for number in 0..<200 {
            let parts = try Parts(requests.request(Int64(number), seconds: 1_767_225_600, allocator: .init()))
            #expect(parts.head.first == "POST /api/webhooks/meta HTTP/1.1")
            #expect(parts.header("Host") == "localhost:8443")
            #expect(parts.header("Content-Length") == "\(parts.body.count)")
            var header = SignatureHeader()
            header.add(Array(try #require(parts.header("X-Hub-Signature-256")).utf8))
            try parts.body.withUnsafeBytes { try authenticator.verify(header, body: $0) }
        }
    }

    @Test("a body decodes to one text with the id, the sender and the time that were filled in")
    func decoded() throws {
        var requests = Self.requests()
        let body = try Parts(requests.request(41, seconds: 1_767_225_600, allocator: .init())).body
        let webhook = MetaWebhookDecoder().decode(body, receivedAt: Timestamp(microseconds: 0))
        guard case .message(let message)? = webhook.updates.first, webhook.updates.count == 1 else {
            Issue.record("no message, but \(webhook.updates)")
            return
        }
        #expect(message.id == requests.messageID(41))
        #expect(message.type == "text")
        #expect(message.sentAt.seconds == 1_767_225_600)
        let digits = try #require(message.sender.phone?.digits)
        #expect((447_700_000_000..<447_700_010_000).contains(digits))
        #expect(message.body?.isEmpty == false)
    }

    @Test("ids differ from request to request, and from run to run")
    func distinct() {
        let ids = [UInt64(1), 2].flatMap { run in
            let requests = Self.requests(run: run)
            return (Int64(0)..<1000).map { requests.messageID($0) }
        }
        #expect(Set(ids).count == 2000)
    }

    @Test("bodies are as long as Meta's usually are")
    func lengths() throws {
        var requests = Self.requests()
        let lengths = try (0..<1000).map { number in
            try Parts(requests.request(Int64(number), seconds: 1, allocator: .init())).body.count
        }.sorted()
        #expect((540...620).contains(lengths[50]))
        #expect((670...750).contains(lengths[500]))
        #expect((950...1250).contains(lengths[950]))
    }

    @Test("the first sender writes most, and everybody is among the senders")
    func senders() {
        let distribution = SenderDistribution(senders: 100)
        var random = LoadRandom(seed: 3)
        var counts = [Int](repeating: 0, count: 100)
        for _ in 0..<100_000 { counts[distribution.draw(using: &random)] += 1 }
        #expect(counts.allSatisfy { $0 > 0 })
        // The tenth writes about a twelfth (10^1.1) of what the first does.
        let ratio = Double(counts[0]) / Double(counts[9])
        #expect((11...14.5).contains(ratio))
    }

    @Test("a single sender writes everything")
    func oneSender() {
        let distribution = SenderDistribution(senders: 1)
        var random = LoadRandom(seed: 3)
        #expect((0..<100).allSatisfy { _ in distribution.draw(using: &random) == 0 })
    }
}

@Suite struct LoadTargetTests {
    @Test(
        "an address is taken apart",
        arguments: [
            ("https://localhost:8443/api/webhooks/meta", "localhost", 8443, "/api/webhooks/meta", "localhost"),
            ("https://gateway.test", "gateway.test", 443, "/", "gateway.test"),
            ("https://127.0.0.1:9443/x?y=1", "127.0.0.1", 9443, "/x?y=1", nil),
            ("https://[::1]:8443/x", "::1", 8443, "/x", nil), ("https://[::1]/x", "::1", 443, "/x", nil),
        ])
    func parts(url: String, host: String, port: Int, path: String, serverName: String?) throws {
        let target = try LoadTarget(url)
        #expect(target.host == host)
        #expect(target.port == port)
        #expect(target.path == path)
        #expect(target.serverName == serverName)
    }

    @Test(
        "what is no address of TLS is refused",
        arguments: [
            "http://localhost/x", "localhost:8443", "https://", "https:///x", "https://a:0/x", "https://a:65536/x",
            "https://a:b/x", "https://a b/x", "https://a/x\r\nHost: b", "https://user@a/x", "https://a?x",
            "https://[::1",
            "https://a/#x",
        ])
    func refused(url: String) {
        #expect(throws: LoadError.badURL(url)) { try LoadTarget(url) }
    }
}
