import Crypto
public import Messaging

/// Decides whether a request body comes from somebody who knows a secret of the ring.
///
/// The code is computed over the bytes as received; a body decoded and encoded again would not match. Every secret of
/// the ring is tried, also after a match, and the comparison looks at every byte: the time taken tells nothing. Each
/// secret is keyed once, here; a request starts from a copy of that state (half the cost for a usual body).
public struct WebhookAuthenticator: Sendable {
    public let scheme: SignatureScheme
    private let ring: Ring

    private enum Ring: Sendable {
        case sha256([HMAC<SHA256>])
        case sha512([HMAC<SHA512>])
    }

    /// - Parameter secrets: their bytes are the key as they stand: Meta's app secret is a text of hex digits and is not
    ///   decoded. An empty ring lets nothing through.
    public init(scheme: SignatureScheme, secrets: [Secret]) {
        self.scheme = scheme
        let keys = secrets.map { SymmetricKey(data: $0.utf8) }
        switch scheme {
        case .meta, .sha256: ring = .sha256(keys.map { HMAC<SHA256>(key: $0) })
        case .waha: ring = .sha512(keys.map { HMAC<SHA512>(key: $0) })
        }
    }

    /// Returns if the signature is that of the body under a secret of the ring.
    /// - Parameters:
    ///   - header: what the request said. The hex digits may be of either case; nothing may stand around them.
    ///   - body: the whole body as received.
    public func verify(_ header: SignatureHeader, body: UnsafeRawBufferPointer) throws(SignatureFault) {
        switch header.occurrences {
        case 0: throw header.hasLegacy ? .sha1Only : .missing
        case 1: break
        default: throw .duplicated
        }
        let matches = try withUnsafeTemporaryAllocation(of: UInt8.self, capacity: scheme.codeLength) {
            claimed throws(SignatureFault) in
            guard decode(header.value, into: claimed) else { throw SignatureFault.malformed }
            let code = UnsafeRawBufferPointer(claimed)
            return switch ring {
            case .sha256(let keyed): Self.anyMatches(keyed, code: code, body: body)
            case .sha512(let keyed): Self.anyMatches(keyed, code: code, body: body)
            }
        }
        guard matches else { throw .mismatch }
    }

    private static func anyMatches<Hash: HashFunction>(
        _ ring: [HMAC<Hash>], code: UnsafeRawBufferPointer, body: UnsafeRawBufferPointer
    ) -> Bool {
        var matches = false
        for keyed in ring {
            var computation = keyed
            computation.update(data: body)
            let isEqual = computation.finalize().withUnsafeBytes { ConstantTime.areEqual($0, code) }
            matches = matches || isEqual
        }
        return matches
    }

    /// Reads the prefix and exactly as many hex digits as the code has.
    private func decode(_ value: [UInt8], into code: UnsafeMutableBufferPointer<UInt8>) -> Bool {
        let prefix = scheme.prefix
        let isBare = !scheme.needsPrefix && value.count == 2 * code.count
        let prefixLength = isBare ? 0 : prefix.utf8CodeUnitCount
        guard value.count == prefixLength + 2 * code.count else { return false }
        for offset in 0..<prefixLength where value[offset] != prefix.utf8Start[offset] { return false }
        for place in 0..<code.count {
            guard let high = JSONText.hexValue(value[prefixLength + 2 * place]),
                let low = JSONText.hexValue(value[prefixLength + 2 * place + 1])
            else { return false }
            code.initializeElement(at: place, to: UInt8(high << 4 | low))
        }
        return true
    }
}

/// Comparisons whose duration does not tell where two values differ.
enum ConstantTime {
    @inline(never)
    static func areEqual(_ a: UnsafeRawBufferPointer, _ b: UnsafeRawBufferPointer) -> Bool {
        guard a.count == b.count else { return false }
        var difference: UInt8 = 0
        for offset in 0..<a.count { difference |= a[offset] ^ b[offset] }
        return difference == 0
    }
}
