import AsyncHTTPClient
import Foundation
import Gateway
import Messaging
import NIOCore
import NIOHTTP1
import NIOSSL

/// A landlord with a token, at the API.
struct Landlord: Sendable {
    struct Conversation: Decodable, Sendable {
        let id: String
        let tenant_name: String?
        let unread_count: Int
        let tags: [String]
        let priority: String
    }

    struct Message: Decodable, Sendable {
        let id: String
        let direction: String
        let type: String
        let body: String?
        let signature: String?
        let provider_id: String?
        let status: String
        let routing_status: String
        let delivered_at: String?
        let read_at: String?
    }

    struct Answer: Sendable {
        let status: Int
        let body: Data
        var text: String { String(decoding: body, as: UTF8.self) }
    }

    private struct Page<Item: Decodable>: Decodable {
        let items: [Item]
    }

    struct Refused: Error { let answer: String }

    private let stage: Stage
    private let token: String
    private let client: WebClient

    /// - Parameter name: the start of a sample landlord's name.
    init(_ name: String, of stage: Stage) async throws {
        let landlord = SampleWorld.landlords.first { $0.name.hasPrefix(name) }!
        try await self.init(landlord.id, isAdministrator: false, of: stage)
    }

    /// Somebody who runs the place, at the same API.
    static func administrator(of stage: Stage) async throws -> Landlord {
        try await Landlord(SampleWorld.administratorID, isAdministrator: true, of: stage)
    }

    private init(_ user: UniqueID, isAdministrator: Bool, of stage: Stage) async throws {
        let reader = try await SettingsReader(
            overrides: [.supabaseJWTSecret: Stage.signingSecret.reveal(), .dataDirectory: stage.directory + "/token"],
            environment: [:])
        self.stage = stage
        token = try await Development.token(
            of: user, isAdministrator: isAdministrator, hours: 1, reader: reader)
        client = try WebClient(trusting: stage.directory + "/certs/ca.pem")
    }

    func conversations() async throws -> [Conversation] { try await items("/api/conversations") }

    /// The newest first.
    func messages(in conversation: Conversation) async throws -> [Message] {
        try await items("/api/conversations/\(conversation.id)/messages")
    }

    /// Everything in all of the landlord's threads.
    func messages() async throws -> [Message] {
        var all: [Message] = []
        for conversation in try await conversations() { all += try await messages(in: conversation) }
        return all
    }

    func reply(_ text: String, in conversation: Conversation) async throws -> Answer {
        try await call(.POST, "/api/conversations/\(conversation.id)/messages", #"{"text":"\#(text)"}"#)
    }

    func call(_ method: HTTPMethod, _ path: String, _ body: String? = nil, withToken: Bool = true) async throws
        -> Answer
    {
        var headers = HTTPHeaders()
        if withToken { headers.add(name: "Authorization", value: "Bearer \(token)") }
        if body != nil { headers.add(name: "Content-Type", value: "application/json") }
        return try await client.call(method, "https://localhost:\(stage.apiPort)\(path)", body, headers)
    }

    private func items<Item: Decodable>(_ path: String) async throws -> [Item] {
        let answer = try await call(.GET, path)
        guard answer.status == 200 else { throw Refused(answer: answer.text) }
        return try JSONDecoder().decode(Page<Item>.self, from: answer.body).items
    }
}

/// An HTTP client that trusts one authority. Closed with its last copy.
final class WebClient: Sendable {
    private let client: HTTPClient

    init(trusting file: String? = nil) throws {
        var configuration = HTTPClient.Configuration()
        // A gateway that is down is told at once.
        configuration.connectionPool.retryConnectionEstablishment = false
        if let file {
            var tls = TLSConfiguration.makeClientConfiguration()
            tls.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(file))
            configuration.tlsConfiguration = tls
        }
        client = HTTPClient(eventLoopGroupProvider: .singleton, configuration: configuration)
    }

    deinit { client.shutdown { _ in } }

    func call(
        _ method: HTTPMethod, _ url: String, _ body: String? = nil, _ headers: HTTPHeaders = [:]
    ) async throws -> Landlord.Answer {
        var request = HTTPClientRequest(url: url)
        request.method = method
        request.headers = headers
        if let body { request.body = .bytes(ByteBuffer(string: body)) }
        let response = try await client.execute(request, timeout: .seconds(30))
        let bytes = try await response.body.collect(upTo: 16 << 20)
        return Landlord.Answer(status: Int(response.status.code), body: Data(bytes.readableBytesView))
    }
}

// MARK: Operations

extension Stage {
    func operations(_ path: String) async throws -> Landlord.Answer {
        try await WebClient().call(.GET, "http://127.0.0.1:\(operationsPort)\(path)")
    }

    /// A gateway that records: routes are loaded, and every part is well.
    func untilReady() async throws {
        try await eventually("a gateway that is ready for everything") {
            guard let answer = try? await operations("/readyz") else { return false }
            return answer.status == 200 && answer.text.contains("\"degraded\":[]")
        }
    }

    /// `gateway_updates_total` by verdict; what never happened is left out.
    func countedVerdicts() async throws -> [String: Int] { try await counted("gateway_updates_total") }

    /// A counter by the value of its one label; what never happened is left out.
    func counted(_ counter: String) async throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in try await operations("/metrics").text.split(separator: "\n") {
            guard let match = line.firstMatch(of: #/^([a-z_]+)\{[a-z]+="([^"]*)"\} ([0-9.]+)/#), match.1 == counter,
                let value = Double(match.3), value > 0
            else { continue }
            counts[String(match.2)] = Int(value)
        }
        return counts
    }
}
