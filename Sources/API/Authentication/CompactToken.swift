/// A JSON Web Token in compact form (RFC 7515, section 7.1), taken apart but not yet believed.
struct CompactToken: Sendable {
    let algorithm: String
    let keyID: String?
    /// The claims as they were signed.
    let claims: JSON
    let claimsText: String
    let signature: [UInt8]
    /// What the signature is over: the first two parts with the dot between them.
    let signedBytes: [UInt8]

    init(_ text: String) throws(TokenRefusal) {
        let bytes = Array(text.utf8)
        let parts = bytes.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        guard parts.count == 3, let headerBytes = Base64URL.decode(parts[0]),
            let claimsBytes = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2]),
            let header = try? JSON(parsing: headerBytes), let claims = try? JSON(parsing: claimsBytes),
            case .object = header, case .object = claims, !claims.holdsNUL,
            let algorithm = header["alg"]?.string
        else { throw .malformed }
        // Extensions change what the parts mean: `crit` names those to be understood, and none is understood here.
        guard header["crit"] == nil, header["b64"] == nil, header["zip"] == nil else { throw .unsupportedHeader }
        switch header["kid"] {
        case nil: keyID = nil
        case .string(let id): keyID = id
        default: throw .malformed
        }
        self.algorithm = algorithm
        self.claims = claims
        self.claimsText = String(decoding: claimsBytes, as: UTF8.self)
        self.signature = signature
        self.signedBytes = Array(bytes[..<parts[1].endIndex])
    }
}
