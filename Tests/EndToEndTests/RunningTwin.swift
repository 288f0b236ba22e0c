import Foundation
import Gateway
import Messaging
import NIOCore
import NIOHTTP1
import Sandbox

/// The Meta twin in this process, before a stage's gateway.
struct RunningTwin: Sendable {
    struct Option: Decodable, Sendable {
        let title: String
    }

    struct Sent: Decodable, Sendable {
        let wamid: String
        let to: String?
        let text: String?
        let options: [Option]?
        let statuses: [String]
    }

    private struct Posted: Decodable {
        let wamid: String?
        let wamids: [String]?
        let gateway_status: Int
    }

    let port: Int
    private let client: WebClient

    /// What the gateway must be told to send to this twin.
    var settings: [String: String?] {
        ["META_GRAPH_URL": "http://127.0.0.1:\(port)", "WHATSAPP_ACCESS_TOKEN": Stage.accessToken.reveal()]
    }

    /// The same, with the session server it plays beside Meta.
    var settingsWithSession: [String: String?] {
        settings.merging(["VPS_WEBHOOK_SECRET": Stage.sessionSecret.reveal()]) { $1 }
    }

    static func run<Result: Sendable>(
        before stage: Stage, _ body: (RunningTwin) async throws -> Result
    ) async throws -> Result {
        var configuration = TwinConfiguration(
            port: 0, phones: [Script.phone], appSecret: Stage.appSecret, accessToken: Stage.accessToken,
            verifyToken: Stage.verifyToken, webhookURL: "https://localhost:\(stage.ingressPort)/api/webhooks/meta",
            trustRootFile: stage.directory + "/certs/ca.pem")
        configuration.statusDelays = ["sent", "delivered", "read"].map { ($0, .milliseconds(20)) }
        configuration.window = .lenient
        configuration.session = TwinSession(
            name: "default", number: Development.sessionNumber, secret: Stage.sessionSecret,
            webhookURL: "https://localhost:\(stage.ingressPort)/api/webhooks/vps")
        let twin = try MetaTwin(configuration: configuration)
        let run = Task { try await twin.run() }
        do {
            let result = try await body(RunningTwin(port: twin.boundPort, client: WebClient()))
            run.cancel()
            _ = await run.result
            return result
        } catch {
            run.cancel()
            _ = await run.result
            throw error
        }
    }

    /// Posts to one of the developer's addresses, and expects the gateway to acknowledge.
    /// - Returns: the ids of the messages sent.
    @discardableResult
    func post(_ path: String, _ body: String) async throws -> [String] {
        let answer = try await client.call(.POST, "http://127.0.0.1:\(port)/twin/\(path)", body)
        let posted = try JSONDecoder().decode(Posted.self, from: answer.body)
        guard posted.gateway_status == 200 else { throw Landlord.Refused(answer: answer.text) }
        return posted.wamids ?? posted.wamid.map { [$0] } ?? []
    }

    /// The next call to the Graph side goes wrong.
    func plan(_ fault: String, code: Int? = nil) async throws {
        let code = code.map { ",\"code\":\($0)" } ?? ""
        let answer = try await client.call(
            .POST, "http://127.0.0.1:\(port)/twin/faults", "{\"kind\":\"\(fault)\"\(code)}")
        guard answer.status == 200 else { throw Landlord.Refused(answer: answer.text) }
    }

    /// What the gateway sent, oldest first.
    func sent() async throws -> [Sent] {
        try JSONDecoder().decode(
            [Sent].self, from: try await client.call(.GET, "http://127.0.0.1:\(port)/twin/messages").body)
    }

    func sent(_ text: String) async throws -> Sent {
        try await eventual("the twin to get a message") { try await sent().first { $0.text == text } }
    }
}
