/// Every setting there is, by the name it has in the environment. In a file the words of the name are nested keys:
/// `GATEWAY_INGRESS_PORT` is `{"gateway": {"ingress": {"port": 8443}}}`.
package enum SettingName: String, CaseIterable, Sendable {
    case databaseURL = "DATABASE_URL"
    case migrateDatabaseURL = "MIGRATE_DATABASE_URL"
    case dataDirectory = "GATEWAY_DATA_DIR"
    case ingressPort = "GATEWAY_INGRESS_PORT"
    case apiPort = "GATEWAY_API_PORT"
    case operationsPort = "GATEWAY_OPS_PORT"
    case bind = "GATEWAY_BIND"
    case certificatesDirectory = "GATEWAY_CERTS_DIR"
    case rulesDirectory = "GATEWAY_RULES_DIR"
    case acknowledgement = "GATEWAY_ACK"
    case acknowledgementTimeout = "GATEWAY_ACK_TIMEOUT"
    case journalKeep = "GATEWAY_JOURNAL_KEEP"
    case journalMaxBytes = "GATEWAY_JOURNAL_MAX_BYTES"
    case forwardURL = "GATEWAY_FORWARD_URL"
    case downstreams = "GATEWAY_DOWNSTREAMS"
    case downstreamSecret = "GATEWAY_DOWNSTREAM_SECRET"
    case notify = "GATEWAY_NOTIFY"
    case defaultCountryCode = "GATEWAY_DEFAULT_COUNTRY_CODE"
    case logLevel = "GATEWAY_LOG_LEVEL"
    case eventLoops = "GATEWAY_EVENT_LOOPS"
    case bodyMaxBytes = "GATEWAY_BODY_MAX_BYTES"
    case headerMaxBytes = "GATEWAY_HEADER_MAX_BYTES"
    case targetMaxBytes = "GATEWAY_TARGET_MAX_BYTES"
    case headTimeout = "GATEWAY_HEAD_TIMEOUT"
    case bodyTimeout = "GATEWAY_BODY_TIMEOUT"
    case idleTimeout = "GATEWAY_IDLE_TIMEOUT"
    case connectionsMax = "GATEWAY_CONNECTIONS_MAX"
    case bodiesInFlightMaxBytes = "GATEWAY_BODIES_IN_FLIGHT_MAX_BYTES"
    case routePollInterval = "GATEWAY_ROUTE_POLL_INTERVAL"
    case routesStaleAfter = "GATEWAY_ROUTES_STALE_AFTER"
    case metaAppID = "META_APP_ID"
    case metaAppSecret = "META_APP_SECRET"
    case metaVerifyToken = "META_WEBHOOK_VERIFY_TOKEN"
    case metaGraphURL = "META_GRAPH_URL"
    case metaGraphTrustFile = "META_GRAPH_TRUST_FILE"
    case cloudAPIVersion = "WHATSAPP_CLOUD_API_VERSION"
    case phoneNumberID = "WHATSAPP_PHONE_NUMBER_ID"
    case businessAccountID = "WHATSAPP_BUSINESS_ACCOUNT_ID"
    case accessToken = "WHATSAPP_ACCESS_TOKEN"
    case defaultTemplate = "WHATSAPP_DEFAULT_TEMPLATE_NAME"
    case vpsURL = "VPS_URL"
    case vpsAPIKey = "VPS_API_KEY"
    case vpsWebhookSecret = "VPS_WEBHOOK_SECRET"
    case vpsWebhookDialect = "VPS_WEBHOOK_DIALECT"
    case vpsSessions = "VPS_SESSIONS"
    case supabaseJWTSecret = "SUPABASE_JWT_SECRET"
    case supabaseJWKSURL = "SUPABASE_JWKS_URL"
    case supabaseIssuer = "SUPABASE_JWT_ISSUER"
    case supabaseAudience = "SUPABASE_JWT_AUDIENCE"
    case sandboxPort = "SANDBOX_PORT"
    case encryptionKey = "ENCRYPTION_KEY"
    case superAdminEmail = "SUPER_ADMIN_EMAIL"

    /// Never printed. Each may also be read from a file that only its owner can read: `<NAME>_FILE`.
    package var isSecret: Bool {
        switch self {
        case .databaseURL, .migrateDatabaseURL, .metaAppSecret, .metaVerifyToken, .accessToken, .vpsAPIKey,
            .vpsWebhookSecret, .supabaseJWTSecret, .encryptionKey, .forwardURL,
            .downstreams, .downstreamSecret:
            true
        default: false
        }
    }

    /// What holds when nobody says otherwise.
    package var defaultValue: String? {
        switch self {
        case .dataDirectory: "./var"
        case .ingressPort: "8443"
        case .apiPort: "8444"
        case .operationsPort: "9464"
        case .bind: "0.0.0.0"
        case .certificatesDirectory: "certs"
        case .rulesDirectory: "routing-rules"
        case .acknowledgement: "journal"
        case .acknowledgementTimeout: "5s"
        case .journalKeep: "24h"
        case .journalMaxBytes: "8GiB"
        case .defaultCountryCode: "44"
        case .logLevel: "info"
        case .bodyMaxBytes: "4MiB"
        case .headerMaxBytes: "32KiB"
        case .targetMaxBytes: "8KiB"
        case .headTimeout: "10s"
        case .bodyTimeout: "15s"
        case .idleTimeout: "60s"
        case .connectionsMax: "16384"
        case .bodiesInFlightMaxBytes: "128MiB"
        case .routePollInterval: "2s"
        case .metaGraphURL: "https://graph.facebook.com"
        case .cloudAPIVersion: "v24.0"
        case .vpsWebhookDialect: "waha"
        case .vpsSessions: "default"
        case .supabaseAudience: "authenticated"
        case .sandboxPort: "8445"
        default: nil
        }
    }

    /// The nested key in a configuration file.
    var components: [String] { rawValue.lowercased().split(separator: "_").map(String.init) }
}

/// A setting that cannot be used: which one, what is wrong with it, what to do.
package struct SettingError: Error, Hashable, Sendable, CustomStringConvertible {
    package let name: SettingName
    package let problem: String

    package init(_ name: SettingName, _ problem: String) {
        self.name = name
        self.problem = problem
    }

    package var description: String { "\(name.rawValue): \(problem)" }
}
