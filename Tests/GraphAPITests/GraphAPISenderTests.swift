import Delivery
import GatewayTesting
import GraphAPI
import Messaging
import Sandbox
import Testing

/// Against the twin, over real sockets.
@Suite(.timeLimit(.minutes(2))) struct GraphAPISenderTests {
    @Test("a text arrives as it was written, with plus sign, quote and our reference")
    func text() async throws {
        try await withTwin { twin in
            let message = OutboundMessage.sample(
                text: "From Ada via ZenRent: café / “quotes” 😀\nsecond line", quotedMessageID: "wamid.QUOTED")
            let outcome = try await twin.sending { await $0.send(message) }
            let taken = try #require(try await twin.messages().first)
            let id = try #require(taken["wamid"] as? String)
            #expect(outcome == .accepted(providerID: id))
            #expect(id.hasPrefix("wamid."))
            #expect(taken["to"] as? String == "447911123456")
            #expect(taken["text"] as? String == message.text)
            #expect(taken["quote"] as? String == "wamid.QUOTED")
            #expect(taken["biz_opaque_callback_data"] as? String == message.reference.callbackData)
            #expect(taken["phone_number_id"] as? String == message.endpoint.providerID)
        }
    }

    @Test(
        "a question is buttons, a list or a numbered text, within what Meta takes", arguments: [2, 3, 4, 10, 11, 40])
    func question(count: Int) async throws {
        try await withTwin { twin in
            let labels = (1...count).map {
                ChoiceLabel(property: "\($0) A street with a name that is long", landlord: "Landlord number \($0)")
            }
            let form = QuestionForm(.standard, question: UniqueID(high: 1, low: 2), labels: labels)
            var message = OutboundMessage.sample(text: form.body)
            message.form = .question(form)
            let outcome = try await twin.sending { await $0.send(message) }
            let taken = try #require(try await twin.messages().first)
            #expect(outcome == .accepted(providerID: taken["wamid"] as? String ?? ""))
            #expect(taken["type"] as? String == (count > 10 ? "text" : "interactive"))
            #expect(taken["text"] as? String == form.body)
            let options = taken["options"] as? [[String: Any]]
            #expect(options?.map { $0["id"] as? String } == (count > 10 ? nil : form.options.map(\.id)))
            #expect(options?.map { $0["title"] as? String } == (count > 10 ? nil : form.options.map(\.title)))
        }
    }

    @Test("a template goes by its name and language")
    func template() async throws {
        try await withTwin { twin in
            var message = OutboundMessage.sample(text: "hello")
            message.form = .template(name: "hello", language: "de")
            let outcome = try await twin.sending { await $0.send(message) }
            let taken = try #require(try await twin.messages().first)
            #expect(outcome == .accepted(providerID: taken["wamid"] as? String ?? ""))
            #expect(taken["type"] as? String == "template")
        }
    }

    @Test("people without a number are written to by their business-scoped id")
    func accountID() async throws {
        try await withTwin { twin in
            let message = OutboundMessage.sample(recipient: .accountID("GB.13491208655302741918"))
            let outcome = try await twin.sending { await $0.send(message) }
            let taken = try #require(try await twin.messages().first)
            #expect(outcome == .accepted(providerID: taken["wamid"] as? String ?? ""))
            #expect(taken["recipient"] as? String == "GB.13491208655302741918")
        }
    }

    @Test("many at once are all taken, each under its own id")
    func many() async throws {
        try await withTwin { twin in
            let ids = try await twin.sending { sender in
                await withTaskGroup(of: SendOutcome.self, returning: Set<String>.self) { group in
                    for index in 0..<300 { group.addTask { await sender.send(.sample(text: "\(index)")) } }
                    return await group.reduce(into: []) { ids, outcome in
                        if case .accepted(let id) = outcome { ids.insert(id) }
                    }
                }
            }
            #expect(ids.count == 300)
        }
    }

    /// A planned fault, what the sender must make of it, and whether the message is at the twin nevertheless.
    static let faults: [(order: String, expected: Kind)] = [
        (#"{"kind":"error","code":131016}"#, .refused(131016, .later)),
        (#"{"kind":"error","code":131000}"#, .refused(131000, .later)),
        (#"{"kind":"error","code":130429}"#, .refused(130429, .later)),
        (#"{"kind":"error","code":131056}"#, .refused(131056, .later)),
        (#"{"kind":"error","code":131047}"#, .refused(131047, .never)),
        (#"{"kind":"error","code":131030}"#, .refused(131030, .never)),
        (#"{"kind":"error","code":190}"#, .refused(190, .never)),
        (#"{"kind":"error","code":131049}"#, .refused(131049, .after(milliseconds: 86_400_000))),
        (#"{"kind":"error","code":80007}"#, .refused(80007, .after(milliseconds: 120_000))),
        (#"{"kind":"http500"}"#, .uncertain),
        (#"{"kind":"plain","status":502}"#, .uncertain),
        (#"{"kind":"plain","status":503,"accepted":false}"#, .uncertain),
        (#"{"kind":"plain","status":404,"accepted":false}"#, .refused(nil, .never)),
        (#"{"kind":"plain","status":429,"accepted":false}"#, .refused(nil, .later)),
        (#"{"kind":"plain","status":302,"accepted":false}"#, .refused(nil, .never)),
        (#"{"kind":"plain","status":200}"#, .uncertain),
        (#"{"kind":"drop"}"#, .uncertain),
        (#"{"kind":"timeout"}"#, .uncertain),
        (#"{"kind":"no_id"}"#, .uncertain),
        (#"{"kind":"oversize"}"#, .uncertain),
        (#"{"kind":"slow","milliseconds":50}"#, .accepted),
        (#"{"kind":"slow","milliseconds":600000}"#, .uncertain),
        (#"{"kind":"failed","code":131026}"#, .accepted),
    ]

    enum Kind: Hashable {
        case accepted, uncertain
        case refused(Int32?, RetryAdvice)

        init(_ outcome: SendOutcome) {
            switch outcome {
            case .accepted: self = .accepted
            case .uncertain: self = .uncertain
            case .refused(let code, _, let advice): self = .refused(code, advice)
            }
        }
    }

    @Test("every fault ends in the outcome that keeps the message from being doubled", arguments: faults)
    func fault(order: String, expected: Kind) async throws {
        try await withTwin { twin in
            try await twin.post("faults", order)
            // Only what never answers in time gets a short time: the others must not depend on how busy the machine is.
            let isEndless = order.contains("timeout") || order.contains("600000")
            let outcome = try await twin.sending(callTimeoutMilliseconds: isEndless ? 1_000 : 30_000) {
                await $0.send(.sample())
            }
            #expect(Kind(outcome) == expected)
            let after = try await twin.sending { await $0.send(.sample(text: "after")) }
            #expect(Kind(after) == .accepted, "the twin serves again")
        }
    }

    @Test("what the twin refuses by itself is refused with Meta's code")
    func refusals() async throws {
        try await withTwin({ $0.window = .strict }) { twin in
            let closed = try await twin.sending { await $0.send(.sample()) }
            #expect(Kind(closed) == .refused(131047, .never))
            try await twin.post("send", #"{"from":"+44 7911 123456","text":"hello"}"#, orUnreachable: true)
            let open = try await twin.sending { await $0.send(.sample()) }
            #expect(Kind(open) == .accepted)
            let long = try await twin.sending { await $0.send(.sample(text: String(repeating: "x", count: 4097))) }
            #expect(Kind(long) == .refused(100, .never))
            let elsewhere = OutboundMessage.sample(endpoint: .init(kind: .cloud, providerID: "999"))
            let unknown = try await twin.sending { await $0.send(elsewhere) }
            #expect(Kind(unknown) == .refused(100, .never))
            let stranger = try await twin.sending(token: Secret("wrong")!) { await $0.send(.sample()) }
            #expect(Kind(stranger) == .refused(190, .never))
            let unproven = try await twin.sending(secret: nil) { await $0.send(.sample()) }
            #expect(Kind(unproven) == .refused(100, .never))
            let misproven = try await twin.sending(secret: Secret("other")!) { await $0.send(.sample()) }
            #expect(Kind(misproven) == .refused(100, .never))
        }
    }

    @Test(
        "an endpoint that is not a Cloud API number is refused before anything is sent",
        arguments: [
            EndpointReference(kind: .vpsSession, providerID: "1"), EndpointReference(kind: .instagram, providerID: "1"),
            EndpointReference(kind: .cloud, providerID: "../me"), EndpointReference(kind: .cloud, providerID: ""),
        ])
    func endpoint(reference: EndpointReference) async throws {
        try await withTwin { twin in
            let outcome = try await twin.sending { await $0.send(.sample(endpoint: reference)) }
            #expect(Kind(outcome) == .refused(nil, .never))
            #expect(try await twin.messages().isEmpty)
        }
    }

    @Test(
        "where no request left, the message was not sent: again later",
        arguments: [
            "http://127.0.0.1:1", "https://does-not-exist.invalid",
        ])
    func unreachable(url: String) async throws {
        let sender = try GraphAPISender(
            configuration: GraphAPIConfiguration(baseURL: url, version: "v24.0", accessToken: accessToken))
        #expect(Kind(await sender.send(.sample())) == .refused(nil, .later))
    }

    @Test("a TLS handshake that fails leaves nothing sent")
    func handshake() async throws {
        try await withTwin { twin in
            let sender = try GraphAPISender(
                configuration: GraphAPIConfiguration(
                    baseURL: "https://127.0.0.1:\(twin.port)", version: "v24.0", accessToken: accessToken))
            #expect(Kind(await sender.send(.sample())) == .refused(nil, .later))
            #expect(try await twin.messages().isEmpty)
        }
    }

    @Test("a call that is cancelled while it waits for its answer is uncertain")
    func cancelled() async throws {
        try await withTwin { twin in
            try await twin.post("faults", #"{"kind":"timeout"}"#)
            try await twin.sending { sender in
                let call = Task { await sender.send(.sample()) }
                while try await twin.messages().isEmpty { await Task.yield() }
                call.cancel()
                #expect(Kind(await call.value) == .uncertain)
            }
        }
    }

    @Test("the proof is the hex HMAC-SHA256 of the token under the app secret")
    func proof() {
        // openssl: printf EAAtoken | openssl dgst -sha256 -hmac zr-demo-app-secret
        #expect(
            GraphAPISender.proof(appSecret: appSecret, accessToken: accessToken)
                == "d152a755b0dba4d955375d3f680b75a0d3046e0dd4c44e01b2a1b391ed6454e8")
    }
}

/// Against answers as they were seen elsewhere.
@Suite(.timeLimit(.minutes(1))) struct GraphAnswerTests {
    private func outcome(
        status: Int, headers: [String: String] = [:], body: String
    ) async throws -> SendOutcome {
        try await withServer(status: status, headers: headers, body: body) { port in
            try await RunningTwin(port: port).sending { await $0.send(.sample()) }
        }
    }

    static let answers: [(status: Int, body: String, expected: GraphAPISenderTests.Kind)] = [
        (200, #"{"messages":[{"id":"wamid.A","message_status":"accepted"}],"unknown":[1,{}]}"#, .accepted),
        (201, #"{"messages":[{"id":"wamid.A"}]}"#, .accepted),
        (200, #"{"messages":[{"id":""}]}"#, .uncertain),
        (200, #"{"messages":[{"id":17}]}"#, .uncertain),
        (200, #"{"messages":[{"id":"wamid.\u0000"}]}"#, .uncertain),
        (200, #"{"success":true}"#, .uncertain),
        (200, "", .uncertain),
        (200, #"{"error":{"code":131047,"message":"x"}}"#, .refused(131047, .never)),
        (400, #"{"error":{"code":"130429","message":"x"}}"#, .refused(130429, .later)),
        (400, #"{"error":{"code":777777,"message":"x"}}"#, .refused(777777, .never)),
        (400, #"{"error":{"code":777777,"message":"x","is_transient":true}}"#, .refused(777777, .later)),
        (500, #"{"error":{"code":777777,"message":"x"}}"#, .refused(777777, .later)),
        (500, #"{"error":{"code":131047,"message":"x"}}"#, .refused(131047, .never)),
        (401, #"{"error":{"message":"no code"}}"#, .refused(nil, .never)),
        (500, #"{"error":"text"}"#, .uncertain),
        (500, #"{"err"#, .uncertain),
    ]

    @Test("answers are read for what settles them, and no more", arguments: answers)
    func answer(status: Int, body: String, expected: GraphAPISenderTests.Kind) async throws {
        #expect(GraphAPISenderTests.Kind(try await outcome(status: status, body: body)) == expected)
    }

    @Test("Retry-After is heeded where the code leaves the time open")
    func retryAfter() async throws {
        let body = #"{"error":{"code":131016,"message":"x"}}"#
        let patient = try await outcome(status: 503, headers: ["Retry-After": "7"], body: body)
        #expect(GraphAPISenderTests.Kind(patient) == .refused(131016, .after(milliseconds: 7_000)))
        let date = try await outcome(status: 503, headers: ["Retry-After": "Fri, 01 Jan 2027 00:00:00 GMT"], body: body)
        #expect(GraphAPISenderTests.Kind(date) == .refused(131016, .later))
        let pair = try await outcome(
            status: 400, headers: ["Retry-After": "7"], body: #"{"error":{"code":131056,"message":"x"}}"#)
        #expect(GraphAPISenderTests.Kind(pair) == .refused(131056, .later))
    }

    @Test("neither the token nor the whole phone number reaches the text of an error, nor a line break")
    func redaction() async throws {
        let long = String(repeating: "y", count: 900)
        let body = #"{"error":{"code":190,"message":"token EAAtoken of +447911123456\nis bad \#(long)"}}"#
        guard case .refused(_, let detail, _) = try await outcome(status: 401, body: body) else {
            Issue.record("an error object is a refusal")
            return
        }
        #expect(!detail.contains("EAAtoken"))
        #expect(!detail.contains("7911123456"))
        #expect(!detail.contains("\n"))
        #expect(detail.hasPrefix("token ‹secret› of +44…56 is bad"))
        #expect(detail.count <= 300)
    }

    @Test("an error names code, details and cure")
    func detail() async throws {
        let body = """
            {"error":{"code":131047,"message":"(#131047) Re-engagement message","error_data":{"details":"Too late"}}}
            """
        let outcome = try await outcome(status: 400, body: body)
        #expect(
            outcome
                == .refused(
                    code: 131047,
                    detail: "(#131047) Re-engagement message; Too late; code 131047; the 24-hour window is closed; "
                        + "only a template may be sent", retry: .never))
    }
}

@Suite struct GraphAPIConfigurationTests {
    private func error(baseURL: String, version: String = "v24.0") -> GraphAPIConfigurationError? {
        do {
            _ = try GraphAPIConfiguration(baseURL: baseURL, version: version, accessToken: accessToken)
            return nil
        } catch {
            return error
        }
    }

    @Test(
        "addresses that can be used are taken",
        arguments: [
            "https://graph.facebook.com", "https://graph.facebook.com/", "https://proxy.example:8443/meta",
            "http://127.0.0.1:8445", "http://localhost:8445", "http://[::1]:8445",
        ])
    func good(url: String) { #expect(error(baseURL: url) == nil) }

    @Test(
        "others are refused",
        arguments: [
            "", "graph.facebook.com", "ftp://graph.facebook.com", "https://", "https:///v24.0", "https://a b",
            "https://graph.facebook.com?x=1", "https://graph.facebook.com#x", "https://user@graph.facebook.com",
        ])
    func bad(url: String) {
        if case .badURL = error(baseURL: url) { return }
        Issue.record("\(url) was taken")
    }

    @Test(
        "the token does not travel in clear to another machine",
        arguments: [
            "http://graph.facebook.com", "http://127.0.0.1.example.com", "http://localhost.example.com",
            "http://10.0.0.1",
        ])
    func clear(url: String) { #expect(error(baseURL: url) == .tokenInClear(url)) }

    @Test("a version looks like one", arguments: ["", "v", "24.0", "v24.0/me", "latest"])
    func version(text: String) {
        #expect(error(baseURL: "https://graph.facebook.com", version: text) == .badVersion(text))
    }

    @Test("a trust root that cannot be read is an error at the start")
    func trustRoot() throws {
        let configuration = try GraphAPIConfiguration(
            baseURL: "https://graph.facebook.com", version: "v24.0", accessToken: accessToken,
            trustRootFile: "/does/not/exist.pem")
        #expect(throws: GraphAPIConfigurationError.badTrustRoot(file: "/does/not/exist.pem")) {
            _ = try GraphAPISender(configuration: configuration)
        }
    }
}
