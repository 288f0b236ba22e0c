import Crypto
import Journal
import Messaging
import Testing
import Webhooks

@testable import Ingress

@Suite("The path of session servers")
struct VPSPathTests {
    private static let body = #"{"event":"session.status"}"#

    private static func exchange(_ text: String, vps: SignatureScheme?) async throws -> (String, [Envelope]) {
        let listener = try await TestListener(vps: vps)
        let client = try await RawClient(port: listener.port)
        try await client.send(text)
        let answer = await client.everything()
        await listener.close()
        return (answer, listener.journal.envelopes)
    }

    private static func hex(_ code: some Sequence<UInt8>) -> String {
        code.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }

    private static func sha512(_ body: String = body, _ secret: String = TestListener.secret) -> String {
        hex(HMAC<SHA512>.authenticationCode(for: Array(body.utf8), using: SymmetricKey(data: Array(secret.utf8))))
    }

    private static func sha256(_ body: String = body, _ secret: String = TestListener.secret) -> String {
        hex(HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: SymmetricKey(data: Array(secret.utf8))))
    }

    private static func post(_ headers: String) -> String {
        "POST /api/webhooks/vps HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(headers)"
            + "Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    @Test(
        "A signed event is journaled byte for byte under its own source",
        arguments: [
            (SignatureScheme.waha, "X-Webhook-Hmac: \(sha512())\r\nX-Webhook-Hmac-Algorithm: sha512\r\n"),
            (.waha, "x-webhook-hmac:\(sha512().uppercased())\r\n"),
            (.waha, "X-Webhook-Hmac: \(sha512(body, "older-secret"))\r\n"),
            // The algorithm is what the gateway was told, not what the sender says.
            (.waha, "X-Webhook-Hmac: \(sha512())\r\nX-Webhook-Hmac-Algorithm: none\r\n"),
            (.sha256, "X-Webhook-Hmac: \(sha256())\r\n"), (.sha256, "X-Webhook-Hmac: sha256=\(sha256())\r\n"),
            (.sha256, "X-Hub-Signature-256: sha256=\(sha256())\r\n"),
            (.sha256, "X-Hub-Signature-256: \(sha256())\r\n"),
        ])
    func acknowledges(dialect: SignatureScheme, headers: String) async throws {
        let (answer, envelopes) = try await Self.exchange(
            Self.post("Content-Type: application/json\r\n" + headers), vps: dialect)
        #expect(answer.statuses == [200])
        #expect(envelopes.map(\.source) == [.vps])
        #expect(envelopes.map(\.body) == [Array(Self.body.utf8)])
        let line = try #require(headers.split(separator: "\r\n").first).split(separator: ":", maxSplits: 1)
        let kept = WebhookSignature(stored: try #require(envelopes.first).signature)
        #expect(kept.header.name.lowercased() == line[0].lowercased())
        #expect(String(decoding: kept.value, as: UTF8.self) == line[1].trimmingPrefix(" "))
    }

    @Test(
        "What is not authentic gets 401 with an empty body, and nothing is journaled",
        arguments: [
            (SignatureScheme.waha, ""), (.waha, "X-Webhook-Hmac: \r\n"),
            (.waha, "X-Webhook-Hmac: \(sha512().dropLast())\r\n"), (.waha, "X-Webhook-Hmac: \(sha512())0\r\n"),
            (.waha, "X-Webhook-Hmac: sha512=\(sha512())\r\n"), (.waha, "X-Webhook-Hmac: \(sha512("{}"))\r\n"),
            (.waha, "X-Webhook-Hmac: \(sha512(body, "other"))\r\n"),
            (.waha, "X-Webhook-Hmac: \(sha512().dropLast())g\r\n"),
            (.waha, "X-Webhook-Hmac: \(sha512())\r\nX-Webhook-Hmac: \(sha512())\r\n"),
            // One dialect is not taken for the other, whatever the sender calls it, nor for Meta's.
            (.waha, "X-Webhook-Hmac: \(sha256())\r\nX-Webhook-Hmac-Algorithm: sha256\r\n"),
            (.waha, "X-Hub-Signature-256: sha256=\(sha256())\r\n"), (.sha256, "X-Webhook-Hmac: \(sha512())\r\n"),
            (.sha256, "X-Webhook-Hmac: sha512=\(sha256())\r\n"), (.sha256, "X-Hub-Signature: sha1=\(sha256())\r\n"),
            (.sha256, "X-Webhook-Hmac: \(sha256())\r\nX-Hub-Signature-256: sha256=\(sha256())\r\n"),
        ])
    func refusesBadSignatures(dialect: SignatureScheme, headers: String) async throws {
        let (answer, envelopes) = try await Self.exchange(Self.post(headers), vps: dialect)
        #expect(answer.statuses == [401])
        #expect(answer.hasSuffix("Content-Length: 0\r\n\r\n"))
        #expect(envelopes.isEmpty)
    }

    @Test("Without a secret the path is not there, however well a request is signed")
    func isNotThere() async throws {
        let (answer, envelopes) = try await Self.exchange(
            Self.post("X-Webhook-Hmac: \(Self.sha512())\r\n"), vps: nil)
        #expect(answer.statuses == [404])
        #expect(envelopes.isEmpty)
    }

    @Test("It takes POST alone, and has no handshake", arguments: ["GET", "PUT", "DELETE"])
    func takesPostAlone(method: String) async throws {
        let (answer, _) = try await Self.exchange(
            "\(method) /api/webhooks/vps?hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=1 HTTP/1.1\r\n"
                + "Host: a\r\nConnection: close\r\n\r\n", vps: .waha)
        #expect(answer.statuses == [405])
        #expect(answer.contains("Allow: POST\r\n"))
    }
}
