import HTTPTypes
import Hummingbird
import HummingbirdTesting
import Messaging
import Routing
import Synchronization
import Testing

@testable import API

/// Explains nothing, remembers what it was asked, and refuses as it is told.
final class RefusingExplainer: MessageExplainer {
    private let asked = Mutex<[(request: ExplanationRequest, reader: ExplanationReader)]>([])
    private let refusal: ExplanationError?

    init(_ refusal: ExplanationError? = nil) { self.refusal = refusal }

    var requests: [ExplanationRequest] { asked.withLock { $0.map(\.request) } }
    var readers: [ExplanationReader] { asked.withLock { $0.map(\.reader) } }

    func explain(
        _ request: ExplanationRequest, for reader: ExplanationReader
    ) async throws(ExplanationError) -> Explanation {
        asked.withLock { $0.append((request, reader)) }
        if let refusal { throw refusal }
        let facts = RecordedFacts(
            id: UniqueID(high: 1, low: 2), isIncoming: true, endpointID: UniqueID(high: 3, low: 4), type: "text",
            body: "private words", quotedMessageID: nil, phone: PhoneNumber(digits: 447_911_123_456), accountID: nil,
            personID: nil, sentAt: APIFixture.now, recordedAt: APIFixture.now, place: nil,
            routingStatus: "unknown_sender", metadata: .init(),
            sent: .init(
                message: UniqueID(high: 1, low: 2), status: "received", outcome: nil, errorCode: nil, errorDetail: nil,
                deliveredAt: nil, readAt: nil, failedAt: nil, job: nil, lastError: nil))
        return Explanation(
            recorded: facts, at: "cloud 1", now: nil, identities: [],
            table: .init(source: "of the test", generation: 5), rules: .init(source: "of the test", generation: 6),
            mask: ExplanationMask(isUnmasked: request.isUnmasked))
    }
}

@Suite struct ExplainEndpointTests {
    private static let admin = APIFixture.token(isAdministrator: true)

    private func ask(
        _ query: String, token: String? = admin, explainer: RefusingExplainer = RefusingExplainer(),
        transport: Transport = .router
    ) async throws -> Answer {
        var fixture = APIFixture()
        fixture.explainer = explainer
        let answer = Mutex<Answer?>(nil)
        try await fixture.application.test(transport.setup) { client in
            let got = try await client.ask(.get, "/api/admin/explain\(query)", token: token)
            answer.withLock { $0 = got }
        }
        return try #require(answer.withLock { $0 })
    }

    @Test("an administrator is told, masked unless it is asked for whole", arguments: Transport.allCases)
    func told(transport: Transport) async throws {
        let explainer = RefusingExplainer()
        let answer = try await ask("?of=wamid.1", explainer: explainer, transport: transport)
        #expect(answer.status == 200 && answer.headers[.contentType] == "application/json")
        #expect(answer.json["then"]?["verdict"] == "unclaimed")
        #expect(answer.json["subject"]?["phone"] == "+44…56")
        #expect(answer.json["subject"]?["sent_at"]?.string?.hasSuffix("Z") == true)
        #expect(answer.json["table"] == ["generation": 5, "source": "of the test"])
        #expect(explainer.readers == [ExplanationReader(id: APIFixture.ada, role: "admin")])
        let whole = try await ask("?of=wamid.1&unmasked=true", transport: transport)
        #expect(whole.json["subject"]?["phone"] == "+447911123456")
    }

    @Test("each parameter reaches who explains")
    func parameters() async throws {
        let explainer = RefusingExplainer()
        _ = try await ask(
            "?of=%2B44%207911&as=phone&to=106&text=Help%21&type=text&at=36h&quote=wamid.2&tap=zrq.x&unmasked=false",
            explainer: explainer)
        var expected = ExplanationRequest("+44 7911")
        expected.kind = .phone
        (expected.endpoint, expected.text, expected.type, expected.at) = ("106", "Help!", "text", "36h")
        (expected.quoted, expected.tapped) = ("wamid.2", "zrq.x")
        #expect(explainer.requests == [expected])
    }

    @Test(
        "a query that cannot be used is refused before anybody is asked",
        arguments: ["", "?as=phone", "?of=a&of=b", "?of=a&as=landlord", "?of=a&unmasked=yes", "?of=a&phone=1"])
    func badQuery(query: String) async throws {
        let explainer = RefusingExplainer()
        let answer = try await ask(query, explainer: explainer)
        #expect(answer.status == 400 && answer.code == "invalid-parameter")
        #expect(answer.json["next"]?.string?.isEmpty == false)
        #expect(explainer.requests.isEmpty)
    }

    static let refusals: [(ExplanationError, Int, String)] = [
        (.invalid(.subject, problem: "it is not a telephone number", cure: "write it so"), 400, "invalid-parameter"),
        (.unknownMessage, 404, "message-not-found"),
        (.notReady, 503, "database-unavailable"),
        (.unavailable("the server closed the connection"), 503, "database-unavailable"),
    ]

    @Test("a refusal is a problem with its code, and the database's words stay inside", arguments: refusals)
    func refused(refusal: ExplanationError, status: Int, code: String) async throws {
        let answer = try await ask("?of=x", explainer: RefusingExplainer(refusal))
        #expect(answer.status == status && answer.code == code)
        #expect(answer.json["detail"]?.string?.contains("closed the connection") == false)
    }

    @Test("nobody else is told: no token, and a landlord's", arguments: [(nil, 401), (APIFixture.token(), 403)])
    func others(token: String?, status: Int) async throws {
        let explainer = RefusingExplainer()
        #expect(try await ask("?of=wamid.1", token: token, explainer: explainer).status == status)
        #expect(explainer.requests.isEmpty)
    }
}
