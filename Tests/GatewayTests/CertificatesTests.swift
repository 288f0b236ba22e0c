import Foundation
import Messaging
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import Testing

@testable import Gateway

@Suite struct DevelopmentCertificatesTests {
    private static let now = Timestamp(seconds: 1_772_357_400)

    @Test func writesAPairThatLoads() throws {
        try withDirectory { directory in
            #expect(try DevelopmentCertificates.write(to: directory, now: Self.now) == .written)
            let files = try CertificateFiles.load(directory, now: Self.now)
            #expect(files.names == ["localhost", "127.0.0.1", "::1"])
            #expect(files.chain.count == 1)
            #expect(files.isDevelopment)
            #expect(files.notAfter == Self.now.advanced(bySeconds: 90 * 86_400))
            #expect(files.expires(withinDays: 90, of: Self.now) && !files.expires(withinDays: 89, of: Self.now))
            #expect(try mode("\(directory)/privkey.pem") == 0o600)
            #expect(try mode("\(directory)/fullchain.pem") == 0o644)
            #expect(
                try FileManager.default.contentsOfDirectory(atPath: directory).sorted() == [
                    "ca.pem", "fullchain.pem", "privkey.pem",
                ])
        }
    }

    @Test(arguments: ["localhost", "127.0.0.1"])
    func clientsThatTrustTheAuthorityTrustTheServer(host: String) async throws {
        let directory = try temporaryDirectory()
        defer { try? FileManager.default.removeItem(atPath: directory) }
        let now = Timestamp(seconds: Int64(Date().timeIntervalSince1970))
        try DevelopmentCertificates.write(to: directory, now: now)
        let files = try CertificateFiles.load(directory, now: now)
        var client = TLSConfiguration.makeClientConfiguration()
        client.trustRoots = .file("\(directory)/ca.pem")
        #expect(try await handshake(files, client: client, host: host))
        let stranger = TLSConfiguration.makeClientConfiguration()
        #expect(try await handshake(files, client: stranger, host: host) == false)
    }

    @Test func keepsAPairThatIsStillGoodUnlessForced() throws {
        try withDirectory { directory in
            try DevelopmentCertificates.write(to: directory, now: Self.now)
            let first = try CertificateFiles.load(directory, now: Self.now).fingerprint
            let soon = Self.now.advanced(bySeconds: 75 * 86_400)
            #expect(try DevelopmentCertificates.write(to: directory, now: soon) == .kept)
            #expect(try CertificateFiles.load(directory, now: soon).fingerprint == first)
            #expect(try DevelopmentCertificates.write(to: directory, force: true, now: soon) == .written)
            #expect(try CertificateFiles.load(directory, now: soon).fingerprint != first)
        }
    }

    @Test func writesAnewWhatEndsSoonLacksAHostOrDoesNotMatch() throws {
        try withDirectory { directory in
            try DevelopmentCertificates.write(to: directory, now: Self.now)
            let late = Self.now.advanced(bySeconds: 77 * 86_400)
            #expect(try DevelopmentCertificates.write(to: directory, now: late) == .written)
            let after = late.advanced(bySeconds: 200 * 86_400)
            #expect(try DevelopmentCertificates.write(to: directory, now: after) == .written)
            let hosts = DevelopmentCertificates.defaultHosts + ["gateway.example", "0:0:0:0:0:0:0:2"]
            #expect(try DevelopmentCertificates.write(to: directory, hosts: hosts, now: after) == .written)
            #expect(try DevelopmentCertificates.write(to: directory, hosts: hosts, now: after) == .kept)
            for name in ["privkey.pem", "ca.pem"] {
                try FileManager.default.removeItem(atPath: "\(directory)/\(name)")
                #expect(try DevelopmentCertificates.write(to: directory, hosts: hosts, now: after) == .written)
            }
            try withDirectory { other in
                try DevelopmentCertificates.write(to: other, now: after)
                for name in ["privkey.pem", "ca.pem"] {
                    try move("\(other)/\(name)", over: "\(directory)/\(name)")
                    #expect(try DevelopmentCertificates.write(to: directory, hosts: hosts, now: after) == .written)
                }
            }
        }
    }

    @Test(arguments: [false, true])
    func neverReplacesWhatSomebodyElseIssued(force: Bool) throws {
        try withDirectory { directory in
            try Samples.strangers.write(toFile: "\(directory)/fullchain.pem", atomically: true, encoding: .utf8)
            let error = #expect(throws: CertificateError.self) {
                try DevelopmentCertificates.write(to: directory, force: force, now: Self.now)
            }
            #expect(error?.description.contains("no development certificate") == true)
            try FileManager.default.removeItem(atPath: "\(directory)/fullchain.pem")
            try "precious".write(toFile: "\(directory)/privkey.pem", atomically: true, encoding: .utf8)
            #expect(throws: CertificateError.self) {
                try DevelopmentCertificates.write(to: directory, force: force, now: Self.now)
            }
            #expect(try String(contentsOfFile: "\(directory)/privkey.pem", encoding: .utf8) == "precious")
        }
    }

    @Test(arguments: [[], ["a b"], ["-a"], [""], ["a..b"], ["ü.example"], ["localhost", "a\n"]])
    func refusesHostsThatAreNone(hosts: [String]) throws {
        try withDirectory { directory in
            #expect(throws: CertificateError.self) {
                try DevelopmentCertificates.write(to: directory, hosts: hosts, now: Self.now)
            }
        }
    }

    @Test func saysWhereItMayNotWrite() throws {
        try withDirectory { directory in
            try "x".write(toFile: "\(directory)/file", atomically: true, encoding: .utf8)
            let error = #expect(throws: CertificateError.self) {
                try DevelopmentCertificates.write(to: "\(directory)/file/certs", now: Self.now)
            }
            #expect(error?.description.contains("GATEWAY_CERTS_DIR") == true)
        }
    }

    @Test func leavesNothingHalfWrittenBehind() throws {
        try withDirectory { directory in
            try FileManager.default.createDirectory(
                atPath: "\(directory)/ca.pem/inside", withIntermediateDirectories: true)
            let error = #expect(throws: CertificateError.self) {
                try DevelopmentCertificates.write(to: directory, now: Self.now)
            }
            #expect(error?.file == "\(directory)/ca.pem")
            #expect(try FileManager.default.contentsOfDirectory(atPath: directory) == ["ca.pem"])
        }
    }
}

@Suite struct CertificateFilesTests {
    private static let now = Timestamp(seconds: 1_772_357_400)

    @Test(arguments: ["fullchain.pem", "privkey.pem"])
    func namesTheFileThatIsMissing(name: String) throws {
        try withPair { directory in
            try FileManager.default.removeItem(atPath: "\(directory)/\(name)")
            let text = try failure(directory)
            #expect(text.hasPrefix("\(directory)/\(name): does not exist; "))
            #expect(text.contains("zenrent-gateway certs dev"))
        }
    }

    @Test(arguments: [
        ("fullchain.pem", ""), ("fullchain.pem", "nonsense"), ("privkey.pem", ""), ("privkey.pem", "nonsense"),
        ("privkey.pem", "-----BEGIN PRIVATE KEY-----\nMTIz\n-----END PRIVATE KEY-----\n"),
        ("fullchain.pem", "-----BEGIN CERTIFICATE-----\nMTIz\n-----END CERTIFICATE-----\n"),
    ])
    func namesTheFileThatIsNoPEM(name: String, text: String) throws {
        try withPair { directory in
            try overwrite("\(directory)/\(name)", text)
            let error = try failure(directory)
            #expect(error.hasPrefix("\(directory)/\(name): "))
            #expect(!error.contains("MTIz"))
        }
    }

    @Test func saysThatAKeyIsLocked() throws {
        try withPair { directory in
            try overwrite(
                "\(directory)/privkey.pem",
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMTIz\n-----END ENCRYPTED PRIVATE KEY-----\n")
            #expect(try failure(directory).contains("passphrase"))
        }
    }

    @Test(arguments: [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o606, false)])
    func wantsTheKeyClosedToOthers(mode: Int, loads: Bool) throws {
        try withPair { directory in
            try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: "\(directory)/privkey.pem")
            if loads {
                _ = try CertificateFiles.load(directory, now: Self.now)
            } else {
                #expect(try failure(directory).contains("chmod 600 \(directory)/privkey.pem"))
            }
        }
    }

    @Test func wantsTheKeyOfTheCertificate() throws {
        try withPair { directory in
            try withPair { other in
                try move("\(other)/privkey.pem", over: "\(directory)/privkey.pem")
            }
            #expect(try failure(directory).contains("is not the key of the first certificate"))
        }
    }

    @Test(arguments: [(-3_601, "is valid only from"), (90 * 86_400, "expired at 2026-05-30")])
    func wantsACertificateThatIsValidNow(seconds: Int64, problem: String) throws {
        try withPair { directory in
            let text = try failure(directory, at: Self.now.advanced(bySeconds: seconds))
            #expect(text.contains(problem))
            #expect(text.contains("certs dev"))
        }
    }

    @Test func followsTheLinksThatACMEClientsMake() throws {
        try withPair { archive in
            try withDirectory { live in
                for name in ["fullchain.pem", "privkey.pem"] {
                    try FileManager.default.createSymbolicLink(
                        atPath: "\(live)/\(name)", withDestinationPath: "\(archive)/\(name)")
                }
                _ = try CertificateFiles.load(live, now: Self.now)
            }
        }
    }

    private func withPair(_ body: (String) throws -> Void) throws {
        try withDirectory { directory in
            try DevelopmentCertificates.write(to: directory, now: Self.now)
            try body(directory)
        }
    }

    private func failure(_ directory: String, at moment: Timestamp = now) throws -> String {
        let error = #expect(throws: CertificateError.self) { _ = try CertificateFiles.load(directory, now: moment) }
        return try #require(error).description
    }
}

private func overwrite(_ path: String, _ text: String) throws {
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    try file.truncate(atOffset: 0)
    try file.write(contentsOf: Data(text.utf8))
    try file.close()
}

private func move(_ source: String, over target: String) throws {
    try FileManager.default.removeItem(atPath: target)
    try FileManager.default.moveItem(atPath: source, toPath: target)
}

private func mode(_ path: String) throws -> Int? {
    try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
}

private func temporaryDirectory() throws -> String {
    let directory = FileManager.default.temporaryDirectory.appending(path: "certs-\(UUID().uuidString)").path()
    try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
    return directory
}

private func withDirectory(_ body: (String) throws -> Void) throws {
    let directory = try temporaryDirectory()
    defer { try? FileManager.default.removeItem(atPath: directory) }
    try body(directory)
}

/// Whether a client gets through a TLS handshake with a server that uses these files.
private func handshake(_ files: CertificateFiles, client: TLSConfiguration, host: String) async throws -> Bool {
    let group = MultiThreadedEventLoopGroup.singleton
    let server = try NIOSSLContext(
        configuration: .makeServerConfiguration(
            certificateChain: files.chain.map { .certificate($0) }, privateKey: .privateKey(files.privateKey)))
    let listener = try await ServerBootstrap(group: group)
        .childChannelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: server))
            }
        }
        .bind(host: "127.0.0.1", port: 0).get()
    let context = try NIOSSLContext(configuration: client)
    let loop = group.next()
    let outcome = loop.makePromise(of: Bool.self)
    let connection = try await ClientBootstrap(group: loop)
        .channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture {
                let name = host == "localhost" ? host : nil
                try channel.pipeline.syncOperations.addHandler(
                    NIOSSLClientHandler(context: context, serverHostname: name))
                try channel.pipeline.syncOperations.addHandler(HandshakeWitness(outcome))
            }
        }
        .connect(host: "127.0.0.1", port: listener.localAddress?.port ?? 0).get()
    let succeeded = try await outcome.futureResult.get()
    try? await connection.close()
    try await listener.close()
    return succeeded
}

private final class HandshakeWitness: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    private let outcome: EventLoopPromise<Bool>
    private var isDecided = false

    init(_ outcome: EventLoopPromise<Bool>) { self.outcome = outcome }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted? = event as? TLSUserEvent { decide(true) }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        decide(false)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { decide(false) }

    private func decide(_ succeeded: Bool) {
        guard !isDecided else { return }
        isDecided = true
        outcome.succeed(succeeded)
    }
}

private enum Samples {
    /// Self-signed, by nobody we know.
    static let strangers = """
        -----BEGIN CERTIFICATE-----
        MIIBwjCCAWegAwIBAgIUcwraGafB3uwA2sTNCMRz1htRZqUwCgYIKoZIzj0EAwIw
        NjEaMBgGA1UECgwRQW5vdGhlciBhdXRob3JpdHkxGDAWBgNVBAMMD2dhdGV3YXku
        ZXhhbXBsZTAeFw0yNjExMjExMDE3MzhaFw0zNjExMTgxMDE3MzhaMDYxGjAYBgNV
        BAoMEUFub3RoZXIgYXV0aG9yaXR5MRgwFgYDVQQDDA9nYXRld2F5LmV4YW1wbGUw
        WTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAAT9X7svBY3dk9V8NCB1EPehARpJ3M82
        x3/CeK5RkeMZBOQP1y4Eh/Qc8QBg3dv0ubRzgtA/9tD9LIZ8jmmRgONmo1MwUTAd
        BgNVHQ4EFgQUmnAs0qWLMf26xN5hOVfCqOijrXkwHwYDVR0jBBgwFoAUmnAs0qWL
        Mf26xN5hOVfCqOijrXkwDwYDVR0TAQH/BAUwAwEB/zAKBggqhkjOPQQDAgNJADBG
        AiEA2Tpi6LPU+DwNKnktPQUGD6jbOMrDCHY428NYX31XY9wCIQCWjGSPfvnnBcvX
        rUUfI0ZJynmARD76pnZD9NmV17b5Ng==
        -----END CERTIFICATE-----

        """
}
