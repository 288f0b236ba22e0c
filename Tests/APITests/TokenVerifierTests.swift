import Conversations
import Crypto
import Messaging
import Testing

@testable import API

@Suite struct TokenVerifierTests {
    private static let now = APIFixture.now
    private static func claims(_ changes: [String: String?] = [:]) -> String { HandmadeToken.claims(changes) }

    private func refusal(
        _ token: String, secret: Secret? = APIFixture.secret, issuer: String? = "https://ref.supabase.co/auth/v1",
        keys: PublishedKeys? = nil
    ) async -> TokenRefusal? {
        let verifier = TokenVerifier(expectations: .init(secret: secret, issuer: issuer), publishedKeys: keys)
        do {
            _ = try await verifier.verify(token, at: Self.now)
            return nil
        } catch {
            return error
        }
    }

    @Test("A good token gives the user and the claims as they were signed")
    func good() async throws {
        let claims = Self.claims(["app_metadata": #"{"tenant":"x"}"#])
        let verifier = TokenVerifier(expectations: .init(secret: APIFixture.secret))
        let principal = try await verifier.verify(HandmadeToken.hs256(claims: claims), at: Self.now)
        #expect(principal == Principal(userID: APIFixture.ada, claimsJSON: claims))
    }

    static let claimCases: [([String: String?], TokenRefusal?)] = [
        ([:], nil),
        (["aud": #"["other","authenticated"]"#], nil),
        (["exp": "\(now.seconds + 1).5"], nil),
        (["nbf": "\(now.seconds)"], nil),
        (["sub": #""AAAAAAAA-0000-4000-8000-000000000001""#], nil),
        (["exp": "\(now.seconds)"], .expired),
        (["exp": "\(now.seconds - 3600)"], .expired),
        (["exp": "-1"], .expired),
        (["exp": nil], .noExpiry),
        (["exp": #""\#(now.seconds + 60)""#], .noExpiry),
        (["exp": "null"], .noExpiry),
        (["exp": "true"], .noExpiry),
        (["exp": "1e999"], .malformed),
        (["nbf": "\(now.seconds + 60)"], .notYetValid),
        (["nbf": #""0""#], .badClaims),
        (["iss": nil], .wrongIssuer),
        (["iss": #""https://evil.example/auth/v1""#], .wrongIssuer),
        (["iss": #"["https://ref.supabase.co/auth/v1"]"#], .wrongIssuer),
        (["aud": nil], .wrongAudience),
        (["aud": #""other""#], .wrongAudience),
        (["aud": "[]"], .wrongAudience),
        (["aud": #"[["authenticated"]]"#], .wrongAudience),
        (["sub": nil], .noSubject),
        (["sub": nil, "role": #""anon""#], .noSubject),
        (["sub": nil, "role": #""service_role""#], .noSubject),
        (["sub": #""""#], .noSubject),
        (["sub": #""ada""#], .noSubject),
        (["sub": "7"], .noSubject),
        (["role": #""anon""#], .wrongRole),
        (["role": #""service_role""#], .wrongRole),
        (["role": nil], .wrongRole),
        (["role": #"["authenticated"]"#], .wrongRole),
        (["name": #""a\u0000b""#], .malformed),
        (["name": #""\ud800""#], .malformed),
    ]

    @Test("Each claim is held to what it must be", arguments: claimCases)
    func claims(changes: [String: String?], expected: TokenRefusal?) async {
        #expect(await refusal(HandmadeToken.hs256(claims: Self.claims(changes))) == expected)
    }

    static let headerCases: [(String, TokenRefusal?)] = [
        (#"{"alg":"HS256"}"#, nil),
        (#"{"alg":"HS256","kid":"any"}"#, nil),
        (#"{"alg":"none"}"#, .unsupportedAlgorithm),
        (#"{"alg":"None"}"#, .unsupportedAlgorithm),
        (#"{"alg":"hs256"}"#, .unsupportedAlgorithm),
        (#"{"alg":"HS512"}"#, .unsupportedAlgorithm),
        (#"{"alg":"ES256","kid":"k"}"#, .unsupportedAlgorithm),
        (#"{"alg":["HS256"]}"#, .malformed),
        (#"{}"#, .malformed),
        (#"[]"#, .malformed),
        (#"{"alg":"HS256","kid":7}"#, .malformed),
        (#"{"alg":"HS256","alg":"HS256"}"#, .malformed),
        (#"{"alg":"HS256","crit":["exp"]}"#, .unsupportedHeader),
        (#"{"alg":"HS256","crit":[]}"#, .unsupportedHeader),
        (#"{"alg":"HS256","zip":"DEF"}"#, .unsupportedHeader),
        (#"{"alg":"HS256","b64":false}"#, .unsupportedHeader),
    ]

    @Test("Each header is held to what is understood", arguments: headerCases)
    func headers(header: String, expected: TokenRefusal?) async {
        #expect(await refusal(HandmadeToken.hs256(header: header, claims: Self.claims())) == expected)
    }

    @Test("Claims that occur twice are refused, whichever would win")
    func duplicateClaims() async {
        let twice = Self.claims().dropLast() + #","sub":"\#(APIFixture.ben)"}"#
        #expect(await refusal(HandmadeToken.hs256(claims: String(twice))) == .malformed)
        let escaped = Self.claims().dropLast() + #","s\u0075b":"\#(APIFixture.ben)"}"#
        #expect(await refusal(HandmadeToken.hs256(claims: String(escaped))) == .malformed)
    }

    @Test("A signature is taken in one spelling, and only if it is right")
    func signature() async {
        let good = HandmadeToken.hs256(claims: Self.claims())
        let dot = good.lastIndex(of: ".")!
        #expect(await refusal(good) == nil)
        #expect(await refusal(good + "=") == .malformed)
        #expect(await refusal(good + "==") == .malformed)
        #expect(await refusal(String(good[...dot])) == .badSignature)
        #expect(await refusal(String(good[..<dot])) == .malformed)
        #expect(await refusal(good + ".") == .malformed)
        #expect(await refusal("." + good) == .malformed)
        #expect(await refusal("") == .malformed)
        #expect(await refusal("..") == .malformed)
        #expect(await refusal(String(good.dropLast(3))) == .badSignature)
        let other = Secret("another-secret-of-more-than-thirty-two-characters")!
        #expect(await refusal(HandmadeToken.hs256(claims: Self.claims(), secret: other)) == .badSignature)
        let spaced = HandmadeToken.hs256(claims: Self.claims()).replacing(".", with: " .")
        #expect(await refusal(spaced) == .malformed)
    }

    @Test("Changed claims do not fit the signature, and are not looked at")
    func tampered() async {
        let parts = HandmadeToken.hs256(claims: Self.claims(["exp": "1"])).split(separator: ".")
        let claims = Base64URL.encode(Self.claims(["exp": "2"]).utf8)
        #expect(await refusal("\(parts[0]).\(claims).\(parts[2])") == .badSignature)
    }

    @Test("Without a secret HS256 is refused, whatever it is signed with")
    func noSecret() async {
        #expect(await refusal(HandmadeToken.hs256(claims: Self.claims()), secret: nil) == .unsupportedAlgorithm)
    }

    @Test("A public key is no HMAC secret: the algorithm belongs to the key")
    func algorithmConfusion() async throws {
        let key = P256.Signing.PrivateKey()
        let keys = await PublishedKeysTests.keys([PublishedKeysTests.jwk(key, id: "k1")])
        for secret in [
            key.publicKey.pemRepresentation,
            String(decoding: PublishedKeysTests.jwk(key, id: "k1").bytes, as: UTF8.self),
        ] {
            let token = HandmadeToken.hs256(
                header: #"{"alg":"HS256","kid":"k1"}"#, claims: Self.claims(), secret: Secret(secret)!)
            #expect(await refusal(token, secret: nil, keys: keys) == .unsupportedAlgorithm)
            #expect(await refusal(token, keys: keys) == .badSignature)
        }
        let asRSA = try HandmadeToken.es256(key: key, id: "k1", alg: "RS256", claims: Self.claims())
        #expect(await refusal(asRSA, keys: keys) == .unsupportedAlgorithm)
    }

    @Test("ES256 is checked with the published key of that id")
    func es256() async throws {
        let key = P256.Signing.PrivateKey()
        let keys = await PublishedKeysTests.keys([PublishedKeysTests.jwk(key, id: "k1")])
        let good = try HandmadeToken.es256(key: key, id: "k1", claims: Self.claims())
        #expect(await refusal(good, keys: keys) == nil)
        #expect(await refusal(good, secret: nil, keys: keys) == nil)
        let unknown = try HandmadeToken.es256(key: key, id: "k2", claims: Self.claims())
        #expect(await refusal(unknown, keys: keys) == .unknownKey)
        let nameless = try HandmadeToken.es256(key: key, id: nil, claims: Self.claims())
        #expect(await refusal(nameless, keys: keys) == .unknownKey)
        let forged = try HandmadeToken.es256(key: P256.Signing.PrivateKey(), id: "k1", claims: Self.claims())
        #expect(await refusal(forged, keys: keys) == .badSignature)
        let signed = good.split(separator: ".")[0...1].joined(separator: ".")
        let der = try key.signature(for: Array(signed.utf8)).derRepresentation
        #expect(await refusal(signed + "." + Base64URL.encode(der), keys: keys) == .badSignature)
        let zeros = [UInt8](repeating: 0, count: 64)
        #expect(await refusal(signed + "." + Base64URL.encode(zeros), keys: keys) == .badSignature)
    }

    @Test("The development token is one the gateway takes")
    func developmentToken() async throws {
        let token = DevelopmentToken.make(
            user: APIFixture.ben, secret: APIFixture.secret, issuedAt: Self.now,
            expiry: Self.now.advanced(bySeconds: 60), issuer: "https://ref.supabase.co/auth/v1")
        #expect(await refusal(token) == nil)
        let verifier = TokenVerifier(expectations: .init(secret: APIFixture.secret))
        #expect(try await verifier.verify(token, at: Self.now).userID == APIFixture.ben)
        await #expect(throws: TokenRefusal.expired) {
            try await verifier.verify(token, at: Self.now.advanced(bySeconds: 60))
        }
    }

    static let administratorCases: [(String?, TokenRefusal?)] = [
        (#"{"gateway_role":"admin","provider":"email"}"#, nil),
        (nil, .notAdministrator),
        ("null", .notAdministrator),
        ("{}", .notAdministrator),
        (#""admin""#, .notAdministrator),
        (#"{"gateway_role":"Admin"}"#, .notAdministrator),
        (#"{"gateway_role":["admin"]}"#, .notAdministrator),
        (#"{"gateway_role":true}"#, .notAdministrator),
        (#"{"role":"admin"}"#, .notAdministrator),
    ]

    @Test("An administrator is whom app_metadata names one", arguments: administratorCases)
    func administrator(metadata: String?, refusal: TokenRefusal?) async throws {
        let claims = Self.claims(["app_metadata": metadata, "user_metadata": #"{"gateway_role":"admin"}"#])
        let verifier = TokenVerifier(expectations: .init(secret: APIFixture.secret))
        do throws(TokenRefusal) {
            let administrator = try await verifier.verifyAdministrator(
                HandmadeToken.hs256(claims: claims), at: Self.now)
            #expect(refusal == nil && administrator.userID == APIFixture.ada)
        } catch {
            #expect(error == refusal)
        }
    }

    @Test("An administrator's token is proven like any other", arguments: [("exp", "1"), ("role", #""anon""#)])
    func administratorClaims(name: String, value: String) async throws {
        let claims = Self.claims(["app_metadata": #"{"gateway_role":"admin"}"#, name: value])
        let verifier = TokenVerifier(expectations: .init(secret: APIFixture.secret))
        let token = HandmadeToken.hs256(claims: claims)
        await #expect(throws: name == "exp" ? TokenRefusal.expired : .wrongRole) {
            try await verifier.verifyAdministrator(token, at: Self.now)
        }
        let forged = HandmadeToken.hs256(
            claims: claims, secret: Secret.ring("another-secret-of-32-characters-or-so")[0])
        await #expect(throws: TokenRefusal.badSignature) {
            try await verifier.verifyAdministrator(forged, at: Self.now)
        }
    }

    @Test("Explanations fit into a quoted header string", arguments: TokenRefusal.allCases)
    func explanations(refusal: TokenRefusal) {
        #expect(refusal.explanation.utf8.allSatisfy { (0x20...0x7E).contains($0) && $0 != 0x22 && $0 != 0x5C })
    }
}
