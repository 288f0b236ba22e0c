import GatewayTesting
import Journal
import Messaging
import NIOSSL
import Testing

@testable import Ingress

@Suite("IngressServer, over sockets and TLS")
struct IngressServerTests {
    /// Sends bytes on a connection of their own and returns all answers, once the server has closed it.
    private static func exchange(_ text: String, limits: IngressLimits = TestListener.patient) async throws -> (
        String, [Envelope]
    ) {
        let listener = try await TestListener(limits: limits)
        let client = try await RawClient(port: listener.port)
        if !text.isEmpty { try await client.send(text) }
        let answer = await client.everything()
        await listener.close()
        return (answer, listener.journal.envelopes)
    }

    @Test("A signed webhook is journaled byte for byte and answered 200 with an empty body")
    func acknowledges() async throws {
        let body = #"{"object":"whatsapp_business_account","t":"\u00e9\/"}"#
        let (answer, envelopes) = try await Self.exchange(TestListener.webhook(body, headers: "Connection: close\r\n"))
        #expect(
            answer.hasPrefix(
                "HTTP/1.1 200 OK\r\nDate: Tue, 14 Nov 2023 22:13:20 GMT\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ))
        #expect(envelopes.map(\.body) == [Array(body.utf8)])
        #expect(envelopes.map(\.signature) == [Array(TestListener.signature(body).utf8)])
    }

    @Test("A secret of the ring that is not the newest is good, too")
    func acceptsTheRing() async throws {
        let (answer, _) = try await Self.exchange(
            TestListener.webhook("{}", secret: "older-secret", headers: "Connection: close\r\n"))
        #expect(answer.statuses == [200])
    }

    @Test(
        "What is not authentic gets 401 with an empty body, and nothing is journaled",
        arguments: [
            "", "X-Hub-Signature: sha1=b2d2a68c006e060cbaf428efbfe397c857389e81\r\n",
            "X-Hub-Signature-256: sha256=00\r\n",
            "X-Hub-Signature-256: \(String(repeating: "0", count: 64))\r\n",
            "X-Hub-Signature-256: sha256=\(String(repeating: "0", count: 64))\r\n",
            "X-Hub-Signature-256: SHA256=\(TestListener.signature("{}").dropFirst(7))\r\n",
            "X-Hub-Signature-256: \(TestListener.signature("{}"))0\r\n",
            "X-Hub-Signature-256: \(TestListener.signature("{}").dropLast())\r\n",
            "X-Hub-Signature-256: \(TestListener.signature("{} "))\r\n",
            "X-Hub-Signature-256: \(TestListener.signature("{}", "other"))\r\n",
            "X-Hub-Signature-256: \(TestListener.signature("{}"))\r\nX-Hub-Signature-256: \(TestListener.signature("{}"))\r\n",
        ])
    func refusesBadSignatures(header: String) async throws {
        let text =
            "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\(header)Content-Length: 2\r\n\r\n{}"
        let (answer, envelopes) = try await Self.exchange(text)
        #expect(answer.statuses == [401])
        #expect(answer.hasSuffix("Content-Length: 0\r\n\r\n"))
        #expect(envelopes.isEmpty)
    }

    @Test(
        "The handshake echoes the challenge as plain text, for the right mode and token only",
        arguments: [
            ("hub.mode=subscribe&hub.verify_token=verify-me&hub.challenge=0012%3C3", 200),
            ("hub.mode=subscribe&hub.verify_token=wrong&hub.challenge=1", 403),
            ("hub.mode=other&hub.verify_token=verify-me&hub.challenge=1", 403),
            ("hub.mode=subscribe&hub.verify_token=verify-me", 403), ("", 403),
        ])
    func answersHandshakes(query: String, status: Int) async throws {
        let (answer, envelopes) = try await Self.exchange(
            "GET /api/webhooks/meta?\(query) HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        #expect(answer.statuses == [status])
        #expect(envelopes.isEmpty)
        if status == 200 {
            #expect(answer.contains("Content-Type: text/plain\r\n"))
            #expect(answer.contains("X-Content-Type-Options: nosniff\r\n"))
            #expect(answer.hasSuffix("\r\n\r\n0012<3"))
        }
    }

    @Test(
        "Each refusal has its status; framing errors end the connection and nothing after them is read",
        arguments: [
            ("GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
            ("GET /api/webhooks/meta/ HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
            ("GET /api/webhooks/vps HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 404),
            ("DELETE /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 405),
            ("POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nContent-Length: 4194305\r\n\r\n", 413),
            (
                "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nContent-Type: text/xml\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
                415
            ),
            (
                "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
                415
            ),
            ("POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 2\r\n\r\n{}", 417),
            ("POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
            ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", 505), ("GET / HTTP/1.1\nHost: a\n\n", 400),
            ("GET /\(String(repeating: "a", count: 9000)) HTTP/1.1\r\n", 414),
            ("GET / HTTP/1.1\r\nHost: a\r\nA: \(String(repeating: "a", count: 33_000))\r\n", 431),
            (
                "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\n\r\n",
                400
            ),
            ("POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n500000\r\n", 413),
        ])
    func refuses(text: String, status: Int) async throws {
        let (answer, envelopes) = try await Self.exchange(text + TestListener.webhook("{}"))
        #expect(answer.statuses == [status])
        #expect(answer.contains("Connection: close\r\n"))
        #expect(envelopes.isEmpty)
        if status == 405 { #expect(answer.contains("Allow: GET, POST\r\n")) }
    }

    @Test("Refusals that leave the framing intact keep the connection, and the next request is served")
    func goesOnAfterRefusals() async throws {
        let listener = try await TestListener()
        let client = try await RawClient(port: listener.port)
        try await client.send(
            "POST /nowhere HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
                + "PUT /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
                + TestListener.webhook("{}", secret: "wrong") + TestListener.webhook("[1]"))
        let answer = await client.answers(4)
        #expect(answer.statuses == [404, 405, 401, 200])
        #expect(listener.journal.envelopes.map(\.body) == [Array("[1]".utf8)])
        await client.close()
        await listener.close()
    }

    @Test("Pipelined webhooks are answered in order, each after its own commit")
    func pipelines() async throws {
        let journal = ManualJournal(isAutomatic: false)
        let listener = try await TestListener(journal: journal)
        let client = try await RawClient(port: listener.port)
        try await client.send((1...3).map { TestListener.webhook("[\($0)]") }.joined())
        for count in 1...3 {
            await journal.arrived(count)
            #expect(journal.envelopes.count == count, "the next is not taken before this one is durable")
            journal.answerAll(.success(DurabilityReceipt(syncedUpTo: JournalPosition(Int64(count)))))
        }
        #expect(await client.answers(3).statuses == [200, 200, 200])
        #expect(journal.envelopes.map { String(decoding: $0.body, as: UTF8.self) } == ["[1]", "[2]", "[3]"])
        await client.close()
        await listener.close()
    }

    @Test("Chunked webhooks, and senders that wait for 100 Continue, are served")
    func acceptsChunkedBodies() async throws {
        let listener = try await TestListener()
        let client = try await RawClient(port: listener.port)
        let head =
            "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n"
            + "X-Hub-Signature-256: \(TestListener.signature("{\"a\":1}"))\r\n\r\n"
        try await client.send(head)
        #expect(await client.answers(1).statuses == [100])
        try await client.send("3\r\n{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n")
        #expect(await client.answers(2).statuses == [100, 200])
        #expect(listener.journal.envelopes.map(\.body) == [Array("{\"a\":1}".utf8)])
        await client.close()
        await listener.close()
    }

    @Test(
        "A journal that cannot take it means 503 with Retry-After, and never 200",
        arguments: [
            JournalError(.full, ""), JournalError(.diskFull, ""), JournalError(.syncFailed, ""),
            JournalError(.closed, ""),
        ])
    func answersUnavailable(error: JournalError) async throws {
        let refusing = try await TestListener()
        refusing.journal.refuse(with: error)
        let first = try await RawClient(port: refusing.port)
        try await first.send(TestListener.webhook("{}"))
        let refused = await first.answers(1)
        #expect(refused.statuses == [503])
        #expect(refused.contains("Retry-After: "))
        await refusing.close()

        let failing = try await TestListener(journal: ManualJournal(isAutomatic: false))
        let second = try await RawClient(port: failing.port)
        try await second.send(TestListener.webhook("{}"))
        await failing.journal.arrived(1)
        failing.journal.answerAll(.failure(error))
        #expect(await second.answers(1).statuses == [503])
        await failing.close()
    }

    @Test(
        "Heads and bodies that do not come to an end are cut off with 408; silent connections are closed",
        arguments: [
            ("GET / HTTP/1.1\r\nHos", [408]),
            ("POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n{}", [408]), ("", []),
        ])
    func cutsOffSlowSenders(text: String, statuses: [Int]) async throws {
        // Far off what is not meant: a busy machine must not meet it first, least of all before it has sent anything.
        var limits = TestListener.patient
        if text.hasSuffix("}") { limits.bodySeconds = 1 } else { limits.headSeconds = 5 }
        limits.lingerSeconds = 1
        let (answer, _) = try await Self.exchange(text, limits: limits)
        #expect(answer.statuses == statuses)
    }

    @Test("Bodies up to the limit are taken, also when they come in pieces")
    func takesLargeBodies() async throws {
        let listener = try await TestListener()
        let client = try await RawClient(port: listener.port)
        let body = "[" + String(repeating: "1,", count: (4 << 20) / 2 - 2) + "12]"
        #expect(body.utf8.count == (4 << 20))
        try await client.send(TestListener.webhook(body))
        #expect(await client.answers(1).statuses == [200])
        #expect(listener.journal.envelopes.first?.body.count == 4 << 20)
        await client.close()
        await listener.close()
    }

    @Test("When unfinished bodies hold all memory they may, a further large one is answered 503")
    func limitsMemory() async throws {
        var limits = TestListener.patient
        limits.bodyBytesInFlightMax = 100_000
        let listener = try await TestListener(limits: limits)
        let first = try await RawClient(port: listener.port)
        let head =
            "POST /api/webhooks/meta HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\nExpect: 100-continue\r\n\r\n"
        try await first.send(head)
        #expect(await first.answers(1).statuses == [100])
        let second = try await RawClient(port: listener.port)
        try await second.send(head)
        #expect(await second.answers(1).statuses == [503])
        await first.close()
        await second.close()
        await listener.close()
    }

    @Test("Connections over the limit are closed at once")
    func limitsConnections() async throws {
        var limits = TestListener.patient
        limits.connectionsMax = 1
        let listener = try await TestListener(limits: limits)
        let first = try await RawClient(port: listener.port)
        try await first.send(TestListener.webhook("{}"))
        #expect(await first.answers(1).statuses == [200])
        if let second = try? await RawClient(port: listener.port) { #expect(await second.everything() == "") }
        try await first.send(TestListener.webhook("{}"))
        #expect(await first.answers(2).statuses == [200, 200])
        await first.close()
        await listener.close()
    }

    @Test("TLS 1.2 and 1.3 are spoken; a swapped certificate serves new connections while old ones go on")
    func speaksTLS() async throws {
        let listener = try await TestListener()
        let old = try await RawClient(port: listener.port, maximum: .tlsv12)
        try await old.send(TestListener.webhook("{}"))
        #expect(await old.answers(1).statuses == [200])
        listener.tls.replace(with: try TestListener.tlsContext(name: "new"))
        let new = try await RawClient(port: listener.port, minimum: .tlsv13)
        try await new.send(TestListener.webhook("{}"))
        #expect(await new.answers(1).statuses == [200])
        try await old.send(TestListener.webhook("{}"))
        #expect(await old.answers(2).statuses == [200, 200])
        await old.close()
        await new.close()
        await listener.close()
    }

    @Test("At shutdown a webhook that waits for the disk is still answered, idle connections are closed")
    func drains() async throws {
        let journal = ManualJournal(isAutomatic: false)
        let listener = try await TestListener(journal: journal)
        let idle = try await RawClient(port: listener.port)
        let waiting = try await RawClient(port: listener.port)
        try await waiting.send(TestListener.webhook("{}"))
        await journal.arrived(1)
        async let closed: Void = listener.close()
        #expect(await idle.everything() == "")
        journal.answerAll(.success(DurabilityReceipt(syncedUpTo: JournalPosition(1))))
        #expect(await waiting.everything().statuses == [200])
        await closed
    }
}
