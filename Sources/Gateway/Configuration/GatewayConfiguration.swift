package import Downstream
package import Ingress
package import Journal
package import Messaging
package import Webhooks

/// Everything the gateway is told before it starts.
package struct GatewayConfiguration: Sendable {
    package var databaseURL: Secret?
    package var dataDirectory: String
    package var bind: String
    package var ingressPort: Int
    package var apiPort: Int
    package var operationsPort: Int
    package var certificatesDirectory: String
    package var rulesDirectory: String
    package var journalLimits: JournalLimits
    package var acknowledgement: Acknowledgement
    /// Where every accepted webhook is passed on to as well.
    package var downstream: DownstreamConfiguration?
    /// The endpoints that rules may name.
    package var ruleDeliveries: RuleDeliverySettings
    package var ingressLimits: IngressLimits
    /// Event loops of the public listener; `nil` = one a core.
    package var eventLoops: Int?
    package var routePollSeconds: Int64
    /// Always more than `routePollSeconds`.
    package var routesStaleSeconds: Int64
    /// Digits, for numbers written in national form.
    package var defaultCountryCode: String
    /// Settings that are set and that nothing uses yet.
    package var unused: [SettingName]
    package var meta: MetaSettings
    package var vps: VPSSettings
    package var supabase: SupabaseSettings

    /// What must have happened to a webhook before it gets its 200.
    package enum Acknowledgement: Hashable, Sendable {
        /// The journal has synced it.
        case journal
        /// The database has committed it, too.
        case postgres(RecordingLimits)
    }

    /// The platform's own number, and how to reach Meta.
    package struct MetaSettings: Sendable {
        package var appSecrets: [Secret]
        package var verifyTokens: [Secret]
        package var graphURL: String
        package var graphTrustFile: String?
        package var version: String
        package var phoneNumberID: String?
        package var businessAccountID: String?
        package var accessToken: Secret?
    }

    /// The platform's session server: whose webhooks are taken, and which of its sessions are the platform's own.
    package struct VPSSettings: Sendable {
        /// Empty: the source is off, and its path is not there.
        package var webhookSecrets: [Secret]
        package var dialect: SignatureScheme
        /// Names; empty while the source is off.
        package var sessions: [String]

        package var isServed: Bool { !webhookSecrets.isEmpty }
    }

    /// How landlords' tokens are judged.
    package struct SupabaseSettings: Sendable {
        package var secret: Secret?
        package var keysURL: String?
        package var issuer: String?
        package var audience: String

        /// Without either nobody could be let in, and the API is not served.
        package var isConfigured: Bool { secret != nil || keysURL != nil }
    }

    package init(_ settings: SettingsReader) throws(SettingError) {
        databaseURL = try settings.secret(.databaseURL)
        dataDirectory = try settings.text(.dataDirectory) ?? "./var"
        bind = try settings.text(.bind) ?? "0.0.0.0"
        ingressPort = try settings.port(.ingressPort)
        apiPort = try settings.port(.apiPort)
        operationsPort = try settings.port(.operationsPort)
        certificatesDirectory = try settings.text(.certificatesDirectory) ?? "certs"
        rulesDirectory = try settings.rulesDirectory()
        journalLimits = try Self.journalLimits(settings)
        acknowledgement = try Self.acknowledgement(settings)
        ingressLimits = try Self.ingressLimits(settings)
        eventLoops = try settings.find(.eventLoops) == nil ? nil : try settings.count(.eventLoops, in: 1...256)
        routePollSeconds = try settings.seconds(.routePollInterval, in: 1...3600)
        routesStaleSeconds = try Self.routesStaleSeconds(settings, poll: routePollSeconds)
        defaultCountryCode = try settings.countryCode()
        unused = []
        for name in Self.reserved where try settings.find(name) != nil { unused.append(name) }
        meta = try Self.meta(settings)
        vps = try VPSSettings(settings)
        downstream = try Self.downstream(settings, vps: vps.dialect)
        ruleDeliveries = try RuleDeliverySettings(settings)
        supabase = SupabaseSettings(
            secret: try Self.signingSecret(settings), keysURL: try settings.text(.supabaseJWKSURL),
            issuer: try settings.text(.supabaseIssuer),
            audience: try settings.text(.supabaseAudience) ?? "authenticated")
        try Self.refuseSharedPorts(settings)
    }

    private static func refuseSharedPorts(_ settings: SettingsReader) throws(SettingError) {
        var taken: [Int: SettingName] = [:]
        for name in [SettingName.ingressPort, .apiPort, .operationsPort] {
            let port = try settings.port(name)
            guard port != 0, let other = taken.updateValue(name, forKey: port) else { continue }
            throw SettingError(name, "port \(port) is that of \(other.rawValue), too; choose another")
        }
    }

    private static func routesStaleSeconds(_ settings: SettingsReader, poll: Int64) throws(SettingError) -> Int64 {
        guard try settings.find(.routesStaleAfter) != nil else { return max(10, 5 * poll) }
        let seconds = try settings.seconds(.routesStaleAfter, in: 1...86_400)
        guard seconds > poll else {
            throw SettingError(
                .routesStaleAfter,
                "\(seconds)s is no more than GATEWAY_ROUTE_POLL_INTERVAL (\(poll)s): routes would be stale although they "
                    + "are followed; choose several times as much")
        }
        return seconds
    }

    private static func journalLimits(_ settings: SettingsReader) throws(SettingError) -> JournalLimits {
        JournalLimits(
            unconfirmedBytesMax: try settings.bytes(.journalMaxBytes, in: (1 << 20)...(1 << 50)),
            keepSeconds: try settings.seconds(.journalKeep, in: 0...(365 * 86_400)))
    }

    private static func ingressLimits(_ settings: SettingsReader) throws(SettingError) -> IngressLimits {
        var limits = IngressLimits()
        limits.bodyBytesMax = Int(try settings.bytes(.bodyMaxBytes, in: 1024...(64 << 20)))
        limits.headerBytesMax = Int(try settings.bytes(.headerMaxBytes, in: 1024...(1 << 20)))
        limits.targetBytesMax = Int(try settings.bytes(.targetMaxBytes, in: 256...(1 << 20)))
        limits.headSeconds = try settings.seconds(.headTimeout, in: 1...3600)
        limits.bodySeconds = try settings.seconds(.bodyTimeout, in: 1...3600)
        limits.idleSeconds = try settings.seconds(.idleTimeout, in: 1...86_400)
        limits.connectionsMax = try settings.count(.connectionsMax, in: 1...1_000_000)
        limits.bodyBytesInFlightMax = Int(try settings.bytes(.bodiesInFlightMaxBytes, in: (1 << 20)...(1 << 40)))
        return limits
    }

    private static func meta(_ settings: SettingsReader) throws(SettingError) -> MetaSettings {
        let secrets = try settings.ring(.metaAppSecret)
        guard !secrets.isEmpty else {
            throw SettingError(
                .metaAppSecret,
                "is not set; copy the app secret from the app's dashboard (Settings, Basic). "
                    + "Without it no webhook could be told from a forged one")
        }
        let tokens = try settings.ring(.metaVerifyToken)
        guard !tokens.isEmpty else {
            throw SettingError(
                .metaVerifyToken,
                "is not set; choose a random text and enter the same one in the dashboard's webhook settings")
        }
        return MetaSettings(
            appSecrets: secrets, verifyTokens: tokens, graphURL: try settings.text(.metaGraphURL) ?? "",
            graphTrustFile: try settings.text(.metaGraphTrustFile), version: try settings.text(.cloudAPIVersion) ?? "",
            phoneNumberID: try settings.text(.phoneNumberID), businessAccountID: try settings.text(.businessAccountID),
            accessToken: try settings.secret(.accessToken))
    }

    /// For parts of the product that are not there yet.
    private static let reserved: [SettingName] = [
        .metaAppID, .defaultTemplate, .vpsURL, .vpsAPIKey, .encryptionKey, .superAdminEmail,
    ]

    /// RFC 7518 wants a key as long as the hash; a shorter one can be guessed.
    private static func signingSecret(_ settings: SettingsReader) throws(SettingError) -> Secret? {
        guard let secret = try settings.secret(.supabaseJWTSecret) else { return nil }
        guard secret.utf8.count >= 32 else {
            throw SettingError(
                .supabaseJWTSecret, "has fewer than 32 bytes; copy the whole JWT secret from Supabase's settings")
        }
        return secret
    }

    private static func acknowledgement(_ settings: SettingsReader) throws(SettingError) -> Acknowledgement {
        // Longer than a drain gives an open request, nobody would hear the answer.
        let seconds = try settings.seconds(.acknowledgementTimeout, in: 1...10)
        let text = try settings.text(.acknowledgement) ?? "journal"
        switch text {
        case "journal": return .journal
        case "postgres": return .postgres(RecordingLimits(timeout: .seconds(seconds)))
        default:
            throw SettingError(
                .acknowledgement,
                "\"\(text.prefix(40))\" is not a policy; use journal (a webhook is acknowledged once it is synced to disk) "
                    + "or postgres (once the database has committed it as well)")
        }
    }

    private static func downstream(
        _ settings: SettingsReader, vps dialect: SignatureScheme
    ) throws(SettingError) -> DownstreamConfiguration? {
        guard let url = try settings.secret(.forwardURL) else { return nil }
        do {
            var downstream = try DownstreamConfiguration(url: url, userAgent: "zenrent-gateway")
            if dialect == .waha { downstream.companionHeaders[.vps] = ["X-Webhook-Hmac-Algorithm": "sha512"] }
            return downstream
        } catch {
            throw SettingError(.forwardURL, "\(error)")
        }
    }

    package var verification: WebhookVerification {
        WebhookVerification(
            meta: WebhookAuthenticator(scheme: .meta, secrets: meta.appSecrets),
            vps: vps.isServed ? WebhookAuthenticator(scheme: vps.dialect, secrets: vps.webhookSecrets) : nil,
            handshake: WebhookHandshake(tokens: meta.verifyTokens))
    }
}
