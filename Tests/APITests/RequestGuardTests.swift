import GatewayTesting
import Hummingbird
import HummingbirdTesting
import Messaging
import NIOCore
import Testing

@testable import API

/// Bytes no HTTP client would send, over a socket.
@Suite(.timeLimit(.minutes(1))) struct RequestGuardTests {
    private func exchange(
        _ pieces: [String], limits: APILimits = APILimits(), fixture: APIFixture = APIFixture()
    ) async throws -> String {
        var fixture = fixture
        fixture.limits = limits
        return try await fixture.application.test(.live) { client in
            try await RawConnection(port: client.port ?? 0).exchange(pieces)
        }
    }

    private static let good = """
        GET /api/conversations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \(APIFixture.token())\r\n\
        Connection: close\r\n\r\n
        """

    @Test("A proper request is answered, and the connection ended where it asks for it")
    func proper() async throws {
        let answer = try await exchange([Self.good])
        #expect(answer.hasPrefix("HTTP/1.1 200 OK\r\n"))
    }

    static let improper: [(name: String, request: String, status: String, code: String)] = [
        ("no HTTP", "hello\r\n\r\n", "400", "malformed-request"),
        ("no host", "GET / HTTP/1.1\r\n\r\n", "400", "malformed-request"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400", "malformed-request"),
        ("absolute form", "GET http://x/api/conversations HTTP/1.1\r\nHost: x\r\n\r\n", "400", "malformed-request"),
        ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400", "malformed-request"),
        ("space before the colon", "GET / HTTP/1.1\r\nHost : x\r\n\r\n", "400", "malformed-request"),
        (
            "two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\na", "400",
            "malformed-request"
        ),
        (
            "length and chunks",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "400", "malformed-request"
        ),
        (
            "long target", "GET /\(String(repeating: "a", count: 8192)) HTTP/1.1\r\nHost: x\r\n\r\n", "414",
            "target-too-long"
        ),
        (
            "long header", "GET / HTTP/1.1\r\nHost: x\r\nX: \(String(repeating: "a", count: 17_000))\r\n\r\n", "431",
            "headers-too-large"
        ),
        (
            "many headers", "GET / HTTP/1.1\r\nHost: x\r\n\(String(repeating: "X: a\r\n", count: 200))\r\n", "431",
            "headers-too-large"
        ),
        ("expectation", "POST / HTTP/1.1\r\nHost: x\r\nExpect: magic\r\n\r\n", "417", "expectation-failed"),
    ]

    @Test("An improper request is answered as what it is, and the connection ended", arguments: improper)
    func answersImproper(name: String, request: String, status: String, code: String) async throws {
        let answer = try await exchange([request])
        #expect(answer.hasPrefix("HTTP/1.1 \(status) "), "\(name): \(answer.prefix(80))")
        #expect(answer.contains("\"code\":\"\(code)\""))
        #expect(answer.lowercased().contains("connection: close\r\n"))
        #expect(answer.lowercased().contains("content-type: application/problem+json\r\n"))
    }

    @Test("Nothing after an improper request is acted upon")
    func nothingAfter() async throws {
        let fixture = APIFixture()
        let answer = try await exchange(["GET * HTTP/1.1\r\nHost: x\r\n\r\n" + Self.good], fixture: fixture)
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(answer.split(separator: "HTTP/1.1 ").count == 1)
        #expect(fixture.store.principals.isEmpty)
    }

    @Test("Requests sent ahead are answered in order")
    func pipelining() async throws {
        let first = "GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        let answer = try await exchange([first + "GET /x HTTP/1.1\r\nHost: x\r\n\r\n" + Self.good])
        let answers = answer.split(separator: "HTTP/1.1 ").map { String($0.prefix(3)) }
        #expect(answers == ["200", "404", "200"])
    }

    @Test(
        "What was asked properly before is answered before",
        arguments: ["GET * HTTP/1.1\r\nHost: x\r\n\r\n", "\0\r\n\r\n"])
    func improperAfterProper(improper: String) async throws {
        let answer = try await exchange([Self.good.replacing("Connection: close\r\n", with: "") + improper])
        #expect(answer.split(separator: "HTTP/1.1 ").map { $0.prefix(3) } == ["200", "400"])
    }

    @Test("A target without an end is cut off as too long")
    func endlessTarget() async throws {
        let part = String(repeating: "a", count: 15_000)
        let answer = try await exchange(["GET /"] + Array(repeating: part, count: 20))
        #expect(answer.hasPrefix("HTTP/1.1 414 "))
    }

    @Test("A body that breaks off is not acted upon", arguments: ["5\r\n     \r\nzz\r\n", "5\r\n     \r\n0\r\nx"])
    func brokenChunks(rest: String) async throws {
        let fixture = APIFixture()
        let body = #"{"text":"Hello"}"#
        let head = Self.post + "Transfer-Encoding: chunked\r\n\r\n\(String(body.utf8.count, radix: 16))\r\n\(body)\r\n"
        let answer = try await exchange([head, rest + "\r\n\0\r\n\r\n"], fixture: fixture)
        #expect(answer.hasPrefix("HTTP/1.1 400 "))
        #expect(fixture.store.replies.isEmpty)
    }

    private static let post = """
        POST /api/conversations/\(APIFixture.adasThread)/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
        Authorization: Bearer \(APIFixture.token())\r\nContent-Type: application/json\r\n
        """

    @Test("Who waits to be told to go on is told")
    func expectContinue() async throws {
        let body = #"{"text":"Hello"}"#
        let head = Self.post + "Expect: 100-continue\r\nContent-Length: \(body.utf8.count)\r\n\r\n"
        let answer = try await exchange([head, body])
        #expect(answer.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 Accepted\r\n"))
    }

    @Test("A body in chunks is read, and one that is too large is refused before its end")
    func chunks() async throws {
        let chunk = { (text: String) in "\(String(text.utf8.count, radix: 16))\r\n\(text)\r\n" }
        let head = Self.post + "Transfer-Encoding: chunked\r\n\r\n"
        let whole = try await exchange([head, chunk(#"{"text":"#), chunk(#""Hello"}"#), "0\r\n\r\n"])
        #expect(whole.hasPrefix("HTTP/1.1 202 "))
        let large = chunk(String(repeating: " ", count: 60_000))
        let answer = try await exchange([head, large, large])
        #expect(answer.hasPrefix("HTTP/1.1 413 "))
    }

    private static let start = "GET / HTTP/1.1\r\nHost: x\r\nX-"
    static let slow: [(pieces: [String], limit: @Sendable (inout APILimits) -> Void)] = [
        ([], { $0.headTimeout = .milliseconds(50) }),
        (["G"], { $0.headTimeout = .milliseconds(50) }),
        ([start], { $0.headTimeout = .milliseconds(50) }),
        ([post + "Content-Length: 20\r\n\r\n", "{"], { $0.bodyTimeout = .milliseconds(50) }),
        (["GET /x HTTP/1.1\r\nHost: x\r\n\r\n"], { $0.idleTimeout = .milliseconds(50) }),
    ]

    @Test("Who takes too long is cut off", arguments: slow.indices)
    func timeouts(index: Int) async throws {
        // Every other time is longer than the test may run.
        var limits = APILimits()
        limits.headTimeout = .minutes(5)
        limits.bodyTimeout = .minutes(5)
        limits.answerTimeout = .minutes(5)
        limits.idleTimeout = .minutes(5)
        Self.slow[index].limit(&limits)
        let fixture = APIFixture()
        let answer = try await exchange(Self.slow[index].pieces, limits: limits, fixture: fixture)
        #expect(!answer.contains(" 202 "))
        #expect(fixture.store.replies.isEmpty)
    }

    @Test("An answer that never comes ends the connection")
    func slowAnswer() async throws {
        var limits = APILimits()
        limits.answerTimeout = .milliseconds(50)
        let (release, releasing) = AsyncStream<Void>.makeStream()
        var fixture = APIFixture(beforeReply: { for await _ in release {} })
        fixture.limits = limits
        let body = #"{"text":"Hello"}"#
        let request = Self.post + "Content-Length: \(body.utf8.count)\r\n\r\n" + body
        let answer = try await fixture.application.test(.live) { client in
            let answer = try await RawConnection(port: client.port ?? 0).exchange([request])
            releasing.finish()
            return answer
        }
        #expect(answer.isEmpty)
    }
}
