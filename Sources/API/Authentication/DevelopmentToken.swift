import Conversations
import Crypto
package import Messaging

/// Makes tokens as Supabase would, for trying things out: signed with the shared secret (HS256).
package enum DevelopmentToken {
    /// - Parameters:
    ///   - user: whom the token speaks for: a landlord, or an administrator.
    ///   - isAdministrator: whether it lets its user into the administrators' part of the API.
    ///   - expiry: from then on it is refused.
    ///   - issuer: must equal the gateway's `SUPABASE_JWT_ISSUER` where that is set.
    package static func make(
        user: UniqueID, isAdministrator: Bool = false, secret: Secret, issuedAt: Timestamp, expiry: Timestamp,
        issuer: String? = nil, audience: String = "authenticated"
    ) -> String {
        let header: JSON = ["alg": "HS256", "typ": "JWT"]
        var claims: [JSON.Member] = []
        if let issuer { claims.append(JSON.Member(name: "iss", value: .string(issuer))) }
        claims += [
            JSON.Member(name: "sub", value: .string(user.description)),
            JSON.Member(name: "aud", value: .string(audience)),
            JSON.Member(name: "role", value: "authenticated"),
            JSON.Member(name: "iat", value: JSON(issuedAt.seconds)),
            JSON.Member(name: "exp", value: JSON(expiry.seconds)),
        ]
        if isAdministrator {
            claims.append(JSON.Member(name: "app_metadata", value: ["gateway_role": .string(Administrator.role)]))
        }
        let signed = Base64URL.encode(header.bytes) + "." + Base64URL.encode(JSON.object(claims).bytes)
        let code = HMAC<SHA256>.authenticationCode(for: Array(signed.utf8), using: SymmetricKey(data: secret.utf8))
        return signed + "." + Base64URL.encode(code)
    }
}
