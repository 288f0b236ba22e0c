import Conversations
import Crypto
import GatewayTesting
import Hummingbird
import HummingbirdTesting
import Logging
import Messaging
import Synchronization

@testable import API

/// Two landlords with conversations, and the API before them.
struct APIFixture: Sendable {
    static let now = Timestamp(seconds: 1_780_000_000)
    static let ada = UniqueID(high: 0xAAAA_AAAA_0000_4000, low: 0x8000_0000_0000_0001)
    static let ben = UniqueID(high: 0xBBBB_BBBB_0000_4000, low: 0x8000_0000_0000_0002)
    static let adasThread = UniqueID(high: 0xAAAA_AAAA_0000_4000, low: 0x8000_0000_0000_00C1)
    static let adasOtherThread = UniqueID(high: 0xAAAA_AAAA_0000_4000, low: 0x8000_0000_0000_00C2)
    static let bensThread = UniqueID(high: 0xBBBB_BBBB_0000_4000, low: 0x8000_0000_0000_00C3)
    static let secret = Secret.ring("super-secret-jwt-token-with-at-least-32-characters")[0]

    let store: APIConversationStore
    let log = LogLines()
    let rules = APIRules()
    var limits = APILimits()
    var publishedKeys: PublishedKeys?
    var explainer = RefusingExplainer()

    init(beforeReply: @escaping @Sendable () async -> Void = {}) {
        let message = { (number: UInt64) in Self.message(number, in: Self.adasThread) }
        store = APIConversationStore(
            threads: [
                .init(landlord: Self.ada, summary: Self.summary(Self.adasThread, 10), messages: (1...5).map(message)),
                .init(landlord: Self.ada, summary: Self.summary(Self.adasOtherThread, 20)),
                .init(
                    landlord: Self.ben, summary: Self.summary(Self.bensThread, 30),
                    messages: [Self.message(9, in: Self.bensThread)]),
            ], beforeReply: beforeReply)
    }

    var logger: Logger {
        Logger(label: "test") { [log] _ in RecordingLogHandler(lines: log) }
    }

    var verifier: TokenVerifier {
        TokenVerifier(expectations: .init(secret: Self.secret), publishedKeys: publishedKeys)
    }

    var router: APIRouter {
        APIServer.router(
            store: store, explainer: explainer, rules: rules, verifier: verifier, signatureTemplate: { .standard },
            clock: { Self.now }, limits: limits, logger: logger)
    }

    var application: Application<RouterResponder<APIContext>> { application(router) }

    func application(_ router: APIRouter) -> Application<RouterResponder<APIContext>> {
        var quiet = Logger(label: "hummingbird")
        quiet.logLevel = .critical
        return APIServer.application(
            configuration: APIConfiguration(host: "127.0.0.1", port: 0, limits: limits), router: router, tls: nil,
            logger: quiet, onListening: { _ in })
    }

    static func token(for user: UniqueID = ada, isAdministrator: Bool = false) -> String {
        DevelopmentToken.make(
            user: user, isAdministrator: isAdministrator, secret: secret, issuedAt: now.advanced(bySeconds: -10),
            expiry: now.advanced(bySeconds: 3600))
    }

    private static func summary(_ id: UniqueID, _ minute: Int64) -> ConversationSummary {
        ConversationSummary(
            id: id, tenantID: UniqueID(high: 7, low: 7), tenantName: "Tom \"the\" Tenant",
            tenantPhone: PhoneNumber(digits: 447_911_123_456), propertyID: nil, propertyAddress: "1 High St",
            channel: "whatsapp", status: "active", unreadCount: 2, lastMessageAt: now.advanced(bySeconds: -60 * minute),
            windowOpenUntil: now.advanced(bySeconds: 86_400))
    }

    private static func message(_ number: UInt64, in conversation: UniqueID) -> ThreadMessage {
        ThreadMessage(
            id: UniqueID(high: 8, low: number), conversationID: conversation, direction: "incoming", type: "text",
            body: "message \(number)", signature: nil, quotedMessageID: nil, providerID: "wamid.\(number)",
            status: "received", routingStatus: "delivered", outcome: nil, errorCode: nil, errorDetail: nil,
            sentAt: now.advanced(bySeconds: Int64(number) - 100), deliveredAt: nil, readAt: nil, failedAt: nil)
    }
}

/// How a test reaches the API: straight into the router, or over a socket through the whole server.
enum Transport: CaseIterable, Sendable {
    case router, live

    var setup: TestingSetup { self == .router ? .router : .live }
}

/// An answer, with its JSON read.
struct Answer: Sendable {
    let status: Int
    let headers: HTTPFields
    let json: JSON

    var code: String? { json["code"]?.string }
}

extension TestClientProtocol {
    /// - Parameter token: `nil` sends no `Authorization`.
    func ask(
        _ method: HTTPRequest.Method, _ path: String, token: String? = APIFixture.token(), headers: HTTPFields = [:],
        body: String? = nil
    ) async throws -> Answer {
        var headers = headers
        if let token { headers[.authorization] = "Bearer \(token)" }
        if body != nil, headers[.contentType] == nil { headers[.contentType] = "application/json" }
        return try await execute(uri: path, method: method, headers: headers, body: body.map { ByteBuffer(string: $0) })
        {
            let bytes = Array($0.body.readableBytesView)
            return Answer(
                status: $0.status.code, headers: $0.headers,
                json: bytes.isEmpty ? .null : try JSON(parsing: bytes))
        }
    }
}

/// What was logged.
final class LogLines: Sendable {
    private let lines = Mutex<[String]>([])

    var all: [String] { lines.withLock { $0 } }
    func append(_ line: String) { lines.withLock { $0.append(line) } }
}

struct RecordingLogHandler: LogHandler {
    let lines: LogLines
    var logLevel = Logger.Level.trace
    var metadata: Logger.Metadata = [:]

    init(lines: LogLines) { self.lines = lines }

    subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let all = metadata.merging(event.metadata ?? [:]) { $1 }
        let pairs = all.map { "\($0.key)=\($0.value)" }.sorted().joined(separator: " ")
        lines.append("\(event.level) \(event.message) \(pairs)")
    }
}

/// Tokens put together by hand, right and wrong ones.
enum HandmadeToken {
    static func hs256(
        header: String = #"{"alg":"HS256","typ":"JWT"}"#, claims: String, secret: Secret = APIFixture.secret
    ) -> String {
        let signed = Base64URL.encode(header.utf8) + "." + Base64URL.encode(claims.utf8)
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret.utf8))
        return signed + "." + Base64URL.encode(code)
    }

    static func es256(key: P256.Signing.PrivateKey, id: String?, alg: String = "ES256", claims: String) throws -> String
    {
        let kid = id.map { #","kid":"\#($0)""# } ?? ""
        let signed = Base64URL.encode(#"{"alg":"\#(alg)"\#(kid)}"#.utf8) + "." + Base64URL.encode(claims.utf8)
        return signed + "." + Base64URL.encode(try key.signature(for: Array(signed.utf8)).rawRepresentation)
    }

    /// Good claims, with changes: a `nil` leaves a claim out.
    static func claims(_ changes: [String: String?] = [:]) -> String {
        var claims: [String: String] = [
            "sub": #""\#(APIFixture.ada)""#, "aud": #""authenticated""#, "role": #""authenticated""#,
            "exp": "\(APIFixture.now.seconds + 60)", "iss": #""https://ref.supabase.co/auth/v1""#,
        ]
        for (name, value) in changes { claims[name] = value }
        return "{" + claims.sorted { $0.key < $1.key }.map { #""\#($0.key)":\#($0.value)"# }.joined(separator: ",")
            + "}"
    }
}
