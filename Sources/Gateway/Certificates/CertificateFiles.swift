import Crypto
import FoundationEssentials
package import Messaging
package import NIOSSL
import SwiftASN1
import X509

/// Certificate chain and key of the public listeners, read from `GATEWAY_CERTS_DIR` and found to belong together.
///
/// The names are those that ACME clients write: `fullchain.pem` (the server's certificate first, then those above it)
/// and `privkey.pem`.
package struct CertificateFiles: Sendable {
    package static let chainName = "fullchain.pem"
    package static let keyName = "privkey.pem"
    /// For development alone: what clients are told to trust.
    package static let authorityName = "ca.pem"

    package let chain: [NIOSSLCertificate]
    package let privateKey: NIOSSLPrivateKey
    /// DNS names and addresses the certificate speaks for.
    package let names: [String]
    package let notAfter: Timestamp
    /// The first 16 hex digits of the SHA-256 of the chain: two loads with the same one found the same certificates.
    package let fingerprint: String
    /// Whether `DevelopmentCertificates` wrote it.
    package let isDevelopment: Bool

    /// In a few words, for a log: names and end.
    package var summary: String {
        "certificate \(fingerprint) for \(names.joined(separator: ", ")), valid until \(notAfter.rfc3339)"
    }

    /// Whether fewer than `days` are left.
    package func expires(withinDays days: Int64, of now: Timestamp) -> Bool {
        now.advanced(bySeconds: days * 86_400) >= notAfter
    }

    /// Reads and checks: both files there, the key not open to everybody, the key that of the first certificate, and
    /// the certificate valid now.
    /// - Throws: `CertificateError`, which names the file and the cure.
    package static func load(_ directory: String, now: Timestamp) throws(CertificateError) -> CertificateFiles {
        let chainPath = "\(directory)/\(chainName)"
        let keyPath = "\(directory)/\(keyName)"
        let cure =
            "put fullchain.pem and privkey.pem of your ACME client there, point GATEWAY_CERTS_DIR to them, "
            + "or run `zenrent-gateway certs dev`"
        guard let chainFile = try CertificateStorage.read(chainPath) else {
            throw CertificateError(chainPath, "does not exist", cure: cure)
        }
        guard let keyFile = try CertificateStorage.read(keyPath) else {
            throw CertificateError(keyPath, "does not exist", cure: cure)
        }
        guard keyFile.mode & 0o007 == 0 else {
            throw CertificateError(
                keyPath, "is open to every user of this machine (mode \(String(keyFile.mode, radix: 8)))",
                cure: "run `chmod 600 \(keyPath)`, and replace the key if others could have read it")
        }
        let certificates = try parseChain(chainFile.bytes, file: chainPath)
        let key = try parseKey(keyFile.bytes, file: keyPath)
        let leaf = certificates[0]
        guard key.publicKey == leaf.publicKey else {
            throw CertificateError(
                keyPath, "is not the key of the first certificate in \(chainPath)",
                cure: "install the pair that was issued together; the server's own certificate comes first")
        }
        try checkValidity(leaf, file: chainPath, now: now)
        return try CertificateFiles(leaf: leaf, certificates, keyFile.bytes, chainPath: chainPath, keyPath: keyPath)
    }

    private init(
        leaf: Certificate, _ certificates: [Certificate], _ key: [UInt8], chainPath: String, keyPath: String
    ) throws(CertificateError) {
        var digest = SHA256()
        do {
            chain = try certificates.map { certificate in
                var serializer = DER.Serializer()
                try certificate.serialize(into: &serializer)
                digest.update(data: serializer.serializedBytes)
                return try NIOSSLCertificate(bytes: serializer.serializedBytes, format: .der)
            }
        } catch {
            throw CertificateError(chainPath, "TLS does not take it (\(error))", cure: "have it issued anew")
        }
        do {
            privateKey = try NIOSSLPrivateKey(bytes: key, format: .pem)
        } catch {
            throw CertificateError(keyPath, "TLS does not take it (\(error))", cure: "use an ECDSA P-256 key")
        }
        names = Self.names(of: leaf)
        notAfter = Timestamp(seconds: Int64(leaf.notValidAfter.timeIntervalSince1970))
        fingerprint = digest.finalize().prefix(8).map { byte in
            let digits = String(byte, radix: 16)
            return byte < 16 ? "0" + digits : digits
        }.joined()
        isDevelopment = DevelopmentCertificates.issued(leaf)
    }

    /// The certificates of a PEM file, at least one.
    static func parseChain(_ bytes: [UInt8], file: String) throws(CertificateError) -> [Certificate] {
        let cure = "it must hold PEM certificates (-----BEGIN CERTIFICATE-----), the server's own first"
        do {
            let documents = try PEMDocument.parseMultiple(pemString: String(decoding: bytes, as: UTF8.self))
            let certificates = try documents.filter { $0.discriminator == "CERTIFICATE" }
                .map { try Certificate(pemDocument: $0) }
            guard !certificates.isEmpty else { throw CertificateError(file, "holds no certificate", cure: cure) }
            return certificates
        } catch let error as CertificateError {
            throw error
        } catch {
            throw CertificateError(file, "is not readable as certificates", cure: cure)
        }
    }

    private static func parseKey(_ bytes: [UInt8], file: String) throws(CertificateError) -> Certificate.PrivateKey {
        // What the parser says of a broken key could quote it: it is not passed on.
        let documents = (try? PEMDocument.parseMultiple(pemString: String(decoding: bytes, as: UTF8.self))) ?? []
        guard let document = documents.first(where: { $0.discriminator.hasSuffix("PRIVATE KEY") }) else {
            throw CertificateError(
                file, "holds no private key", cure: "it must hold a PEM key (-----BEGIN PRIVATE KEY-----)")
        }
        guard document.discriminator != "ENCRYPTED PRIVATE KEY" else {
            throw CertificateError(
                file, "is locked with a passphrase, and nobody is there to type it",
                cure: "write it without: `openssl pkey -in OLD -out \(file)`")
        }
        do {
            return try Certificate.PrivateKey(pemDocument: document)
        } catch {
            throw CertificateError(
                file, "is not readable as an ECDSA, RSA or Ed25519 key", cure: "use an ECDSA P-256 key")
        }
    }

    private static func checkValidity(
        _ leaf: Certificate, file: String, now: Timestamp
    ) throws(CertificateError) {
        let renewal =
            DevelopmentCertificates.issued(leaf)
            ? "run `zenrent-gateway certs dev`" : "renew it with your ACME client, then send SIGHUP"
        let begin = Timestamp(seconds: Int64(leaf.notValidBefore.timeIntervalSince1970))
        let end = Timestamp(seconds: Int64(leaf.notValidAfter.timeIntervalSince1970))
        guard now < end else {
            throw CertificateError(file, "expired at \(end.rfc3339)", cure: renewal)
        }
        guard now >= begin else {
            throw CertificateError(
                file, "is valid only from \(begin.rfc3339)", cure: "set this machine's clock, or \(renewal)")
        }
    }

    /// DNS names and IP addresses of the alternative names; others are of no use to a server.
    static func names(of certificate: Certificate) -> [String] {
        guard let names = try? certificate.extensions.subjectAlternativeNames else { return [] }
        return names.compactMap { name in
            switch name {
            case .dnsName(let host): host
            case .ipAddress(let address): HostAddress.text(Array(address.bytes))
            default: nil
            }
        }
    }
}
