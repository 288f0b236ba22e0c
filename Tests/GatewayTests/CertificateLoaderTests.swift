import Foundation
import Ingress
import Messaging
import Operations
import Testing

@testable import Gateway

@Suite struct CertificateLoaderTests {
    private static func directory() throws -> TemporaryDirectory {
        let directory = try TemporaryDirectory()
        try DevelopmentCertificates.write(to: directory.path, now: SystemTime.now())
        return directory
    }

    @Test("gives new connections the certificate that was put in place, and counts a generation only for a change")
    func reload() throws {
        let directory = try Self.directory()
        let loader = try CertificateLoader(directory: directory.path)
        let first = loader.holder.current
        #expect(try loader.reload().generation == 1)
        #expect(loader.holder.current === first)
        try DevelopmentCertificates.write(to: directory.path, force: true, now: SystemTime.now())
        #expect(try loader.reload().generation == 2)
        #expect(loader.holder.current !== first)
    }

    @Test("keeps the certificate when the new pair does not match, is open to others or not there")
    func broken() throws {
        let directory = try Self.directory()
        let other = try Self.directory()
        let loader = try CertificateLoader(directory: directory.path)
        let first = loader.holder.current
        let key = directory.path + "/privkey.pem"
        let strangers = try String(contentsOfFile: other.path + "/privkey.pem", encoding: .utf8)
        let own = try String(contentsOfFile: key, encoding: .utf8)
        for (text, mode) in [(strangers, 0o600), (own, 0o644), ("", 0o600)] {
            try directory.write("privkey.pem", text, mode: mode)
            let error = #expect(throws: CertificateError.self) { try loader.reload() }
            #expect(error?.file == key)
        }
        try FileManager.default.removeItem(atPath: key)
        #expect(throws: CertificateError.self) { try loader.reload() }
        #expect(loader.holder.current === first)
        try directory.write("privkey.pem", own)
        #expect(try loader.reload().generation == 1)
    }

    @Test("does not start without a pair")
    func absent() throws {
        let directory = try TemporaryDirectory()
        let error = #expect(throws: CertificateError.self) { _ = try CertificateLoader(directory: directory.path) }
        #expect(error?.cure.contains("certs dev") == true)
    }
}
