import Conversations
import GatewayTesting
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import Testing

@testable import API

@Suite struct ConversationEndpointsTests {
    private static let messages = "/api/conversations/\(APIFixture.adasThread)/messages"

    /// The same body on both transports.
    private func test(
        _ transport: Transport, _ fixture: APIFixture = APIFixture(),
        _ body: @escaping @Sendable (any TestClientProtocol, APIFixture) async throws -> Void
    ) async throws {
        try await fixture.application.test(transport.setup) { try await body($0, fixture) }
    }

    @Test("A landlord's conversations, and nobody else's", arguments: Transport.allCases)
    func conversations(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            let answer = try await client.ask(.get, "/api/conversations")
            #expect(answer.status == 200)
            #expect(answer.headers[.contentType] == "application/json")
            guard case .array(let items) = answer.json["items"] else { return #expect(Bool(false)) }
            #expect(
                items.map { $0["id"]?.string }
                    == [APIFixture.adasThread, APIFixture.adasOtherThread].map(\.description))
            #expect(answer.json["next"] == .null)
            #expect(
                items.first == [
                    "id": .string("\(APIFixture.adasThread)"), "tenant_id": "00000000-0000-0007-0000-000000000007",
                    "tenant_name": "Tom \"the\" Tenant", "tenant_phone": "+447911123456", "property_id": .null,
                    "property_address": "1 High St", "channel": "whatsapp", "status": "active", "unread_count": 2,
                    "last_message_at": "2026-05-28T20:16:40.000000Z",
                    "window_open_until": "2026-05-29T20:26:40.000000Z", "tags": [], "priority": "normal",
                ])
            #expect(fixture.store.principals.map(\.userID) == [APIFixture.ada])
            #expect(try JSON(parsing: Array(fixture.store.principals[0].claimsJSON.utf8))["role"] == "authenticated")
        }
    }

    @Test("Pages join without a gap or a repetition", arguments: Transport.allCases)
    func pages(transport: Transport) async throws {
        try await test(transport) { client, _ in
            var bodies: [String] = []
            var cursor: String? = nil
            repeat {
                let query = cursor.map { "&cursor=\($0)" } ?? ""
                let answer = try await client.ask(.get, "\(Self.messages)?limit=2\(query)")
                guard case .array(let items) = answer.json["items"] else { return #expect(Bool(false)) }
                #expect((1...2).contains(items.count))
                bodies += items.compactMap { $0["body"]?.string }
                cursor = answer.json["next"]?.string
            } while cursor != nil && bodies.count < 10
            #expect(bodies == ["message 5", "message 4", "message 3", "message 2", "message 1"])
        }
    }

    @Test("A message has all its members", arguments: Transport.allCases)
    func message(transport: Transport) async throws {
        try await test(transport) { client, _ in
            let answer = try await client.ask(.get, "\(Self.messages)?limit=1")
            guard case .array(let items) = answer.json["items"] else { return #expect(Bool(false)) }
            #expect(
                items == [
                    [
                        "id": "00000000-0000-0008-0000-000000000005",
                        "conversation_id": .string("\(APIFixture.adasThread)"),
                        "direction": "incoming", "type": "text", "body": "message 5", "signature": .null,
                        "quoted_id": .null, "provider_id": "wamid.5", "status": "received",
                        "routing_status": "delivered",
                        "outcome": .null, "error": .null, "sent_at": "2026-05-28T20:25:05.000000Z",
                        "delivered_at": .null,
                        "read_at": .null, "failed_at": .null,
                    ]
                ])
        }
    }

    @Test("A reply is queued and shown as it was queued", arguments: Transport.allCases)
    func reply(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            let answer = try await client.ask(
                .post, Self.messages, headers: [.contentType: "Application/JSON; charset=utf-8"],
                body: #"{"text":"Hello\nTom","quote":"wamid.5"}"#)
            #expect(answer.status == 202)
            #expect(answer.json["body"] == "Hello\nTom")
            #expect(answer.json["status"] == "queued")
            #expect(answer.json["quoted_id"] == "wamid.5")
            #expect(answer.headers[.idempotencyReplayed] == nil)
            let reply = try #require(fixture.store.replies.first)
            #expect(reply.conversationID == APIFixture.adasThread)
            #expect(reply.reference.sentAt == APIFixture.now)
            #expect(reply.signatureTemplate == .standard)
            #expect(reply.idempotency == nil)
            #expect(answer.json["id"]?.string == reply.reference.id.description)
            #expect(answer.headers[.location] == "\(Self.messages)#\(reply.reference.id)")
        }
    }

    @Test("The same key with the same meaning gives the first answer again", arguments: Transport.allCases)
    func replay(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            let first = try await client.ask(
                .post, Self.messages, headers: [.idempotencyKey: "k-1"], body: #"{"text":"Hello","quote":null}"#)
            let second = try await client.ask(
                .post, Self.messages, headers: [.idempotencyKey: "k-1"],
                body: #" { "quote" : null, "text" : "\u0048ello" } "#)
            #expect(first.status == 202 && second.status == 202)
            #expect(first.json == second.json)
            #expect(first.headers[.location] == second.headers[.location])
            #expect(first.headers[.idempotencyReplayed] == nil)
            #expect(second.headers[.idempotencyReplayed] == "true")
            #expect(fixture.store.replies.count == 1)
            #expect(fixture.store.replies[0].idempotency?.route == "POST /api/conversations/{id}/messages")
            #expect(fixture.store.replies[0].idempotency?.requestHash.count == 32)
        }
    }

    @Test("The same key with another message or conversation is refused", arguments: Transport.allCases)
    func mismatch(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            let other = "/api/conversations/\(APIFixture.adasOtherThread)/messages"
            _ = try await client.ask(.post, Self.messages, headers: [.idempotencyKey: "k"], body: #"{"text":"a"}"#)
            for (path, body) in [(Self.messages, #"{"text":"b"}"#), (other, #"{"text":"a"}"#)] {
                let answer = try await client.ask(.post, path, headers: [.idempotencyKey: "k"], body: body)
                #expect(answer.status == 422)
                #expect(answer.code == "idempotency-mismatch")
            }
            let bens = try await client.ask(
                .post, "/api/conversations/\(APIFixture.bensThread)/messages",
                token: APIFixture.token(for: APIFixture.ben),
                headers: [.idempotencyKey: "k"], body: #"{"text":"b"}"#)
            #expect(bens.status == 202)
            #expect(fixture.store.replies.count == 2)
        }
    }

    static let badReplies: [(body: String, status: Int, code: String)] = [
        ("", 400, "malformed-json"), ("{", 400, "malformed-json"), (#"{"text":"a"} x"#, 400, "malformed-json"),
        (#"{"text":"a","text":"b"}"#, 400, "malformed-json"), (#"{"text":"\ud800"}"#, 400, "malformed-json"),
        (#""text""#, 422, "invalid-message"), ("{}", 422, "invalid-message"), (#"{"text":7}"#, 422, "invalid-message"),
        (#"{"text":null}"#, 422, "invalid-message"), (#"{"text":"a","qoute":"b"}"#, 422, "invalid-message"),
        (#"{"text":"a","quote":7}"#, 422, "invalid-message"), (#"{"text":"a","quote":""}"#, 422, "invalid-message"),
        (#"{"text":" \n "}"#, 422, "invalid-message"), (#"{"text":"a\u0000"}"#, 422, "invalid-message"),
        (#"{"text":"\#(String(repeating: "a", count: 4097))"}"#, 422, "text-too-long"),
        (#"{"text":"\#(String(repeating: "a", count: 65_536))"}"#, 413, "body-too-large"),
    ]

    @Test("A reply that cannot be sent says why", arguments: Transport.allCases)
    func badReply(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            for (body, status, code) in Self.badReplies {
                let answer = try await client.ask(.post, Self.messages, body: body)
                #expect(answer.status == status && answer.code == code, "\(body.prefix(40))")
                #expect(answer.headers[.contentType] == "application/problem+json")
                #expect(answer.json["next"]?.string?.isEmpty == false)
            }
            #expect(fixture.store.replies.isEmpty)
        }
    }

    static let badHeaders: [(HTTPFields, status: Int, code: String)] = [
        ([.contentType: "text/plain"], 415, "unsupported-media-type"),
        ([.contentType: "application/jsonp"], 415, "unsupported-media-type"),
        ([.contentType: "application/x-www-form-urlencoded"], 415, "unsupported-media-type"),
        ([.contentType: "application/json", .contentEncoding: "gzip"], 415, "unsupported-media-type"),
        ([.contentType: "application/json", .idempotencyKey: "a b"], 400, "invalid-idempotency-key"),
        ([.contentType: "application/json", .idempotencyKey: ""], 400, "invalid-idempotency-key"),
        (
            [.contentType: "application/json", .idempotencyKey: String(repeating: "k", count: 256)], 400,
            "invalid-idempotency-key"
        ),
    ]

    @Test("Headers that do not fit are refused", arguments: Transport.allCases)
    func badHeaders(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            for (headers, status, code) in Self.badHeaders {
                let answer = try await client.ask(.post, Self.messages, headers: headers, body: #"{"text":"a"}"#)
                #expect(answer.status == status && answer.code == code, "\(headers)")
            }
            var two = HTTPFields([.init(name: .contentType, value: "application/json")])
            two.append(.init(name: .idempotencyKey, value: "a"))
            two.append(.init(name: .idempotencyKey, value: "b"))
            let answer = try await client.ask(.post, Self.messages, headers: two, body: #"{"text":"a"}"#)
            #expect(answer.code == "invalid-idempotency-key")
            #expect(fixture.store.replies.isEmpty)
        }
    }

    @Test("Another landlord's conversation is not there, to read or to write", arguments: Transport.allCases)
    func anothers(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            for id in [APIFixture.bensThread, UniqueID(high: 5, low: 5)] {
                let path = "/api/conversations/\(id)/messages"
                for answer in [
                    try await client.ask(.get, path), try await client.ask(.post, path, body: #"{"text":"a"}"#),
                ] {
                    #expect(answer.status == 404)
                    #expect(answer.code == "not-found")
                }
            }
            #expect(fixture.store.replies.isEmpty)
        }
    }

    static let badQueries: [(String, String)] = [
        ("limit=0", "invalid-limit"), ("limit=201", "invalid-limit"), ("limit=-1", "invalid-limit"),
        ("limit=%2B5", "invalid-limit"), ("limit=5.0", "invalid-limit"), ("limit=", "invalid-limit"),
        ("limit=99999999999999999999", "invalid-limit"), ("limit=5&limit=6", "invalid-limit"),
        ("limit=%D9%A3", "invalid-limit"), ("cursor=", "invalid-cursor"), ("cursor=abc", "invalid-cursor"),
        ("cursor=\(PageCursor(at: .init(seconds: 1), id: APIFixture.ada).opaque)=", "invalid-cursor"),
        ("cursor=\(PageCursor(at: .init(seconds: -1), id: APIFixture.ada).opaque)", "invalid-cursor"),
        ("cursor=\(PageCursor(at: .init(microseconds: .max), id: APIFixture.ada).opaque)", "invalid-cursor"),
    ]

    @Test("A limit or cursor that is not one is refused", arguments: Transport.allCases)
    func badQuery(transport: Transport) async throws {
        try await test(transport) { client, _ in
            for path in ["/api/conversations", Self.messages] {
                for (query, code) in Self.badQueries {
                    let answer = try await client.ask(.get, "\(path)?\(query)")
                    #expect(answer.status == 400 && answer.code == code, "\(query)")
                }
            }
            #expect(try await client.ask(.get, "/api/conversations?limit=200").status == 200)
        }
    }

    @Test("An id in the path that is no UUID is refused", arguments: Transport.allCases)
    func badID(transport: Transport) async throws {
        try await test(transport) { client, _ in
            for id in [
                "1", "aaaaaaaa-0000-4000-8000-00000000000", "%00", "..%2F..", "aaaaaaaa00004000800000000000000001",
            ] {
                let answer = try await client.ask(.get, "/api/conversations/\(id)/messages")
                #expect(answer.status == 400 && answer.code == "invalid-id", "\(id)")
            }
        }
    }

    static let failures: [(ConversationError, status: Int, code: String)] = [
        (.notFound, 404, "not-found"), (.windowClosed(lastInboundAt: APIFixture.now), 409, "window-closed"),
        (.windowClosed(lastInboundAt: nil), 409, "window-closed"), (.cannotSend, 409, "cannot-send"),
        (.conversationBlocked, 409, "conversation-blocked"), (.recipientOptedOut, 409, "recipient-opted-out"),
        (.idempotencyMismatch, 422, "idempotency-mismatch"),
        (.textTooLong(units: 4200, max: 4096), 422, "text-too-long"),
        (.unavailable("connection to 10.0.0.1 refused"), 503, "database-unavailable"),
    ]

    @Test("What the store refuses is told with its stable code", arguments: Transport.allCases)
    func failures(transport: Transport) async throws {
        try await test(transport) { client, fixture in
            for (error, status, code) in Self.failures {
                fixture.store.fail(with: error)
                let answer = try await client.ask(.post, Self.messages, body: #"{"text":"a"}"#)
                #expect(answer.status == status && answer.code == code && error.code == code)
                #expect(answer.json["status"] == JSON(status))
                #expect(answer.json["title"]?.string?.isEmpty == false)
                #expect(answer.json["type"]?.string == "/api/openapi.json#/x-problems/\(code)")
                #expect((answer.headers[.retryAfter] != nil) == (status == 503))
                #expect(!String(decoding: answer.json.bytes, as: UTF8.self).contains("10.0.0.1"))
            }
            #expect(fixture.log.all.contains { $0.contains("10.0.0.1") && $0.hasPrefix("error") })
        }
    }

    @Test("A cursor survives being written and read")
    func cursor() throws {
        for at in [Timestamp(microseconds: 0), APIFixture.now, Timestamp(microseconds: 253_402_300_799_999_999)] {
            let cursor = PageCursor(at: at, id: UniqueID(high: .max, low: 3))
            #expect(cursor.opaque.utf8.count == 32)
            #expect(PageCursor(opaque: cursor.opaque) == cursor)
        }
    }
}
