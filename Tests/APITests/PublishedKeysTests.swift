import Crypto
import Logging
import Messaging
import Synchronization
import Testing

@testable import API

@Suite struct PublishedKeysTests {
    static func jwk(_ key: P256.Signing.PrivateKey, id: String) -> JSON {
        let point = key.publicKey.rawRepresentation
        return [
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": .string(id),
            "x": .string(Base64URL.encode(point.prefix(32))), "y": .string(Base64URL.encode(point.suffix(32))),
        ]
    }

    /// A set that never changes.
    static func keys(_ items: [JSON]) async -> PublishedKeys {
        PublishedKeys(clock: { APIFixture.now }, logger: Logger(label: "test")) {
            (["keys": .array(items)] as JSON).bytes
        }
    }

    /// A JWKS address a test has in its hand: what it answers, how often it was asked, what time it is.
    private final class Address: Sendable {
        struct Away: Error {}
        struct State {
            var set: [JSON]? = []
            var fetches = 0
            var now = APIFixture.now
        }
        let state = Mutex(State())
        let log = LogLines()

        var fetches: Int { state.withLock { $0.fetches } }
        func publish(_ set: [JSON]?) { state.withLock { $0.set = set } }
        func wait(seconds: Int64) { state.withLock { $0.now = $0.now.advanced(bySeconds: seconds) } }

        func keys(gate: @escaping @Sendable (Int) async -> Void = { _ in }) -> PublishedKeys {
            PublishedKeys(
                keepSeconds: 600, refetchSeconds: 30, clock: { self.state.withLock { $0.now } },
                logger: Logger(label: "test") { _ in RecordingLogHandler(lines: self.log) }
            ) {
                let (number, set) = self.state.withLock { state in
                    state.fetches += 1
                    return (state.fetches, state.set)
                }
                await gate(number)
                guard let set else { throw Away() }
                return (["keys": .array(set)] as JSON).bytes
            }
        }
    }

    private static func isFound(_ lookup: PublishedKeys.Lookup) -> Bool {
        if case .found = lookup { true } else { false }
    }

    @Test("A key is fetched once and kept")
    func kept() async {
        let address = Address()
        address.publish([Self.jwk(P256.Signing.PrivateKey(), id: "k")])
        let keys = address.keys()
        for _ in 1...5 { #expect(Self.isFound(await keys.key("k"))) }
        #expect(address.fetches == 1)
    }

    @Test("Invented ids cause one fetch per interval, not one each")
    func unknownIDs() async {
        let address = Address()
        address.publish([Self.jwk(P256.Signing.PrivateKey(), id: "k")])
        let keys = address.keys()
        for number in 1...20 {
            guard case .unknown = await keys.key("invented \(number)") else { return #expect(Bool(false)) }
        }
        #expect(address.fetches == 1)
        address.wait(seconds: 29)
        _ = await keys.key("invented")
        #expect(address.fetches == 1)
        address.wait(seconds: 1)
        _ = await keys.key("invented")
        #expect(address.fetches == 2)
    }

    @Test("A key that was published after the last fetch is found by fetching again")
    func rotation() async {
        let address = Address()
        let old = Self.jwk(P256.Signing.PrivateKey(), id: "old")
        address.publish([old])
        let keys = address.keys()
        #expect(Self.isFound(await keys.key("old")))
        address.publish([old, Self.jwk(P256.Signing.PrivateKey(), id: "new")])
        address.wait(seconds: 30)
        #expect(Self.isFound(await keys.key("new")))
        #expect(address.fetches == 2)
    }

    @Test("A request with a known key does not wait for the refresh that its age starts", .timeLimit(.minutes(1)))
    func knownKeysDoNotWait() async {
        let address = Address()
        address.publish([Self.jwk(P256.Signing.PrivateKey(), id: "k")])
        let (release, releasing) = AsyncStream<Void>.makeStream()
        let (second, secondBegins) = AsyncStream<Void>.makeStream()
        let keys = address.keys { number in
            guard number > 1 else { return }
            secondBegins.finish()
            for await _ in release {}
        }
        #expect(Self.isFound(await keys.key("k")))
        address.wait(seconds: 600)
        #expect(Self.isFound(await keys.key("k")))
        for await _ in second {}
        #expect(Self.isFound(await keys.key("k")))
        #expect(address.fetches == 2)
        address.publish([])
        releasing.finish()
    }

    @Test("While the address is away, known keys stay good and the log says so")
    func away() async {
        let address = Address()
        address.publish([Self.jwk(P256.Signing.PrivateKey(), id: "k")])
        let keys = address.keys()
        #expect(Self.isFound(await keys.key("k")))
        address.publish(nil)
        address.wait(seconds: 7200)
        guard case .unknown = await keys.key("other") else { return #expect(Bool(false)) }
        #expect(address.fetches == 2)
        #expect(Self.isFound(await keys.key("k")))
        #expect(address.log.all.contains { $0.contains("signing keys not fetched") })
    }

    @Test("A key that is not published any more is forgotten with the next fetch")
    func revoked() async {
        let address = Address()
        address.publish([Self.jwk(P256.Signing.PrivateKey(), id: "k")])
        let keys = address.keys()
        #expect(Self.isFound(await keys.key("k")))
        address.publish([])
        address.wait(seconds: 30)
        _ = await keys.key("other")
        guard case .unknown = await keys.key("k") else { return #expect(Bool(false)) }
    }

    @Test("An address that never answered is told apart from a key that is not there")
    func neverThere() async {
        let address = Address()
        address.publish(nil)
        guard case .unavailable = await address.keys().key("k") else { return #expect(Bool(false)) }
    }

    @Test("Keys that are of no use are passed over, the others are taken")
    func mixedSet() async throws {
        let key = P256.Signing.PrivateKey()
        let good = Self.jwk(key, id: "good")
        func changed(_ name: String, _ value: JSON?, id: String) -> JSON {
            guard case .object(let members) = Self.jwk(key, id: id) else { return .null }
            let rest = members.filter { $0.name != name }
            return .object(rest + (value.map { [JSON.Member(name: name, value: $0)] } ?? []))
        }
        let set: JSON = [
            "keys": [
                ["kty": "oct", "kid": "secret", "k": "AAAA"],
                ["kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": "AAAA"], 7,
                changed("kid", nil, id: ""), changed("use", "enc", id: "enc"), changed("alg", "ES384", id: "alg"),
                changed("crv", "P-384", id: "crv"), changed("x", "AAAA", id: "short"), changed("y", nil, id: "half"),
                changed("alg", nil, id: "plain"), good,
            ]
        ]
        let keys = try await PublishedKey.keys(ofSet: set.bytes)
        #expect(keys.map(\.id) == ["plain", "good"])
        #expect(keys.map(\.algorithm) == ["ES256", "ES256"])
    }

    @Test("RS256 is checked with a published RSA key")
    func rs256() async throws {
        // RFC 7515, appendix A.2: the key, and a token signed with it.
        let modulus = """
            ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yR\
            T-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXB\
            dQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9ia\
            GNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ
            """
        let token = """
            eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19\
            yb290Ijp0cnVlfQ.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt\
            _O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb\
            1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI\
            8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw
            """
        let set: JSON = ["keys": [["kty": "RSA", "kid": "rsa", "n": .string(modulus), "e": "AQAB"]]]
        let key = try #require(await PublishedKey.keys(ofSet: set.bytes).first)
        #expect(key.algorithm == "RS256")
        let dot = try #require(token.lastIndex(of: "."))
        let signature = try #require(Base64URL.decode(token[token.index(after: dot)...].utf8))
        #expect(key.verify(signature, over: Array(token[..<dot].utf8)))
        #expect(!key.verify(signature, over: Array("\(token[..<dot])A".utf8)))
        #expect(!key.verify([], over: Array(token[..<dot].utf8)))
    }

    @Test("A set that is no set is an error", arguments: ["", "[]", "{}", #"{"keys":{}}"#, "<html>"])
    func notASet(text: String) async {
        await #expect(throws: JSONError.self) { try await PublishedKey.keys(ofSet: Array(text.utf8)) }
    }
}
