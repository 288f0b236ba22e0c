import API
import Foundation
package import Logging
package import Messaging
import Operations
import Sandbox
import Webhooks

/// Everything on one machine: a private PostgreSQL, certificates, sample data, the Meta twin and the gateway.
package enum Development {
    /// What development plays with when the settings say nothing else.
    package static let phoneNumberID = "106540352242922"
    package static let businessAccountID = "102290129340398"
    package static let displayNumber = "15550783881"
    /// Of the session that the twin plays.
    package static let sessionNumber = "15550783882"

    /// Sets up, prints what to try, and serves until it is interrupted. Everything it started is stopped then.
    package static func run(
        overrides: [SettingName: String], configurationFile: String?, logger: Logger,
        print: @escaping @Sendable (String) -> Void
    ) async throws {
        let settings = try await settings(overrides, configurationFile)
        let dataDirectory = try Directories.make(try settings.text(.dataDirectory) ?? "./var")
        let sandboxPort = try settings.port(.sandboxPort)
        let configuration = try configuration(settings, sandboxPort: sandboxPort)
        try Ports.check(
            try [.ingressPort, .apiPort, .operationsPort, .sandboxPort].map { ($0, try settings.port($0)) })
        try DevelopmentCertificates.write(to: configuration.certificatesDirectory, now: SystemTime.now())

        let registry = Telemetry.bootstrapMetrics()
        print("Starting a PostgreSQL of its own for \(dataDirectory) …")
        do {
            try await PrivateDatabase.serving(
                dataDirectory: dataDirectory, countryCode: configuration.defaultCountryCode, samples: SampleWorld.sql,
                logger: logger
            ) { url in
                var configuration = configuration
                configuration.databaseURL = url
                return try await Gateway.prepare(configuration, registry: registry, logger: logger)
            } serve: { gateway in
                let twin = try twin(configuration, sandboxPort: sandboxPort, ingressPort: gateway.ports.ingress, logger)
                print(introduction(gateway.ports, sandboxPort: sandboxPort, configuration))
                try await gateway.run(with: [twin])
            }
        } catch is Interruption {
            return print("Interrupted before it was up; what had been started is stopped.")
        }
        print("Stopped: gateway, Meta twin and PostgreSQL.")
    }

    /// A token that the gateway of this data directory accepts: a landlord's, or an administrator's.
    package static func token(
        of user: UniqueID, isAdministrator: Bool = false, hours: Int64, reader: SettingsReader
    ) async throws -> String {
        let directory = try Directories.make((try reader.text(.dataDirectory) ?? "./var") + "/development")
        let secret =
            try reader.secret(.supabaseJWTSecret) ?? DevelopmentSecrets(directory: directory).secret("jwt-secret")
        let now = SystemTime.now()
        return DevelopmentToken.make(
            user: user, isAdministrator: isAdministrator, secret: secret, issuedAt: now,
            expiry: now.advanced(bySeconds: hours * 3600), issuer: try reader.text(.supabaseIssuer),
            audience: try reader.text(.supabaseAudience) ?? "authenticated")
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
            (SettingName.metaAppSecret, "app-secret"), (.metaVerifyToken, "verify-token"),
            (.accessToken, "access-token"),
            (.supabaseJWTSecret, "jwt-secret"), (.vpsWebhookSecret, "vps-webhook-secret"),
        ] where try given.find(name) == nil {
            values[name] = try secrets.secret(file).reveal()
        }
        if values[.bind] == nil, try given.find(.bind)?.source == "default" { values[.bind] = "127.0.0.1" }
        return try await SettingsReader(overrides: values, file: configurationFile)
    }

    /// Whatever the settings say, the database is a private one and Meta is the twin: nothing leaves this machine.
    private static func configuration(
        _ settings: SettingsReader, sandboxPort: Int
    ) throws(SettingError) -> GatewayConfiguration {
        var configuration = try GatewayConfiguration(settings)
        if configuration.meta.phoneNumberID == nil { configuration.meta.phoneNumberID = phoneNumberID }
        configuration.meta.graphURL = "http://127.0.0.1:\(sandboxPort)"
        return configuration
    }

    private static func twin(
        _ configuration: GatewayConfiguration, sandboxPort: Int, ingressPort: Int, _ logger: Logger
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
            trustRootFile: configuration.certificatesDirectory + "/" + CertificateFiles.authorityName)
        twin.window = .lenient
        twin.session = session(configuration.vps, ingressPort: ingressPort)
        return try MetaTwin(configuration: twin, logger: logger)
    }

    /// The first of the platform's sessions.
    private static func session(_ vps: GatewayConfiguration.VPSSettings, ingressPort: Int) -> TwinSession? {
        guard let secret = vps.webhookSecrets.first, let name = vps.sessions.first else { return nil }
        return TwinSession(
            name: name, number: sessionNumber, secret: secret, dialect: vps.dialect == .sha256 ? .sha256 : .waha,
            webhookURL: "https://localhost:\(ingressPort)/api/webhooks/vps")
    }
}
