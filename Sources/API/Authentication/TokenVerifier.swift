package import Conversations
import Crypto
package import Messaging

/// Decides from a Supabase access token who asks.
///
/// The algorithm belongs to the key, not to the token: HS256 is only ever checked with the shared secret, ES256 and
/// RS256 only with a published key of that kind. Nothing of the claims is looked at before the signature is good.
package struct TokenVerifier: Sendable {
    /// What tokens must say.
    package struct Expectations: Sendable {
        /// The project's shared secret (legacy HS256 tokens); `nil` = HS256 is refused.
        package var secret: Secret?
        /// `iss`, as `https://<ref>.supabase.co/auth/v1`; `nil` = not compared.
        package var issuer: String?
        /// One of `aud`.
        package var audience: String
        /// The only role that may use the API.
        package var role: String
        /// How far the issuer's clock may be ahead of ours, for `nbf`. An expiry is taken at its word.
        package var clockSkewSeconds: Int64

        package init(
            secret: Secret?, issuer: String? = nil, audience: String = "authenticated", role: String = "authenticated",
            clockSkewSeconds: Int64 = 5
        ) {
            self.secret = secret
            self.issuer = issuer
            self.audience = audience
            self.role = role
            self.clockSkewSeconds = clockSkewSeconds
        }
    }

    private let expectations: Expectations
    private let publishedKeys: PublishedKeys?

    /// - Parameter publishedKeys: the project's JWKS; `nil` = ES256 and RS256 are refused.
    package init(expectations: Expectations, publishedKeys: PublishedKeys? = nil) {
        self.expectations = expectations
        self.publishedKeys = publishedKeys
    }

    /// Fetches the published keys ahead of the first request. Does not wait.
    package func prepare() { publishedKeys?.prepare() }

    package func verify(_ text: String, at now: Timestamp) async throws(TokenRefusal) -> Principal {
        let (subject, token) = try await prove(text, at: now)
        return Principal(userID: subject, claimsJSON: token.claimsText)
    }

    /// The same for somebody who runs the place.
    ///
    /// The role stands in `app_metadata`, which users cannot write; `user_metadata`, which they can, says nothing.
    package func verifyAdministrator(_ text: String, at now: Timestamp) async throws(TokenRefusal) -> Administrator {
        let (subject, token) = try await prove(text, at: now)
        guard token.claims["app_metadata"]?["gateway_role"] == .string(Administrator.role) else {
            throw .notAdministrator
        }
        return Administrator(userID: subject)
    }

    private func prove(
        _ text: String, at now: Timestamp
    ) async throws(TokenRefusal) -> (subject: UniqueID, token: CompactToken) {
        let token = try CompactToken(text)
        try await checkSignature(of: token)
        return (try checkClaims(token.claims, at: now), token)
    }

    private func checkSignature(of token: CompactToken) async throws(TokenRefusal) {
        switch token.algorithm {
        case "HS256":
            guard let secret = expectations.secret else { throw .unsupportedAlgorithm }
            let isGood = HMAC<SHA256>.isValidAuthenticationCode(
                token.signature, authenticating: token.signedBytes, using: SymmetricKey(data: secret.utf8))
            guard isGood else { throw .badSignature }
        case "ES256", "RS256":
            guard let publishedKeys else { throw .unsupportedAlgorithm }
            guard let id = token.keyID else { throw .unknownKey }
            switch await publishedKeys.key(id) {
            case .found(let key):
                guard key.algorithm == token.algorithm else { throw .unsupportedAlgorithm }
                guard key.verify(token.signature, over: token.signedBytes) else { throw .badSignature }
            case .unknown: throw .unknownKey
            case .unavailable: throw .keysUnavailable
            }
        default: throw .unsupportedAlgorithm
        }
    }

    private func checkClaims(_ claims: JSON, at now: Timestamp) throws(TokenRefusal) -> UniqueID {
        let seconds = Double(now.microseconds) / 1_000_000
        guard case .number(let expiry) = claims["exp"] else { throw .noExpiry }
        guard seconds < expiry else { throw .expired }
        switch claims["nbf"] {
        case nil: break
        case .number(let start):
            guard start <= seconds + Double(expectations.clockSkewSeconds) else { throw .notYetValid }
        default: throw .badClaims
        }
        if let issuer = expectations.issuer, claims["iss"] != .string(issuer) { throw .wrongIssuer }
        switch claims["aud"] {
        case .string(expectations.audience): break
        case .array(let audiences) where audiences.contains(.string(expectations.audience)): break
        default: throw .wrongAudience
        }
        guard let subject = claims["sub"]?.string.flatMap({ UniqueID($0) }) else { throw .noSubject }
        guard claims["role"] == .string(expectations.role) else { throw .wrongRole }
        return subject
    }
}
