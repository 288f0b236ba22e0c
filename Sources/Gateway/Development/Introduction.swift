import API
import Foundation
import Messaging

extension Development {
    /// What a newcomer reads when everything is up: where it listens, who is who, three things to try.
    static func introduction(
        _ ports: Gateway.Ports, sandboxPort: Int, _ configuration: GatewayConfiguration
    ) -> String {
        let landlord = SampleWorld.landlords[0]
        let authority = absolute(configuration.certificatesDirectory) + "/" + CertificateFiles.authorityName
        let api = "https://localhost:\(ports.api ?? 0)/api/conversations"
        let twin = "http://127.0.0.1:\(sandboxPort)/twin"
        let tenants = SampleWorld.listing.map { "  " + $0 }.joined(separator: "\n")
        let plain = #"curl -sw '\n'"#
        let curl = "\(plain) --cacert \(quoted(authority)) -H \"Authorization: Bearer $TOKEN\""
        return """

            ZenRent Gateway is up (development: sample data, secrets made up, Meta played by a twin)

              webhooks    https://localhost:\(ports.ingress)/api/webhooks/meta
              API         \(api)
              Meta twin   \(twin)/messages
              VPS twin    \(twin)/vps
              operations  http://127.0.0.1:\(ports.operations)/healthz /readyz /metrics

            Tenants of the sample data:
            \(tenants)

            Try, in another terminal:

            1. Tom writes to ZenRent's number:

            \(plain) \(twin)/send -H 'Content-Type: application/json' -d '{"from":"447911123456","text":"The boiler is out"}'

            2. \(landlord.name), his landlord, reads it (the token is hers, good for \(tokenHours) hours):

            TOKEN=\(token(of: landlord, configuration))
            sleep 1; \(curl) \(api)

            3. She answers; a second later the twin shows what Tom got:

            ID=$(\(curl) \(api) | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
            \(curl) -H 'Content-Type: application/json' -d '{"text":"A plumber comes at ten"}' \(api)/$ID/messages
            sleep 1; \(plain) \(twin)/messages

            Ctrl-C stops everything.

            """
    }

    private static let tokenHours: Int64 = 12

    private static func token(of landlord: SampleWorld.Landlord, _ configuration: GatewayConfiguration) -> String {
        guard let secret = configuration.supabase.secret else { preconditionFailure("development makes it up") }
        let now = SystemTime.now()
        return DevelopmentToken.make(
            user: landlord.id, secret: secret, issuedAt: now, expiry: now.advanced(bySeconds: tokenHours * 3600),
            issuer: configuration.supabase.issuer, audience: configuration.supabase.audience)
    }

    /// The terminal where it is tried may stand in another directory.
    private static func absolute(_ path: String) -> String { URL(fileURLWithPath: path).standardizedFileURL.path }

    /// For a shell, where it needs to be.
    private static func quoted(_ path: String) -> String {
        let isPlain = path.utf8.allSatisfy { byte in
            (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20) || (0x2D...0x39).contains(byte)
                || byte == 0x5F
        }
        return isPlain ? path : "'" + path.replacingOccurrences(of: "'", with: "'\\''") + "'"
    }
}
