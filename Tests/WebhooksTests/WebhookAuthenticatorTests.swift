import Crypto
import Messaging
import Testing

@testable import Webhooks

@Suite struct WebhookAuthenticatorTests {
    private static let secrets = Secret.ring("zr-demo-app-secret")
    private static let emptyObject = "8dfe638e1d2499b097abf5dc7c9765bb196a570f772b4f252ed6e4d394fc5abe"

    private func verify(
        _ fields: [String], body: String, scheme: SignatureScheme = .meta, secrets: [Secret] = secrets,
        legacy: Bool = false
    ) throws {
        var header = SignatureHeader()
        for field in fields { header.add(field.utf8) }
        header.hasLegacy = legacy
        let bytes = Array(body.utf8)
        let authenticator = WebhookAuthenticator(scheme: scheme, secrets: secrets)
        try bytes.withUnsafeBytes { try authenticator.verify(header, body: $0) }
    }

    @Test(
        arguments: [
            ("{}", emptyObject),
            (#"{"t":"\u00e9\ud83d\ude00"}"#, "1f90355c537beab8fad9f04723969e7713071f0d4a74645988c3e2ec75632a30"),
            (#"{"t":"é😀"}"#, "2323ddab23018d9b31180b543fa08026dc666b494e2267489a19458b3c3bb87e"),
            (#"{"u":"https:\/\/x.example\/a"}"#, "148f8e96a79ba9d50b2071982ae840f43f43b69d5a57e09b4342cd297a5d3dde"),
        ])
    func `takes Meta's signature over the bytes as they are`(body: String, hex: String) throws {
        try verify(["sha256=" + hex], body: body)
        #expect(throws: SignatureFault.mismatch) { try verify(["sha256=" + hex], body: body + " ") }
    }

    @Test func `takes hex digits of either case`() throws {
        try verify(["sha256=" + Self.emptyObject.uppercased()], body: "{}")
    }

    @Test func `takes WAHA's HMAC-SHA512`() throws {
        let hex =
            "7bdc802369468b8e8df5ad52c3ccc483ad40b40eadf9763f43325019db162df6"
            + "a8f37620bf4df78660d210accd05dd1c87b1d05fac3eade55e6142163fa81b97"
        let secrets = Secret.ring("zr-demo-vps-key")
        let body = #"{"event":"session.status"}"#
        try verify([hex], body: body, scheme: .waha, secrets: secrets)
        #expect(throws: SignatureFault.mismatch) { try verify([hex], body: "{}", scheme: .waha, secrets: secrets) }
        #expect(throws: SignatureFault.malformed) { try verify([hex], body: body, scheme: .sha256, secrets: secrets) }
    }

    @Test func `takes a bare HMAC-SHA256 in its own scheme only`() throws {
        try verify([Self.emptyObject], body: "{}", scheme: .sha256)
        try verify(["sha256=" + Self.emptyObject], body: "{}", scheme: .sha256)
        #expect(throws: SignatureFault.malformed) { try verify([Self.emptyObject], body: "{}") }
        #expect(throws: SignatureFault.malformed) {
            try verify(["sha512=" + Self.emptyObject], body: "{}", scheme: .sha256)
        }
    }

    private static let short = String(emptyObject.dropLast())

    @Test(
        arguments: [
            "", "sha256=", emptyObject, "sha256=\(short)", "sha256=\(emptyObject)0", "SHA256=\(emptyObject)",
            "sha1=b2d2a68c006e060cbaf428efbfe397c857389e81", " sha256=\(emptyObject)", "sha256= \(short)",
            "sha256=\(short)g",
            "sha512=\(emptyObject)", "sha256=\(short)\u{FF11}", "sha256:\(emptyObject)", "sha256=\"\(emptyObject)\"",
        ] as [String])
    func `refuses a malformed header`(field: String) {
        #expect(throws: SignatureFault.malformed) { try verify([field], body: "{}") }
    }

    @Test func `refuses a missing header, and says if only SHA-1 was there`() {
        #expect(throws: SignatureFault.missing) { try verify([], body: "{}") }
        #expect(throws: SignatureFault.sha1Only) { try verify([], body: "{}", legacy: true) }
    }

    @Test func `refuses two headers, even two right ones`() {
        let right = "sha256=" + Self.emptyObject
        #expect(throws: SignatureFault.duplicated) { try verify([right, right], body: "{}") }
    }

    @Test func `refuses a wrong code, whichever digit is wrong`() {
        for place in 0..<64 {
            var digits = Array(Self.emptyObject)
            digits[place] = digits[place] == "0" ? "1" : "0"
            #expect(throws: SignatureFault.mismatch) { try verify(["sha256=" + String(digits)], body: "{}") }
        }
    }

    @Test func `takes any secret of the ring`() throws {
        let others = Secret.ring("one,two")
        for ring in [Self.secrets + others, others + Self.secrets, others[...0] + Self.secrets + others[1...]] {
            try verify(["sha256=" + Self.emptyObject], body: "{}", secrets: ring)
        }
        #expect(throws: SignatureFault.mismatch) {
            try verify(["sha256=" + Self.emptyObject], body: "{}", secrets: others)
        }
    }

    @Test func `lets nothing through without a secret`() {
        #expect(throws: SignatureFault.mismatch) { try verify(["sha256=" + Self.emptyObject], body: "{}", secrets: []) }
    }

    @Test func `one authenticator serves many bodies of any length`() throws {
        let authenticator = WebhookAuthenticator(scheme: .meta, secrets: Self.secrets)
        let key = SymmetricKey(data: Self.secrets[0].utf8)
        for length in [0, 1, 55, 56, 63, 64, 65, 700, 4096, 1 << 20] {
            let body = [UInt8](repeating: UInt8(truncatingIfNeeded: length), count: length)
            let code = HMAC<SHA256>.authenticationCode(for: body, using: key)
            var header = SignatureHeader()
            let digits = code.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
            header.add("sha256=\(digits.joined())".utf8)
            try body.withUnsafeBytes { try authenticator.verify(header, body: $0) }
        }
    }
}
