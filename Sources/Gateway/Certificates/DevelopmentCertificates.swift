import Crypto
import FoundationEssentials
package import Messaging
import SwiftASN1
import X509

/// Certificates for a developer's machine: a throw-away authority, and a server certificate that it signed.
///
/// The authority's key is forgotten once it has signed, so that whoever trusts `ca.pem` trusts this one certificate and
/// nothing that could be signed later. Keys are ECDSA P-256: a handshake costs a third of RSA's.
package enum DevelopmentCertificates {
    package static let defaultHosts = ["localhost", "127.0.0.1", "::1"]
    static let validityDays: Int64 = 90
    /// A pair with fewer days left than this is written anew.
    static let renewalDays: Int64 = 14
    private static let organization = "ZenRent Gateway development"

    package enum Outcome: Sendable, Hashable {
        case written
        /// A pair that is still valid for these hosts was there.
        case kept
    }

    /// Writes `ca.pem`, `fullchain.pem` and `privkey.pem` (0600), each replaced whole.
    ///
    /// A pair that somebody else issued is never replaced.
    /// - Parameters:
    ///   - hosts: DNS names and IP addresses the certificate is for.
    ///   - force: writes anew although a valid pair is there.
    /// - Throws: `CertificateError`, which names the file and the cure.
    @discardableResult
    package static func write(
        to directory: String, hosts: [String] = defaultHosts, force: Bool = false, now: Timestamp
    ) throws(CertificateError) -> Outcome {
        let alternativeNames = try subjectAlternativeNames(hosts)
        try checkReplaceable(directory)
        if !force, isStillGood(directory, hosts: hosts, now: now) { return .kept }
        let pair: Pair
        do {
            pair = try Pair(alternativeNames, now: now)
        } catch {
            throw CertificateError(directory, "no certificate could be made (\(error))", cure: "check the hosts")
        }
        // The key comes last: until it is there, the pair does not match, and the next run writes it anew.
        try CertificateStorage.replace(
            [
                (CertificateFiles.authorityName, pair.authority, 0o644),
                (CertificateFiles.chainName, pair.chain, 0o644),
                (CertificateFiles.keyName, pair.key, 0o600),
            ], in: directory)
        return .written
    }

    /// Whether this certificate is one of ours.
    static func issued(_ certificate: Certificate) -> Bool {
        certificate.issuer.contains { name in
            name.contains {
                $0.type == .RDNAttributeType.organizationName && String($0.value) == organization
            }
        }
    }

    private static func isStillGood(_ directory: String, hosts: [String], now: Timestamp) -> Bool {
        guard let files = try? CertificateFiles.load(directory, now: now),
            let authority = try? CertificateStorage.read("\(directory)/\(CertificateFiles.authorityName)"),
            let root = try? CertificateFiles.parseChain(authority.bytes, file: directory).first,
            let chain = try? CertificateStorage.read("\(directory)/\(CertificateFiles.chainName)"),
            let leaf = try? CertificateFiles.parseChain(chain.bytes, file: directory).first
        else { return false }
        let wanted = Set(hosts.map { HostAddress.bytes($0).flatMap(HostAddress.text) ?? $0 })
        return wanted.isSubset(of: files.names) && !files.expires(withinDays: renewalDays, of: now)
            && root.publicKey.isValidSignature(leaf.signature, for: leaf)
    }

    private static func checkReplaceable(_ directory: String) throws(CertificateError) {
        let path = "\(directory)/\(CertificateFiles.chainName)"
        let keyPath = "\(directory)/\(CertificateFiles.keyName)"
        let cure = "move it away, or set GATEWAY_CERTS_DIR to another directory"
        guard let file = try CertificateStorage.read(path) else {
            guard try CertificateStorage.read(keyPath) == nil else {
                throw CertificateError(keyPath, "stands without its certificate and may be precious", cure: cure)
            }
            return
        }
        guard let leaf = try? CertificateFiles.parseChain(file.bytes, file: path).first, issued(leaf) else {
            throw CertificateError(path, "is no development certificate and is left as it is", cure: cure)
        }
    }

    private static func subjectAlternativeNames(_ hosts: [String]) throws(CertificateError) -> [GeneralName] {
        guard !hosts.isEmpty else {
            throw CertificateError("certs dev", "no host was given", cure: "name at least one, such as localhost")
        }
        var names: [GeneralName] = []
        for host in hosts {
            if let address = HostAddress.bytes(host) {
                names.append(.ipAddress(ASN1OctetString(contentBytes: address[...])))
            } else if HostAddress.isName(host) {
                names.append(.dnsName(host))
            } else {
                throw CertificateError(
                    "certs dev", "\"\(host.prefix(64))\" is neither a DNS name nor an IP address",
                    cure: "write it as localhost, gateway.example or 127.0.0.1")
            }
        }
        return names
    }

    /// The texts of a fresh pair and its authority.
    private struct Pair {
        let authority: String
        let chain: String
        let key: String

        init(_ alternativeNames: [GeneralName], now: Timestamp) throws {
            // An hour of the past, for machines whose clocks differ.
            let begin = Date(timeIntervalSince1970: Double(now.advanced(bySeconds: -3_600).seconds))
            let end = Date(timeIntervalSince1970: Double(now.advanced(bySeconds: validityDays * 86_400).seconds))
            let authorityKey = Certificate.PrivateKey(P256.Signing.PrivateKey())
            let serial = Certificate.SerialNumber()
            let authorityName = try DistinguishedName {
                OrganizationName(organization)
                // Two authorities of one machine must not have one name: clients would try the wrong one.
                CommonName("development authority \(serial.description.prefix(11))")
            }
            let authorityIdentifier = SubjectKeyIdentifier(hash: authorityKey.publicKey)
            let root = try Certificate(
                version: .v3, serialNumber: serial, publicKey: authorityKey.publicKey, notValidBefore: begin,
                notValidAfter: end, issuer: authorityName, subject: authorityName,
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.isCertificateAuthority(maxPathLength: 0))
                    Critical(KeyUsage(keyCertSign: true))
                    authorityIdentifier
                }, issuerPrivateKey: authorityKey)
            let leafKey = P256.Signing.PrivateKey()
            let leafPublicKey = Certificate.PublicKey(leafKey.publicKey)
            let leaf = try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: leafPublicKey,
                notValidBefore: begin, notValidAfter: end, issuer: authorityName,
                subject: try DistinguishedName {
                    OrganizationName(organization)
                    CommonName("development server")
                },
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    Critical(KeyUsage(digitalSignature: true))
                    try ExtendedKeyUsage([.serverAuth])
                    SubjectAlternativeNames(alternativeNames)
                    SubjectKeyIdentifier(hash: leafPublicKey)
                    AuthorityKeyIdentifier(keyIdentifier: authorityIdentifier.keyIdentifier)
                }, issuerPrivateKey: authorityKey)
            authority = try root.serializeAsPEM().pemString + "\n"
            chain = try leaf.serializeAsPEM().pemString + "\n"
            key = leafKey.pemRepresentation + "\n"
        }
    }
}
