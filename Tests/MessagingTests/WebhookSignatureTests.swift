import Messaging
import Testing

@Suite struct WebhookSignatureTests {
    private static let digits = String(repeating: "ab", count: 32)

    @Test(
        "is kept as its value where the value stood in the usual header, else with the header's name",
        arguments: [
            (WebhookSignature.Header.hubSignature256, "sha256=", ""), (.webhookHMAC, "", ""),
            (.webhookHMAC, "sha256=", "X-Webhook-Hmac: "), (.hubSignature256, "", "X-Hub-Signature-256: "),
        ])
    func stored(header: WebhookSignature.Header, prefix: String, name: String) {
        let value = Array((prefix + Self.digits).utf8)
        let signature = WebhookSignature(header: header, value: value)
        #expect(signature.stored == Array(name.utf8) + value)
        #expect(WebhookSignature(stored: signature.stored) == signature)
    }
}
