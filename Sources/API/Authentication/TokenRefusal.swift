/// Why a token does not prove who asks.
///
/// The texts go into `WWW-Authenticate` and the problem document: they say what is wrong with the token, never what is
/// in it. What is wrong with the claims is told only to those whose signature is good.
package enum TokenRefusal: Error, Hashable, Sendable, CaseIterable {
    case missing
    case severalHeaders
    case notBearer
    case tooLong
    case malformed
    case unsupportedHeader
    case unsupportedAlgorithm
    case unknownKey
    case keysUnavailable
    case badSignature
    case badClaims
    case noExpiry
    case expired
    case notYetValid
    case wrongIssuer
    case wrongAudience
    case noSubject
    case wrongRole
    /// A good token of somebody who is no administrator.
    case notAdministrator

    /// For metrics and logs.
    package var metricLabel: String {
        switch self {
        case .missing: "missing"
        case .severalHeaders: "several-headers"
        case .notBearer: "not-bearer"
        case .tooLong: "too-long"
        case .malformed: "malformed"
        case .unsupportedHeader: "unsupported-header"
        case .unsupportedAlgorithm: "unsupported-algorithm"
        case .unknownKey: "unknown-key"
        case .keysUnavailable: "keys-unavailable"
        case .badSignature: "bad-signature"
        case .badClaims: "bad-claims"
        case .noExpiry: "no-expiry"
        case .expired: "expired"
        case .notYetValid: "not-yet-valid"
        case .wrongIssuer: "wrong-issuer"
        case .wrongAudience: "wrong-audience"
        case .noSubject: "no-subject"
        case .wrongRole: "wrong-role"
        case .notAdministrator: "not-administrator"
        }
    }

    /// One sentence for people; plain ASCII without quotes, for it stands in a quoted string of a header too.
    var explanation: String {
        switch self {
        case .missing: "The request has no Authorization header."
        case .severalHeaders: "The request has more than one Authorization header."
        case .notBearer: "The Authorization header is not of the form: Bearer, a space, a token."
        case .tooLong: "The token is longer than 8192 bytes."
        case .malformed: "The token is not a JSON Web Token: three parts of unpadded base64url with JSON inside."
        case .unsupportedHeader: "The token's header asks for an extension (crit, b64 or zip) that is not supported."
        case .unsupportedAlgorithm: "The token's algorithm is not one that is accepted here."
        case .unknownKey: "The token was signed with a key that the project does not publish."
        case .keysUnavailable: "The keys that tokens are signed with could not be fetched yet."
        case .badSignature: "The token's signature is wrong."
        case .badClaims: "A claim of the token has the wrong type."
        case .noExpiry: "The token has no exp claim that is a number."
        case .expired: "The token has expired."
        case .notYetValid: "The token is not valid yet."
        case .wrongIssuer: "The token was issued by somebody else."
        case .wrongAudience: "The token is meant for another audience."
        case .noSubject: "The token names no user: its sub claim is not a user id. API keys are not user tokens."
        case .wrongRole: "The token's role may not use this API; it must be authenticated."
        case .notAdministrator: "The token is not an administrator's: its app_metadata.gateway_role is not admin."
        }
    }
}
