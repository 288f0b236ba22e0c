import Messaging
import Testing

@testable import Webhooks

@Suite struct WebhookHandshakeTests {
    private let handshake = WebhookHandshake(tokens: Secret.ring("token one, zwei&drei"))

    private func answer(_ query: String) throws(HandshakeFault) -> String {
        String(decoding: try handshake.answer(query: query.utf8), as: UTF8.self)
    }

    @Test(
        arguments: [
            (
                "hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=0123456789012345678901",
                "0123456789012345678901"
            ),
            ("hub.challenge=a%20b%2B%3C%26&hub.verify_token=zwei%26drei&hub.mode=subscribe", "a b+<&"),
            ("x=1&&hub%2emode=subscribe&hub.verify_token=token%20one&hub.challenge=%c3%a9&y", "é"),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=a=b==", "a=b=="),
            ("hub.mode=subscribe&hub.verify_token=token+one&x=1&x=2&hub.challenge=1", "1"),
        ])
    func `echoes the challenge exactly`(query: String, challenge: String) throws {
        #expect(try answer(query) == challenge)
    }

    @Test(
        arguments: [
            ("", .missing), ("hub.mode=subscribe&hub.verify_token=token+one", .missing),
            ("hub.mode=subscribe&hub.challenge=1", .missing), ("hub.verify_token=token+one&hub.challenge=1", .missing),
            ("hub_mode=subscribe&hub_verify_token=token+one&hub_challenge=1", .missing),
            ("hub.mode=subscribe&hub.verify_token=token&hub.challenge=1", .wrongToken),
            ("hub.mode=subscribe&hub.verify_token=token+one+&hub.challenge=1", .wrongToken),
            ("hub.mode=subscribe&hub.verify_token=Token+one&hub.challenge=1", .wrongToken),
            ("hub.mode=subscribe&hub.verify_token=&hub.challenge=1", .wrongToken),
            ("hub.mode=unsubscribe&hub.verify_token=token+one&hub.challenge=1", .wrongMode),
            ("hub.mode=Subscribe&hub.verify_token=token+one&hub.challenge=1", .wrongMode),
            ("hub.mode=subscribe&hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=1", .duplicated),
            ("hub.mode=subscribe&hub.verify_token=x&hub.verify_token=token+one&hub.challenge=1", .duplicated),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=1&hub.challenge=2", .duplicated),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=%", .malformed),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=%4", .malformed),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=%zz", .malformed),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=", .badChallenge),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=a%0D%0Ab", .badChallenge),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=a%00", .badChallenge),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=%c2%85", .badChallenge),
            ("hub.mode=subscribe&hub.verify_token=token+one&hub.challenge=%ff", .badChallenge),
        ] as [(String, HandshakeFault)])
    func `refuses everything else`(query: String, fault: HandshakeFault) {
        #expect(throws: fault) { try answer(query) }
    }

    @Test func `bounds the challenge at 300 characters after decoding`() throws {
        let query = "hub.mode=subscribe&hub.verify_token=token+one&hub.challenge="
        #expect(try answer(query + String(repeating: "%c3%a9", count: 300)).count == 300)
        #expect(throws: HandshakeFault.badChallenge) { try answer(query + String(repeating: "9", count: 301)) }
    }

    @Test func `lets nothing through without a token`() {
        let query = "hub.mode=subscribe&hub.verify_token=&hub.challenge=1"
        #expect(throws: HandshakeFault.wrongToken) { try WebhookHandshake(tokens: []).answer(query: query.utf8) }
    }
}
