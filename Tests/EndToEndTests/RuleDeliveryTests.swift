import Foundation
import Glibc
import Messaging
import Sandbox
import Testing

extension EndToEndTests {
    /// Rules that forward and notify, and the endpoints that the settings name.
    @Suite struct RuleDeliveryTests {
        private static let secret = Secret("e2e-downstream-secret-77aa")!
        private static let rules =
            Stage.rules + """
                rules:
                  - name: gas
                    when: {keyword: gas}
                    then: [notify: "A tenant smells gas", forward: crm]

                """

        @Test(
            "After SIGKILL between queueing and delivery both endpoints are told once, signed; the outcome is on record"
        )
        func killed() async throws {
            try await Stage.run { stage in
                try stage.write(Self.rules, to: "rules/default.yaml")
                let (crm, desk) = (Stage.freePort(), Stage.freePort())
                let settings: [String: String?] = [
                    "GATEWAY_DOWNSTREAMS": "crm=http://127.0.0.1:\(crm)/m, desk=http://127.0.0.1:\(desk)/n",
                    "GATEWAY_DOWNSTREAM_SECRET": Self.secret.reveal(), "GATEWAY_NOTIFY": "desk",
                ]
                try await RunningTwin.run(before: stage) { twin in
                    let gateway = try await stage.start(settings)
                    try await stage.untilReady()
                    for text in ["I smell gas", "kettle", "gas again"] {
                        try await twin.post("send", #"{"from":"447911123456","text":"\#(text)"}"#)
                    }
                    try await eventually("all to be queued") {
                        try await stage.number("SELECT count(*) FROM gateway.outbox WHERE kind = 'rule_delivery'") == 4
                    }
                    try await eventually("the failure to show") {
                        try await stage.operations("/readyz").text.contains("what rules order for crm is not taken")
                    }
                    #expect(try await gateway.end(by: SIGKILL) == .signal(SIGKILL))
                    let (crmServer, deskServer) = (
                        try await CaptureServer.start(port: crm), try await CaptureServer.start(port: desk)
                    )
                    _ = try await stage.start(settings)
                    try await eventually("everything to be told") {
                        // Neither the lease nor the pause is waited for.
                        try await stage.execute("UPDATE gateway.outbox SET next_attempt_at = now()")
                        return try await stage.number(
                            "SELECT count(*) FROM gateway.rule_actions WHERE outcome = 'done'") == 4
                    }
                    let messages = try Self.told(crmServer.requests)
                    #expect(messages.map(\.text) == ["I smell gas", "gas again"])
                    #expect(messages.map(\.phone) == ["+447911123456", "+447911123456"])
                    let notices = try Self.told(deskServer.requests)
                    #expect(notices.map(\.subject) == ["A tenant smells gas", "A tenant smells gas"])
                    #expect(notices.map(\.text) == [nil, nil] && notices.map(\.phone) == ["+44…56", "+44…56"])
                    #expect(try await stage.number("SELECT count(*) FROM gateway.outbox") == 0)
                    try await eventually("the notices to be counted") {
                        try await stage.operations("/metrics").text.contains("gateway_notices_waiting 2")
                    }
                }
            }
        }

        private struct Told {
            let text, phone, subject: String?
        }

        /// What came, each once under its id; all of it is signed.
        private static func told(_ requests: [CaptureServer.Captured]) throws -> [Told] {
            var seen: Set<String> = []
            return try requests.compactMap { request in
                #expect(
                    request.headers["x-zenrent-signature-256"]
                        == MetaPayloads.signature(of: request.body, secret: secret))
                let object = try #require(
                    try JSONSerialization.jsonObject(with: Data(request.body)) as? [String: Any])
                #expect(request.headers["x-zenrent-delivery-id"] == object["id"] as? String)
                guard seen.insert(request.headers["x-zenrent-delivery-id"] ?? "").inserted else { return nil }
                let message = object["message"] as? [String: Any]
                let sender = object["sender"] as? [String: Any]
                return Told(
                    text: message?["text"] as? String, phone: sender?["phone"] as? String,
                    subject: object["subject"] as? String)
            }
        }
    }
}
