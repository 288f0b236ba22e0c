import Crypto
public import Messaging

/// Answers the request with which Meta makes sure that a webhook address is ours: `hub.mode`, `hub.verify_token` and
/// `hub.challenge` in the query.
public struct WebhookHandshake: Sendable {
    /// Unicode scalars of a challenge after percent-decoding.
    public static let challengeLengthMax = 300

    /// Digests, so that the comparison's duration does not tell the token's length either.
    private let digests: [SHA256.Digest]

    /// - Parameter tokens: several may be in play at once, one for each overridden callback address. An empty ring lets
    ///   nothing through.
    public init(tokens: [Secret]) {
        digests = tokens.map { SHA256.hash(data: $0.utf8) }
    }

    /// The challenge to answer with, byte for byte, as `text/plain`.
    /// - Parameter query: what follows the question mark, undecoded. Other parameters are let be.
    public func answer(query: some Sequence<UInt8>) throws(HandshakeFault) -> [UInt8] {
        let parameters = try Parameters(query: Array(query))
        guard let mode = parameters.mode, let token = parameters.token, let challenge = parameters.challenge else {
            throw .missing
        }
        guard mode.elementsEqual("subscribe".utf8) else { throw .wrongMode }
        guard isKnown(token) else { throw .wrongToken }
        guard let text = String(validating: challenge, as: UTF8.self),
            (1...Self.challengeLengthMax).contains(text.unicodeScalars.count),
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { throw .badChallenge }
        return challenge
    }

    private func isKnown(_ token: [UInt8]) -> Bool {
        let claimed = SHA256.hash(data: token)
        var isKnown = false
        for digest in digests {
            let isEqual = digest.withUnsafeBytes { digest in
                claimed.withUnsafeBytes { ConstantTime.areEqual(digest, $0) }
            }
            isKnown = isKnown || isEqual
        }
        return isKnown
    }
}

/// Why a handshake is refused, always with 403. The raw value is a bounded label for metrics.
public enum HandshakeFault: String, Error, Sendable, CaseIterable {
    /// One of the three parameters is not there.
    case missing
    /// One of the three stands there twice.
    case duplicated
    /// A percent sign without two hex digits.
    case malformed
    /// A mode other than `subscribe`.
    case wrongMode = "wrong_mode"
    /// A token outside the ring.
    case wrongToken = "wrong_token"
    /// Empty, too long, not UTF-8, or with control characters.
    case badChallenge = "bad_challenge"
}

/// The three parameters of a handshake, percent-decoded.
private struct Parameters {
    var mode: [UInt8]?
    var token: [UInt8]?
    var challenge: [UInt8]?

    init(query: [UInt8]) throws(HandshakeFault) {
        for pair in query.split(separator: UInt8(ascii: "&")) {
            let equals = pair.firstIndex(of: UInt8(ascii: "=")) ?? pair.endIndex
            let name = try Self.decoded(pair[..<equals])
            let value = try Self.decoded(pair[equals...].dropFirst())
            switch String(decoding: name, as: UTF8.self) {
            case "hub.mode": try Self.set(&mode, value)
            case "hub.verify_token": try Self.set(&token, value)
            case "hub.challenge": try Self.set(&challenge, value)
            default: continue
            }
        }
    }

    private static func set(_ parameter: inout [UInt8]?, _ value: [UInt8]) throws(HandshakeFault) {
        guard parameter == nil else { throw .duplicated }
        parameter = value
    }

    /// Percent-decoding as forms do it: a plus sign is a space.
    private static func decoded(_ text: ArraySlice<UInt8>) throws(HandshakeFault) -> [UInt8] {
        var out: [UInt8] = []
        var position = text.startIndex
        while position < text.endIndex {
            switch text[position] {
            case UInt8(ascii: "+"): out.append(UInt8(ascii: " "))
            case UInt8(ascii: "%"):
                guard position + 2 < text.endIndex, let high = JSONText.hexValue(text[position + 1]),
                    let low = JSONText.hexValue(text[position + 2])
                else { throw .malformed }
                out.append(UInt8(high << 4 | low))
                position += 2
            case let byte: out.append(byte)
            }
            position += 1
        }
        return out
    }
}
