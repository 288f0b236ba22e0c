import Crypto
package import Delivery
import Messaging

/// Posts what rules order to the endpoint they name: one JSON object, signed where there is a secret.
///
/// The receiver knows a repetition by `X-Zenrent-Delivery-Id`.
package struct RuleDeliveryForwarder: Forwarder {
    private let endpoints: DownstreamEndpoints
    private let client: DownstreamClient

    package init(_ endpoints: DownstreamEndpoints) {
        self.endpoints = endpoints
        client = DownstreamClient(
            endpoints.timing, userAgent: endpoints.userAgent, connectionsMax: max(1, endpoints.addresses.count))
    }

    package func forward(_ delivery: RuleDelivery) async -> ForwardOutcome {
        guard let address = endpoints.addresses[delivery.endpoint] else {
            return .unanswered("no setting defines this endpoint")
        }
        var headers = [(name: "X-Zenrent-Delivery-Id", value: "\(delivery.id)")]
        if let secret = endpoints.secret {
            headers.append(("X-Zenrent-Signature-256", "sha256=" + Self.signature(of: delivery.body, secret)))
        }
        return await client.post(delivery.body, to: address, headers: headers)
    }

    /// HMAC-SHA256 of the body as it is sent, in hexadecimal digits.
    private static func signature(of body: [UInt8], _ secret: Secret) -> String {
        let key = SymmetricKey(data: secret.utf8)
        let digits = Array("0123456789abcdef".utf8)
        let code = HMAC<SHA256>.authenticationCode(for: body, using: key)
        return String(decoding: code.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
    }
}
