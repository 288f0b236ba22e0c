import Conversations
import GatewayTesting
import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import Testing

@testable import API

@Suite struct APIRouterTests {
    private func test(
        _ transport: Transport, _ fixture: APIFixture = APIFixture(),
        _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        try await fixture.application.test(transport.setup) { try await body($0) }
    }

    @Test("A path that is not there is a problem document", arguments: Transport.allCases)
    func unknownRoute(transport: Transport) async throws {
        try await test(transport) { client in
            for path in ["/", "/api", "/api/conversations/x", "/api/conversations/x/messages/y", "/healthz", "/%2e%2e"]
            {
                let answer = try await client.ask(.get, path)
                #expect(answer.status == 404 && answer.code == "unknown-route", "\(path)")
                #expect(answer.headers[.contentType] == "application/problem+json")
            }
        }
    }

    @Test("A method that does not fit is told which ones do", arguments: Transport.allCases)
    func methodNotAllowed(transport: Transport) async throws {
        try await test(transport) { client in
            let messages = "/api/conversations/\(APIFixture.adasThread)/messages"
            for (method, path, allow) in [
                (.delete, "/api/conversations", "GET, HEAD"), (.post, "/api/openapi.json", "GET, HEAD"),
                (.put, messages, "GET, POST, HEAD"), (HTTPRequest.Method("PROPFIND")!, messages, "GET, POST, HEAD"),
            ] as [(HTTPRequest.Method, String, String)] {
                let answer = try await client.ask(method, path, token: nil)
                #expect(answer.status == 405 && answer.code == "method-not-allowed")
                #expect(answer.headers[.allow] == allow)
            }
        }
    }

    @Test("HEAD answers as GET does, without the body", arguments: Transport.allCases)
    func head(transport: Transport) async throws {
        try await test(transport) { client in
            for (path, status) in [("/api/conversations", 200), ("/nowhere", 404)] {
                let answer = try await client.ask(.head, path)
                #expect(answer.status == status)
                #expect(answer.json == .null)
                #expect(answer.headers[.contentLength].flatMap { Int($0) } ?? 0 > 0)
            }
            #expect(try await client.ask(.get, "/api/conversations").status == 200)
        }
    }

    @Test("Every answer has an id of its own and the security headers", arguments: Transport.allCases)
    func headers(transport: Transport) async throws {
        try await test(transport) { client in
            var ids: Set<String> = []
            for (path, token) in [("/api/conversations", APIFixture.token()), ("/api/conversations", nil), ("/x", nil)]
            {
                let answer = try await client.ask(.get, path, token: token)
                #expect(answer.headers[.cacheControl] == "no-store")
                #expect(answer.headers[.xContentTypeOptions] == "nosniff")
                ids.insert(answer.headers[.requestID] ?? "")
            }
            #expect(ids.count == 3 && !ids.contains(""))
        }
    }

    @Test("A request without a good token goes no further", arguments: Transport.allCases)
    func unauthorized(transport: Transport) async throws {
        let fixture = APIFixture()
        try await test(transport, fixture) { client in
            let token = APIFixture.token()
            let expired = HandmadeToken.hs256(claims: HandmadeToken.claims(["exp": "1"]))
            let cases: [(String?, String)] = [
                (nil, #"Bearer realm="zenrent""#), ("Basic YTpi", #"error="invalid_request""#),
                ("Bearer", #"error="invalid_request""#), (token, #"error="invalid_request""#),
                ("Bearer \(token)x", #"error="invalid_token""#), ("Bearer \(expired)", #"error="invalid_token""#),
                ("Bearer \(String(repeating: "a", count: 8193))", #"error="invalid_token""#),
                ("Bearer \(token) \(token)", #"error="invalid_token""#),
            ]
            for (value, challenge) in cases {
                let headers: HTTPFields = value.map { [.authorization: $0] } ?? [:]
                let answer = try await client.ask(.get, "/api/conversations", token: nil, headers: headers)
                #expect(answer.status == 401 && answer.code == "unauthorized")
                #expect(answer.headers[.wwwAuthenticate]?.contains(challenge) == true, "\(challenge)")
            }
            var twice = HTTPFields()
            twice.append(.init(name: .authorization, value: "Bearer \(token)"))
            twice.append(.init(name: .authorization, value: "Bearer \(token)"))
            #expect(try await client.ask(.get, "/api/conversations", token: nil, headers: twice).status == 401)
        }
        #expect(fixture.store.principals.isEmpty)
    }

    @Test("The scheme's case does not matter", arguments: ["Bearer", "bearer", "BEARER"])
    func scheme(scheme: String) async throws {
        try await test(.router) { client in
            let answer = try await client.ask(
                .get, "/api/conversations", token: nil, headers: [.authorization: "\(scheme) \(APIFixture.token())"])
            #expect(answer.status == 200)
        }
    }

    @Test("A good token of the wrong role is forbidden", arguments: Transport.allCases)
    func forbidden(transport: Transport) async throws {
        try await test(transport) { client in
            let token = HandmadeToken.hs256(claims: HandmadeToken.claims(["role": #""service_role""#]))
            let answer = try await client.ask(.get, "/api/conversations", token: token)
            #expect(answer.status == 403 && answer.code == "forbidden")
            #expect(answer.headers[.wwwAuthenticate]?.contains(#"error="insufficient_scope""#) == true)
        }
    }

    @Test("While tokens cannot be checked, the caller is asked to come back")
    func keysUnavailable() async throws {
        struct Away: Error {}
        var fixture = APIFixture()
        fixture.publishedKeys = PublishedKeys(clock: { APIFixture.now }, logger: fixture.logger) { throw Away() }
        try await test(.router, fixture) { client in
            let token = HandmadeToken.hs256(header: #"{"alg":"ES256","kid":"k"}"#, claims: HandmadeToken.claims())
            let answer = try await client.ask(.get, "/api/conversations", token: token)
            #expect(answer.status == 503 && answer.code == "signing-keys-unavailable")
            #expect(answer.headers[.retryAfter] == "5")
        }
    }

    @Test("The log tells of each request, and nothing of what was in it", arguments: Transport.allCases)
    func log(transport: Transport) async throws {
        let fixture = APIFixture()
        try await test(transport, fixture) { client in
            let path = "/api/conversations/\(APIFixture.adasThread)/messages"
            _ = try await client.ask(
                .post, path, headers: [.idempotencyKey: "my-own-key"], body: #"{"text":"my private words"}"#)
            _ = try await client.ask(.get, "\(path)?limit=1")
            _ = try await client.ask(.get, "/api/conversations")
            _ = try await client.ask(.get, "/private-path?secret=1")
        }
        let log = fixture.log.all
        #expect(log.count == 4)
        #expect(log[0].hasPrefix("info request "))
        for fact in [
            "method=POST", "route=/api/conversations/{id}/messages", "status=202", "landlord=\(APIFixture.ada)",
        ] {
            #expect(log[0].contains(fact))
        }
        #expect(log[3].contains("status=404") && log[3].contains("code=unknown-route"))
        let all = log.joined()
        for word in ["private", "secret", "my-own-key", "447911", "eyJ", "Tom", APIFixture.token()] {
            #expect(!all.contains(word), "\(word)")
        }
    }
}

@Suite struct AdministratorAccessTests {
    /// An operation for administrators that says who asked.
    private struct WhoAmI: EndpointGroup {
        var endpoints: [API.Endpoint] {
            [
                API.Endpoint(
                    method: .get, path: "/api/admin/me",
                    handler: .administrator { _, _, administrator in
                        Response(json: ["me": JSON(administrator.userID)])
                    })
            ]
        }
    }

    private func test(
        _ fixture: APIFixture = APIFixture(), _ body: @escaping @Sendable (any TestClientProtocol) async throws -> Void
    ) async throws {
        let router = APIRouter(
            groups: [WhoAmI()], verifier: fixture.verifier, clock: { APIFixture.now }, logger: fixture.logger)
        try await fixture.application(router).test(.router) { try await body($0) }
    }

    @Test("An administrator is let in, and the log says which")
    func administrator() async throws {
        let fixture = APIFixture()
        try await test(fixture) { client in
            let answer = try await client.ask(.get, "/api/admin/me", token: APIFixture.token(isAdministrator: true))
            #expect(answer.status == 200 && answer.json["me"] == JSON(APIFixture.ada))
        }
        #expect(fixture.log.all.contains { $0.contains("administrator=\(APIFixture.ada)") })
    }

    @Test("A landlord is told that this is for administrators")
    func landlord() async throws {
        try await test { client in
            let answer = try await client.ask(.get, "/api/admin/me")
            #expect(answer.status == 403 && answer.code == "forbidden")
            #expect(answer.json["detail"]?.string?.contains("gateway_role") == true)
            #expect(answer.headers[.wwwAuthenticate]?.contains(#"error="insufficient_scope""#) == true)
        }
    }

    @Test("Nobody is let in without a token, or with a bad one", arguments: [nil, "x", APIFixture.token() + "x"])
    func nobody(token: String?) async throws {
        try await test { client in
            let answer = try await client.ask(.get, "/api/admin/me", token: token)
            #expect(answer.status == 401 && answer.code == "unauthorized")
        }
    }
}

@Suite struct OpenAPIDocumentTests {
    @Test("The document is served as it is, to anybody", arguments: Transport.allCases)
    func served(transport: Transport) async throws {
        try await APIFixture().application.test(transport.setup) { client in
            let answer = try await client.ask(.get, "/api/openapi.json", token: nil)
            #expect(answer.status == 200)
            #expect(answer.headers[.contentType] == "application/openapi+json")
            #expect(answer.json["openapi"] == "3.1.0")
        }
    }

    @Test("It has exactly the routes that there are")
    func routes() throws {
        let document = try JSON(parsing: Array(OpenAPIDocument.text.utf8))
        guard case .object(let paths) = document["paths"] else { return #expect(Bool(false)) }
        var described: Set<String> = []
        for path in paths {
            guard case .object(let members) = path.value else { continue }
            for member in members where member.name != "parameters" { described.insert("\(member.name) \(path.name)") }
        }
        let routes = APIFixture().router.endpoints.map { "\($0.method.rawValue.lowercased()) \($0.path)" }
        #expect(described == Set(routes))
        #expect(Set(routes).count == routes.count)
    }

    @Test("It asks for a token exactly where one is needed")
    func security() throws {
        let document = try JSON(parsing: Array(OpenAPIDocument.text.utf8))
        for endpoint in APIFixture().router.endpoints {
            let security = document["paths"]?[endpoint.path]?[endpoint.method.rawValue.lowercased()]?["security"]
            switch endpoint.handler {
            case .anyone: #expect(security == .array([]))
            case .landlord: #expect(security == nil)
            case .administrator: #expect(security == [["administrator": []]])
            }
        }
        #expect(document["security"] == [["token": []]])
    }

    @Test("It has exactly the problem codes that there are, with their status and title")
    func problems() throws {
        let document = try JSON(parsing: Array(OpenAPIDocument.text.utf8))
        let codes = ProblemCode.allCases.map { code in
            JSON.Member(name: code.rawValue, value: ["status": JSON(code.status.code), "title": .string(code.title)])
        }
        #expect(document["x-problems"] == .object(codes))
    }

    @Test("Every reference in it leads somewhere")
    func references() throws {
        let document = try JSON(parsing: Array(OpenAPIDocument.text.utf8))
        func check(_ value: JSON) {
            switch value {
            case .object(let members):
                for member in members {
                    if member.name == "$ref", let reference = member.value.string {
                        let target = reference.split(separator: "/").dropFirst().reduce(document as JSON?) {
                            $0?[String($1)]
                        }
                        #expect(target != nil, "\(reference)")
                    }
                    check(member.value)
                }
            case .array(let items): items.forEach(check)
            case .null, .bool, .number, .string: break
            }
        }
        check(document)
    }

    @Test("It lists the members that conversations and messages have")
    func members() throws {
        let document = try JSON(parsing: Array(OpenAPIDocument.text.utf8))
        let summary = JSON(
            ConversationSummary(
                id: .init(high: 0, low: 0), tenantID: nil, tenantName: nil, tenantPhone: nil, propertyID: nil,
                propertyAddress: nil, channel: "", status: "", unreadCount: 0, lastMessageAt: .init(seconds: 0),
                windowOpenUntil: nil))
        let message = JSON(
            ThreadMessage(
                id: .init(high: 0, low: 0), conversationID: .init(high: 0, low: 0), direction: "", type: "", body: nil,
                signature: nil, quotedMessageID: nil, providerID: nil, status: "", routingStatus: "", outcome: nil,
                errorCode: 131_047, errorDetail: nil, sentAt: .init(seconds: 0), deliveredAt: nil, readAt: nil,
                failedAt: nil))
        #expect(message["error"] == ["code": 131_047, "detail": .null])
        for (name, value) in [("Conversation", summary), ("Message", message)] {
            guard case .object(let members) = value else { return #expect(Bool(false)) }
            let names = JSON.array(members.map { .string($0.name) })
            let schema = document["components"]?["schemas"]?[name]
            #expect(schema?["required"] == names)
            guard case .object(let properties) = schema?["properties"] else { return #expect(Bool(false)) }
            #expect(JSON.array(properties.map { .string($0.name) }) == names)
        }
    }
}
