import JWTKit

/// One public key of the project's JWKS, good for one algorithm.
struct PublishedKey: Sendable {
    let id: String
    /// `ES256` or `RS256`.
    let algorithm: String
    private let verifier: any JWTAlgorithm

    /// - Returns: `nil` for a key that is of no use here: without an id, not for signatures, of another kind, broken.
    init?(_ key: JSON) async {
        guard let id = key["kid"]?.string, key["use"] == nil || key["use"] == "sig" else { return nil }
        let identifier = JWKIdentifier(string: id)
        let jwk: JWK
        switch key["kty"]?.string {
        case "EC":
            guard key["crv"] == "P-256", let x = key["x"]?.string, let y = key["y"]?.string else { return nil }
            algorithm = "ES256"
            jwk = .ecdsa(.es256, identifier: identifier, x: x, y: y, curve: .p256)
        case "RSA":
            guard let modulus = key["n"]?.string, let exponent = key["e"]?.string else { return nil }
            algorithm = "RS256"
            jwk = .rsa(.rs256, identifier: identifier, modulus: modulus, exponent: exponent)
        default: return nil
        }
        guard key["alg"] == nil || key["alg"] == .string(algorithm),
            let verifier = try? await JWTKeyCollection().add(jwk: jwk).getKey(for: identifier, alg: algorithm),
            verifier.name == algorithm
        else { return nil }
        self.id = id
        self.verifier = verifier
    }

    func verify(_ signature: [UInt8], over bytes: [UInt8]) -> Bool {
        // A signature of the wrong form is thrown as an error; to us it is just wrong.
        (try? verifier.verify(signature, signs: bytes)) ?? false
    }

    /// The usable keys of a JWK set (RFC 7517, section 5); the others are passed over, as the RFC asks.
    static func keys(ofSet bytes: [UInt8]) async throws(JSONError) -> [PublishedKey] {
        guard case .array(let items) = try JSON(parsing: bytes)["keys"] else {
            throw JSONError(reason: "the set has no array named keys", offset: 0)
        }
        var keys: [PublishedKey] = []
        for item in items.prefix(countMax) {
            if let key = await PublishedKey(item) { keys.append(key) }
        }
        return keys
    }

    /// More keys than any project has at a time.
    private static let countMax = 64
}
