import Crypto
import GatewayTesting
import Journal
import Logging
import Messaging
import NIOCore
import NIOPosix
import NIOSSL
import SwiftASN1
import Synchronization
import Webhooks
import X509

import struct Foundation.Date

@testable import Ingress

/// A journal that answers when the test says so.
final class ManualJournal: WebhookAppender {
    private struct State {
        var isAutomatic: Bool
        var refusal: JournalError?
        var envelopes: [Envelope] = []
        var waiting: [(ticket: AppendTicket, sink: any AppendSink)] = []
        var arrivals: [(count: Int, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state: Mutex<State>

    /// - Parameter isAutomatic: everything is durable at once.
    init(isAutomatic: Bool = true) { state = Mutex(State(isAutomatic: isAutomatic)) }

    var envelopes: [Envelope] { state.withLock { $0.envelopes } }
    func refuse(with error: JournalError?) { state.withLock { $0.refusal = error } }

    func append(_ envelope: Envelope, ticket: AppendTicket, sink: any AppendSink) -> JournalError? {
        let (refusal, isAutomatic, ready) = state.withLock {
            state -> (JournalError?, Bool, [CheckedContinuation<Void, Never>]) in
            if let refusal = state.refusal { return (refusal, false, []) }
            state.envelopes.append(envelope)
            if !state.isAutomatic { state.waiting.append((ticket, sink)) }
            let ready = state.arrivals.filter { $0.count <= state.envelopes.count }.map(\.continuation)
            state.arrivals.removeAll { $0.count <= state.envelopes.count }
            return (nil, state.isAutomatic, ready)
        }
        if isAutomatic { sink.appended([ticket], result: .success(DurabilityReceipt(syncedUpTo: JournalPosition(1)))) }
        for continuation in ready { continuation.resume() }
        return refusal
    }

    func arrived(_ count: Int) async {
        await withCheckedContinuation { continuation in
            let isThere = state.withLock { state in
                if state.envelopes.count >= count { return true }
                state.arrivals.append((count, continuation))
                return false
            }
            if isThere { continuation.resume() }
        }
    }

    func answerAll(_ result: Result<DurabilityReceipt, JournalError>) {
        let waiting = state.withLock { state in
            defer { state.waiting = [] }
            return state.waiting
        }
        for (ticket, sink) in waiting { sink.appended([ticket], result: result) }
    }
}

/// A listener of the product's own making on a free port, with a certificate made for it.
struct TestListener {
    static let secret = "test-secret"
    let server: IngressServer
    let journal: ManualJournal
    let tls: TLSContextHolder
    private let running: Task<Void, any Error>

    /// Limits that no busy machine reaches.
    static var patient: IngressLimits {
        var limits = IngressLimits()
        (limits.headSeconds, limits.bodySeconds, limits.idleSeconds) = (600, 600, 600)
        return limits
    }

    /// - Parameter vps: the dialect of a session server, whose secret is the same; `nil` serves none.
    init(
        limits: IngressLimits = patient, journal: ManualJournal = ManualJournal(), vps: SignatureScheme? = nil
    ) async throws {
        self.journal = journal
        tls = TLSContextHolder(try Self.tlsContext())
        let secrets = Secret.ring(Self.secret + ",older-secret")
        server = IngressServer(
            configuration: .init(host: "127.0.0.1", port: 0, limits: limits), group: .singleton, tls: tls,
            verification: WebhookVerification(
                meta: WebhookAuthenticator(scheme: .meta, secrets: secrets),
                vps: vps.map { WebhookAuthenticator(scheme: $0, secrets: secrets) },
                handshake: WebhookHandshake(tokens: Secret.ring("verify-me"))),
            appender: journal, logger: Logger(label: "test"), clock: { Timestamp(seconds: 1_700_000_000) })
        try await server.bind()
        running = Task { [server] in try await server.run() }
    }

    var port: Int { server.boundPort ?? 0 }

    func close() async {
        running.cancel()
        _ = try? await running.value
    }

    static func tlsContext(name: String = "localhost") throws -> NIOSSLContext {
        let key = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(name) }
        let now = Certificate.Extensions()
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: .distantPastForTests,
            notValidAfter: .distantFutureForTests, issuer: subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: now, issuerPrivateKey: .init(key))
        var serializer = DER.Serializer()
        try serializer.serialize(certificate)
        return try NIOSSLContext(
            configuration: TLSContextHolder.serverConfiguration(
                certificates: [try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)],
                key: try NIOSSLPrivateKey(bytes: Array(key.pemRepresentation.utf8), format: .pem)))
    }

    /// A signed POST as Meta sends it.
    static func webhook(
        _ body: String, secret: String = secret, headers: String = "", path: String = "/api/webhooks/meta"
    ) -> String {
        "POST \(path) HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\(headers)"
            + "X-Hub-Signature-256: \(signature(body, secret))\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
    }

    static func signature(_ body: String, _ secret: String = secret) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: SymmetricKey(data: Array(secret.utf8)))
        return "sha256=" + code.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    }
}

extension Date {
    static var distantPastForTests: Date { Date(timeIntervalSince1970: 1_600_000_000) }
    static var distantFutureForTests: Date { Date(timeIntervalSince1970: 4_000_000_000) }
}

/// A TLS client that sends bytes as they are and keeps what comes back.
final class RawClient: Sendable {
    private let channel: any Channel
    private let collector: Collector

    private final class Collector: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        private struct State {
            var text = ""
            var isClosed = false
            var waiting: (condition: @Sendable (String) -> Bool, continuation: CheckedContinuation<String, Never>)?
        }
        private let state = Mutex(State())

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let bytes = unwrapInboundIn(data)
            update { $0.text += String(buffer: bytes) }
        }
        func channelInactive(context: ChannelHandlerContext) { update { $0.isClosed = true } }
        func errorCaught(context: ChannelHandlerContext, error: any Error) {
            update { $0.isClosed = true }
            context.close(promise: nil)
        }

        private func update(_ change: (inout State) -> Void) {
            let ready = state.withLock { state -> (CheckedContinuation<String, Never>, String)? in
                change(&state)
                guard let waiting = state.waiting, state.isClosed || waiting.condition(state.text) else { return nil }
                state.waiting = nil
                return (waiting.continuation, state.text)
            }
            if let (continuation, text) = ready { continuation.resume(returning: text) }
        }

        func text(until condition: @escaping @Sendable (String) -> Bool) async -> String {
            await withCheckedContinuation { continuation in
                let now = state.withLock { state -> String? in
                    if state.isClosed || condition(state.text) { return state.text }
                    state.waiting = (condition, continuation)
                    return nil
                }
                if let now { continuation.resume(returning: now) }
            }
        }
    }

    init(port: Int, minimum: TLSVersion = .tlsv12, maximum: TLSVersion? = nil) async throws {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.minimumTLSVersion = minimum
        configuration.maximumTLSVersion = maximum
        let context = try NIOSSLContext(configuration: configuration)
        let collector = Collector()
        self.collector = collector
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandlers(
                        NIOSSLClientHandler(context: context, serverHostname: nil), collector)
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Everything received once the peer has closed.
    func everything() async -> String { await collector.text { _ in false } }

    /// Everything received once `count` answers are there, or the peer has closed.
    func answers(_ count: Int) async -> String {
        await collector.text { $0.components(of: "HTTP/1.1 ") >= count && $0.hasSuffix("\r\n\r\n") }
    }

    func close() async { try? await channel.close() }
}

extension String {
    /// How often a text occurs.
    func components(of part: String) -> Int {
        var count = 0
        var rest = self[...]
        while let range = rest.firstRange(of: part) {
            count += 1
            rest = rest[range.upperBound...]
        }
        return count
    }

    /// The status codes of the answers in it.
    var statuses: [Int] {
        matches(of: #/HTTP/1\.1 (\d{3}) /#).compactMap { Int($0.1) }
    }
}
