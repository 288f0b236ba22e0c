import GatewayTesting
import Testing

@testable import Ingress

@Suite("HTTPHeadParser")
struct HTTPHeadParserTests {
    private static func parse(_ text: String, limits: (target: Int, headers: Int) = (64, 512)) -> Result<
        HTTPRequestHead?, FramingError
    > {
        var parser = HTTPHeadParser(targetBytesMax: limits.target, headerBytesMax: limits.headers)
        return Array(text.utf8).withUnsafeBytes { bytes in
            do throws(FramingError) { return .success(try parser.parse(bytes)?.head) } catch { return .failure(error) }
        }
    }

    private static func status(_ error: FramingError) -> Int { WebhookResponse(error).status }

    @Test("A webhook's head is understood, whatever the case of its header names")
    func understandsAWebhook() throws {
        let text =
            "POST /api/webhooks/meta HTTP/1.1\r\nHOST: a.example:443\r\nContent-LENGTH: 12\r\n"
            + "content-type:  application/json \r\nX-HUB-Signature-256: sha256=aa\r\nX-Hub-Signature: sha1=bb\r\n\r\n"
        let head = try #require(try Self.parse(text, limits: (8192, 32768)).get())
        #expect(head.method == .post)
        #expect(head.framing == .length(12))
        #expect(head.keepsAlive)
        #expect(head.hubSignature256.count == 1)
        #expect(head.hubSignature.count == 1)
        let bytes = Array(text.utf8)
        #expect(String(decoding: bytes[head.target], as: UTF8.self) == "/api/webhooks/meta")
        #expect(String(decoding: bytes[head.hubSignature256.first], as: UTF8.self) == "sha256=aa")
        #expect(String(decoding: bytes[try #require(head.contentType)], as: UTF8.self) == "application/json")
    }

    @Test(
        "A head that comes byte by byte is the head that comes at once",
        arguments: [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "\r\nPOST /x?y=z HTTP/1.0\r\nContent-Length: 0\r\nConnection: Keep-Alive\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: [::1]:8443\r\nTransfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n\r\n",
        ])
    func readsBytewise(text: String) throws {
        let bytes = Array(text.utf8)
        var parser = HTTPHeadParser(targetBytesMax: 64, headerBytesMax: 512)
        for count in 0..<bytes.count {
            let early = try bytes[..<count].withUnsafeBytes { try parser.parse($0)?.head }
            #expect(early == nil)
        }
        let head = try bytes.withUnsafeBytes { try parser.parse($0) }
        #expect(head?.head == (try Self.parse(text).get()))
        #expect(head?.size == bytes.count)
    }

    @Test(
        "What could be read in two ways is refused with 400",
        arguments: [
            "GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\rHost: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
            " GET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "GET /\r\nHost: a\r\n\r\n",
            "GET\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "GET * HTTP/1.1\r\nHost: a\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", "GET /\u{1} HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /é HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /# HTTP/1.1\r\nHost: a\r\n\r\n", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/11\r\nHost: a\r\n\r\n",
            "GET / http/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1.1\r\nHost: a\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n",
            "GET / HTTP/1.1\r\n: a\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nA(b: c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\u{0}c\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nA: b\u{7F}\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1 1\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: \u{B}chunked\r\n\r\n",
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
        ])
    func refuses(text: String) {
        switch Self.parse(text, limits: (8192, 32768)) {
        case .success(let head): Issue.record("accepted: \(String(describing: head))")
        case .failure(let error): #expect(Self.status(error) == 400)
        }
    }

    @Test(
        "What is clear but not served has its own status",
        arguments: [
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501),
            ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505), ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
            ("GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\n", 505),
            ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: wonders\r\n\r\n", 417),
            ("GET /\(String(repeating: "a", count: 64)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
            ("GET /\(String(repeating: "a", count: 300))", 414),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 500))\r\n\r\n", 431),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 520))", 431),
            (String(repeating: "A", count: 300), 400),
        ])
    func tellsApart(text: String, status: Int) {
        switch Self.parse(text) {
        case .success(let head): Issue.record("accepted: \(String(describing: head))")
        case .failure(let error): #expect(Self.status(error) == status)
        }
    }

    @Test("A target or a header section of exactly the limit is taken")
    func acceptsTheLimit() throws {
        let target = "/" + String(repeating: "a", count: 63)
        #expect(try Self.parse("GET \(target) HTTP/1.1\r\nHost: a\r\n\r\n").get() != nil)
        let header = "A: " + String(repeating: "a", count: 512 - 5 - 9)
        #expect(try Self.parse("GET / HTTP/1.1\r\nHost: a\r\n\(header)\r\n\r\n").get() != nil)
    }

    @Test(
        "A connection goes on unless one side says otherwise",
        arguments: [
            ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false),
            ("HTTP/1.1", "Connection: x , CLOSE\r\n", false),
            ("HTTP/1.0", "", false), ("HTTP/1.0", "Connection: keep-alive\r\n", true),
            ("HTTP/1.1", "Connection: keep-alive, close\r\n", false),
        ])
    func keepsAlive(version: String, header: String, expected: Bool) throws {
        #expect(try Self.parse("GET / \(version)\r\nHost: a\r\n\(header)\r\n").get()?.keepsAlive == expected)
    }

    @Test("Random bytes and random mutations never crash the parser, and never make it wait over its limits")
    func survivesNoise() {
        let seed = UInt64.random(in: 0 ... .max)
        print("seed \(seed)")
        var random = SeededGenerator(seed: seed)
        let base = Array(
            "POST /api HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n".utf8)
        for _ in 0..<20_000 {
            var bytes = base
            for _ in 0..<Int.random(in: 1...6, using: &random) {
                let index = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<3, using: &random) {
                case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes.remove(at: index)
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: index)
                }
            }
            var parser = HTTPHeadParser(targetBytesMax: 64, headerBytesMax: 512)
            let whole = bytes.withUnsafeBytes { raw in try? parser.parse(raw).map { $0.head } }
            var second = HTTPHeadParser(targetBytesMax: 64, headerBytesMax: 512)
            var stepwise: HTTPRequestHead?
            var isRefused = false
            for count in Array(stride(from: 0, to: bytes.count, by: 7)) + [bytes.count]
            where stepwise == nil && !isRefused {
                do {
                    stepwise = try bytes[..<count].withUnsafeBytes { raw in try second.parse(raw)?.head }
                } catch { isRefused = true }
            }
            #expect((whole ?? nil) == stepwise, "the same bytes, cut otherwise: \(bytes)")
        }
    }
}
