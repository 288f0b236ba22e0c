import GatewayTesting
import Hummingbird
import HummingbirdTesting
import Messaging
import Routing
import Testing

@testable import API

@Suite struct RulesEndpointsTests {
    private static let paths: [(HTTPRequest.Method, String)] = [
        (.get, "/api/admin/rules"), (.post, "/api/admin/rules/check"), (.post, "/api/admin/rules/diff"),
        (.post, "/api/admin/rules/reload"),
    ]
    private static let admin = APIFixture.token(isAdministrator: true)

    private func ask(
        _ fixture: APIFixture, _ method: HTTPRequest.Method, _ path: String, body: String? = nil, token: String? = admin
    ) async throws -> Answer {
        try await fixture.application.test(.router) { client in
            try await client.ask(method, path, token: token, body: body)
        }
    }

    @Test("are for administrators alone, and nothing is done for anybody else", arguments: paths)
    func administrators(method: HTTPRequest.Method, path: String) async throws {
        let fixture = APIFixture()
        #expect(try await ask(fixture, method, path, body: "{}", token: APIFixture.token()).code == "forbidden")
        #expect(try await ask(fixture, method, path, body: "{}", token: nil).code == "unauthorized")
        #expect(fixture.rules.asked.isEmpty)
    }

    @Test("tell which rules are live, by whom, and what failed last")
    func status() async throws {
        let answer = try await ask(APIFixture(), .get, "/api/admin/rules")
        guard case .array(let gateways) = answer.json["gateways"] else { return #expect(Bool(false)) }
        #expect(answer.status == 200 && gateways.count == 1)
        #expect(gateways[0]["generation"] == 3 && gateways[0]["loaded_by"] == "SIGHUP")
        #expect(gateways[0]["directory_differs"] == .bool(true))
        #expect(gateways[0]["last_failure"]?["first_error"] == "a.yaml:1:1: broken")
        #expect(answer.json["directory"]?["error_count"] == 0)
    }

    @Test("name every mistake of files that are sent")
    func check() async throws {
        let body = #"{"files":[{"name":"a.yaml","content":"version: 2\nrules: 7\n"}]}"#
        let answer = try await ask(APIFixture(), .post, "/api/admin/rules/check", body: body)
        guard case .array(let errors) = answer.json["errors"] else { return #expect(Bool(false)) }
        #expect(answer.status == 200 && answer.json["rules"] == nil && errors.count == 2)
        #expect(errors[0]["file"] == "a.yaml" && errors[0]["line"] == 1 && errors[0]["column"] == 10)
        let fixture = APIFixture()
        #expect(try await ask(fixture, .post, "/api/admin/rules/check", body: "{}").json["error_count"] == 0)
        #expect(fixture.rules.asked == [.init()])
    }

    @Test("compare files that are sent, as many messages as are asked for")
    func diff() async throws {
        let fixture = APIFixture()
        let body = #"{"files":[{"name":"a.yaml","content":"version: 1\nsignature: \"{landlord}: \"\n"}],"last":7}"#
        let answer = try await ask(fixture, .post, "/api/admin/rules/diff", body: body)
        #expect(answer.status == 200 && answer.json["is_unchanged"] == .bool(false) && answer.json["replayed"] == 0)
        #expect(fixture.rules.asked.map(\.last) == [7])
        #expect(fixture.rules.asked.first?.files?.map(\.name) == ["a.yaml"])
        #expect(try await ask(fixture, .post, "/api/admin/rules/diff", body: "{}").json["is_unchanged"] == .bool(true))
        #expect(fixture.rules.asked.last?.last == 1000)
    }

    @Test("refuse rules that cannot be used, and say when nothing can be replayed")
    func unusable() async throws {
        let fixture = APIFixture()
        let bomb = #"{"files":[{"name":"a.yaml","content":"a: &a [x,x]\nb: [*a,*a]\n"}]}"#
        let wrong = try await ask(fixture, .post, "/api/admin/rules/diff", body: bomb)
        #expect(wrong.status == 422 && wrong.code == "invalid-rules")
        #expect(wrong.json["detail"]?.string?.contains("a.yaml:1:4: YAML anchors are not allowed") == true)
        fixture.rules.refusal = "the database is away"
        let away = try await ask(fixture, .post, "/api/admin/rules/diff", body: "{}")
        #expect(away.status == 503 && away.headers[.retryAfter] == "5")
        #expect(away.json["detail"]?.string?.contains("the database is away") == true)
    }

    @Test("reload with the administrator's account, or say why all is as it was")
    func reload() async throws {
        let fixture = APIFixture()
        let answer = try await ask(fixture, .post, "/api/admin/rules/reload")
        #expect(answer.status == 200 && answer.json["outcome"] == "swapped" && answer.json["generation"] == 4)
        #expect(fixture.rules.asked == [.init(administrator: APIFixture.ada)])
        fixture.rules.refusal = "a.yaml:3:1: broken. Mend it."
        let refused = try await ask(fixture, .post, "/api/admin/rules/reload")
        #expect(refused.status == 422 && refused.json["detail"] == "a.yaml:3:1: broken. Mend it.")
    }

    @Test(
        "refuse bodies that are something else",
        arguments: [
            ("[]", "invalid-rules"), (#"{"file":[]}"#, "invalid-rules"), (#"{"files":{}}"#, "invalid-rules"),
            (#"{"files":[{"name":"a.yaml"}]}"#, "invalid-rules"),
            (#"{"files":[{"name":"","content":""}]}"#, "invalid-rules"),
            (#"{"files":[{"name":"a.yaml","content":"","more":1}]}"#, "invalid-rules"),
            (#"{"last":0}"#, "invalid-rules"), (#"{"last":100001}"#, "invalid-rules"),
            (#"{"last":1.5}"#, "invalid-rules"), (#"{"last":"7"}"#, "invalid-rules"), ("{", "malformed-json"),
        ])
    func bodies(body: String, code: String) async throws {
        let fixture = APIFixture()
        #expect(try await ask(fixture, .post, "/api/admin/rules/diff", body: body).code == code)
        #expect(fixture.rules.asked.isEmpty)
    }

    @Test("refuse ten megabytes before they are read", arguments: ["check", "diff"])
    func large(path: String) async throws {
        let fixture = APIFixture()
        let content = String(repeating: "#", count: 10 << 20)
        let answer = try await ask(
            fixture, .post, "/api/admin/rules/\(path)", body: #"{"files":[{"name":"a.yaml","content":"\#(content)"}]}"#)
        #expect(answer.status == 413 && answer.code == "body-too-large" && fixture.rules.asked.isEmpty)
    }
}
