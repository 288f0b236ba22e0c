import API
import Foundation
import GraphAPI
package import Logging
package import Messaging
package import Operations
import Sandbox

/// Everything on one machine: a private PostgreSQL, certificates, sample data, the Meta twin and the gateway.
package enum Development {
    /// What development plays with when the settings say nothing else.
    package static let phoneNumberID = "106540352242922"
    package static let businessAccountID = "102290129340398"
    package static let displayNumber = "15550783881"
    private static let cloudVersion = "v24.0"

    /// Sets up, prints what to try, and serves until it is interrupted. Everything it started is stopped then.
    package static func run(
        overrides: [SettingName: String], configurationFile: String?, registry: PrometheusRegistry, logger: Logger,
        print: @Sendable (String) -> Void
    ) async throws {
        let settings = try await settings(overrides, configurationFile)
        let dataDirectory = try Directories.make(try settings.text(.dataDirectory) ?? "./var")
        let sandboxPort = try settings.port(.sandboxPort)
        let certificates = try settings.text(.certificatesDirectory) ?? "certs"
        try DevelopmentCertificates.write(to: certificates, now: SystemTime.now())
        try Ports.check(try [.ingressPort, .apiPort, .operationsPort, .sandboxPort].map { ($0, try settings.port($0)) })

        print("Starting the private PostgreSQL under \(dataDirectory) …")
        let database = try await PrivateDatabase.open(
            dataDirectory: dataDirectory, countryCode: try settings.text(.defaultCountryCode) ?? "44",
            samples: SampleWorld.sql, logger: logger)
        do {
            var configuration = try GatewayConfiguration(settings)
            configuration.databaseURL = database.url
            if configuration.meta.phoneNumberID == nil { configuration.meta.phoneNumberID = phoneNumberID }
            configuration.meta.graphURL = "http://127.0.0.1:\(sandboxPort)"
            let gateway = try await Gateway.prepare(configuration, registry: registry, logger: logger)
            let twin = try twin(configuration, sandboxPort: sandboxPort, ingressPort: gateway.ports.ingress, certificates, logger)
            introduce(gateway.ports, sandboxPort: sandboxPort, certificates, configuration, print: print)
            try await gateway.run(with: [twin])
        } catch {
            try? await database.stop()
            throw error
        }
        try await database.stop()
        print("Stopped: gateway, Meta twin and PostgreSQL.")
    }

    /// A landlord's token that the gateway of this data directory accepts.
    package static func token(landlord: UniqueID, hours: Int64, reader: SettingsReader) async throws -> String {
        let directory = try Directories.make((try reader.text(.dataDirectory) ?? "./var") + "/development")
        let secret = try reader.secret(.supabaseJWTSecret) ?? DevelopmentSecrets(directory: directory).secret("jwt-secret")
        let now = SystemTime.now()
        return DevelopmentToken.make(
            landlord: landlord, secret: secret, issuedAt: now, expiry: now.advanced(bySeconds: hours * 3600),
            issuer: try reader.text(.supabaseIssuer), audience: try reader.text(.supabaseAudience) ?? "authenticated")
    }

    /// The address of the private database under the data directory, if it runs there.
    package static func databaseURL(_ reader: SettingsReader) async throws -> Secret? {
        try await PrivateDatabase.address(dataDirectory: try reader.text(.dataDirectory) ?? "./var")
    }

    /// The usual settings, with what development makes up where nobody says otherwise.
    private static func settings(
        _ overrides: [SettingName: String], _ configurationFile: String?
    ) async throws -> SettingsReader {
        let given = try await SettingsReader(overrides: overrides, file: configurationFile)
        let directory = try Directories.make((try given.text(.dataDirectory) ?? "./var") + "/development")
        let secrets = DevelopmentSecrets(directory: directory)
        var values = overrides
        for (name, file) in [
            (SettingName.metaAppSecret, "app-secret"), (.metaVerifyToken, "verify-token"), (.accessToken, "access-token"),
            (.supabaseJWTSecret, "jwt-secret"),
        ] where try given.find(name) == nil {
            values[name] = try secrets.secret(file).reveal()
        }
        if values[.bind] == nil, try given.find(.bind)?.source == "default" { values[.bind] = "127.0.0.1" }
        return try await SettingsReader(overrides: values, file: configurationFile)
    }

    private static func twin(
        _ configuration: GatewayConfiguration, sandboxPort: Int, ingressPort: Int, _ certificates: String, _ logger: Logger
    ) throws -> MetaTwin {
        let phone = MetaPhone(
            accountID: configuration.meta.businessAccountID ?? businessAccountID,
            phoneNumberID: configuration.meta.phoneNumberID ?? phoneNumberID, displayNumber: displayNumber)
        guard let token = configuration.meta.accessToken, let secret = configuration.meta.appSecrets.first,
            let verifyToken = configuration.meta.verifyTokens.first
        else { preconditionFailure("development makes these up") }
        var twin = TwinConfiguration(
            port: sandboxPort, phones: [phone], appSecret: secret, accessToken: token, verifyToken: verifyToken,
            webhookURL: "https://localhost:\(ingressPort)/api/webhooks/meta",
            trustRootFile: certificates + "/" + CertificateFiles.authorityName)
        twin.window = .lenient
        return try MetaTwin(configuration: twin, logger: logger)
    }

    private static func introduce(
        _ ports: Gateway.Ports, sandboxPort: Int, _ certificates: String, _ configuration: GatewayConfiguration,
        print: (String) -> Void
    ) {
        guard let secret = configuration.supabase.secret else { return }
        let now = SystemTime.now()
        let landlord = SampleWorld.landlords[0]
        let token = DevelopmentToken.make(
            landlord: landlord.id, secret: secret, issuedAt: now, expiry: now.advanced(bySeconds: 12 * 3600),
            issuer: configuration.supabase.issuer, audience: configuration.supabase.audience)
        let authority = certificates + "/" + CertificateFiles.authorityName
        let api = "https://localhost:\(ports.api ?? 0)/api/conversations"
        let authorization = "-H 'Authorization: Bearer \(token)'"
        print(
            """

            ZenRent Gateway is up (development: sample data, secrets made up, Meta played by a twin)

              webhooks   https://localhost:\(ports.ingress)/api/webhooks/meta
              API        \(api)
              Meta twin  http://127.0.0.1:\(sandboxPort)/twin
              operations http://127.0.0.1:\(ports.operations)/healthz /readyz /metrics

            Tenants of the sample data:
            \(SampleWorld.listing.map { "  " + $0 }.joined(separator: "\n"))

            Try, in another terminal:

            1. Tom writes to ZenRent's number:
               curl -s http://127.0.0.1:\(sandboxPort)/twin/send -H 'Content-Type: application/json' -d '{"from":"447911123456","text":"The boiler is out"}'

            2. \(landlord.name), his landlord, reads it:
               curl -s --cacert \(authority) \(api) \(authorization)

            3. and answers; then the twin shows what Tom got:
               ID=$(curl -s --cacert \(authority) \(api) \(authorization) | grep -o '"id":"[^"]*"' | head -n 1 | cut -d '"' -f 4)
               curl -s --cacert \(authority) \(api)/$ID/messages \(authorization) -H 'Content-Type: application/json' -d '{"text":"A plumber comes at ten"}'
               curl -s http://127.0.0.1:\(sandboxPort)/twin/messages

            Ctrl-C stops everything.

            """)
    }
}
