import Ingress
import Journal
import Messaging
import Testing

@testable import Gateway

@Suite struct GatewayConfigurationTests {
    static let least = ["META_APP_SECRET": "secret", "META_WEBHOOK_VERIFY_TOKEN": "token"]

    private static func configuration(_ environment: [String: String]) async throws -> GatewayConfiguration {
        try GatewayConfiguration(
            try await SettingsReader(environment: least.merging(environment) { _, given in given }))
    }

    @Test("wants the app secret and the verify token, and has a default for the rest")
    func least() async throws {
        let configuration = try await Self.configuration([:])
        #expect(configuration.databaseURL == nil)
        #expect(
            [configuration.ingressPort, configuration.apiPort, configuration.operationsPort] == [8443, 8444, 9464])
        #expect(configuration.ingressLimits.bodyBytesMax == 4 << 20)
        #expect(configuration.ingressLimits.headerBytesMax == 32 << 10)
        #expect(configuration.ingressLimits.targetBytesMax == 8 << 10)
        #expect(configuration.journalLimits.unconfirmedBytesMax == 8 << 30)
        #expect(configuration.journalLimits.keepSeconds == 86_400)
        #expect(!configuration.supabase.isConfigured)
        #expect(configuration.unused.isEmpty)
        #expect(configuration.routePollSeconds == 2 && configuration.routesStaleSeconds == 10)
        #expect(!configuration.vps.isServed && configuration.vps.sessions.isEmpty)
    }

    @Test("serves the session server once there is a secret, by either dialect, for the sessions that are named")
    func vps() async throws {
        let least = try await Self.configuration(["VPS_WEBHOOK_SECRET": " s "]).vps
        #expect(least.isServed && least.webhookSecrets == Secret.ring("s"))
        #expect("\(least.dialect)" == "waha" && least.sessions == ["default"])
        let more = try await Self.configuration([
            "VPS_WEBHOOK_SECRET": "s", "VPS_WEBHOOK_DIALECT": "sha256", "VPS_SESSIONS": " one ,two,, one",
        ])
        #expect("\(more.vps.dialect)" == "sha256" && more.vps.sessions == ["one", "two"])
        #expect(more.unused.isEmpty)
        // Without a secret nothing else switches it on.
        let off = try await Self.configuration(["VPS_WEBHOOK_DIALECT": "sha256", "VPS_SESSIONS": "one"]).vps
        #expect(!off.isServed && off.sessions.isEmpty)
    }

    @Test(
        "takes the session server's key whole, and for a ring as well where no part of it is short",
        arguments: [
            ("key", ["key"], false), ("key,", ["key,"], false), ("a,longrest-longrest", ["a,longrest-longrest"], true),
            ("15-bytes-is-few,0123456789abcdef", ["15-bytes-is-few,0123456789abcdef"], true),
            (
                "fedcba9876543210, 0123456789abcdef",
                ["fedcba9876543210", "0123456789abcdef", "fedcba9876543210, 0123456789abcdef"], false
            ),
        ])
    func vpsSecrets(text: String, secrets: [String], mayBeMistaken: Bool) async throws {
        let vps = try await Self.configuration(["VPS_WEBHOOK_SECRET": text]).vps
        #expect(vps.webhookSecrets.map { $0.reveal() } == secrets)
        #expect(vps.isOneKeyWithCommas == mayBeMistaken)
    }

    @Test("names each limit after its setting")
    func limits() async throws {
        let configuration = try await Self.configuration([
            "GATEWAY_BODY_MAX_BYTES": "1MiB", "GATEWAY_HEADER_MAX_BYTES": "2KiB", "GATEWAY_TARGET_MAX_BYTES": "3KiB",
            "GATEWAY_HEAD_TIMEOUT": "4s", "GATEWAY_BODY_TIMEOUT": "5s", "GATEWAY_IDLE_TIMEOUT": "6s",
            "GATEWAY_CONNECTIONS_MAX": "7", "GATEWAY_BODIES_IN_FLIGHT_MAX_BYTES": "8MiB", "GATEWAY_EVENT_LOOPS": "9",
            "GATEWAY_JOURNAL_KEEP": "10d", "GATEWAY_JOURNAL_MAX_BYTES": "11MiB", "GATEWAY_ROUTE_POLL_INTERVAL": "12s",
        ])
        let limits = configuration.ingressLimits
        #expect([limits.bodyBytesMax, limits.headerBytesMax, limits.targetBytesMax] == [1 << 20, 2048, 3072])
        #expect([limits.headSeconds, limits.bodySeconds, limits.idleSeconds] == [4, 5, 6])
        #expect(limits.connectionsMax == 7 && limits.bodyBytesInFlightMax == 8 << 20)
        #expect(configuration.eventLoops == 9 && configuration.routePollSeconds == 12)
        #expect(configuration.routesStaleSeconds == 60)
        #expect(configuration.journalLimits.keepSeconds == 864_000)
        #expect(configuration.journalLimits.unconfirmedBytesMax == 11 << 20)
    }

    @Test(
        "refuses what it cannot serve by, and names the setting and the cure",
        arguments: [
            (["META_APP_SECRET": ""], SettingName.metaAppSecret, "dashboard"),
            (["META_APP_SECRET": " , "], .metaAppSecret, "dashboard"),
            (["META_WEBHOOK_VERIFY_TOKEN": ""], .metaVerifyToken, "dashboard"),
            (["SUPABASE_JWT_SECRET": "short"], .supabaseJWTSecret, "32 bytes"),
            (["VPS_WEBHOOK_SECRET": " , "], .vpsWebhookSecret, "unset it"),
            (["VPS_WEBHOOK_SECRET": "s", "VPS_WEBHOOK_DIALECT": "sha512"], .vpsWebhookDialect, "waha"),
            (["VPS_WEBHOOK_DIALECT": "WAHA"], .vpsWebhookDialect, "sha256"),
            (["VPS_WEBHOOK_SECRET": "s", "VPS_SESSIONS": " , "], .vpsSessions, "default"),
            (["VPS_WEBHOOK_SECRET": "s", "VPS_SESSIONS": "one two"], .vpsSessions, "commas"),
            (
                ["VPS_WEBHOOK_SECRET": "s", "VPS_SESSIONS": String(repeating: "s", count: 129)], .vpsSessions,
                "128 bytes"
            ),
            (["GATEWAY_ACK": "disk"], .acknowledgement, "use journal"),
            (["GATEWAY_ACK_TIMEOUT": "11s"], .acknowledgementTimeout, "10s"),
            (["GATEWAY_FORWARD_URL": "http://x.example"], .forwardURL, "use https://"),
            (["GATEWAY_FORWARD_URL": "https://a:b@x.example"], .forwardURL, "take them out"),
            (["GATEWAY_FORWARD_URL": "x.example"], .forwardURL, "https://handler.example/webhooks"),
            (["GATEWAY_DOWNSTREAMS": "https://x.example/?key=hunter2"], .downstreams, "part 1 is not name=address"),
            (["GATEWAY_DOWNSTREAMS": "a=https://x.example, b="], .downstreams, "part 2 is not name=address"),
            (["GATEWAY_DOWNSTREAMS": "a b=https://x.example"], .downstreams, "letters, digits, - and _"),
            (["GATEWAY_DOWNSTREAMS": "\u{e9}=https://x.example"], .downstreams, "letters, digits, - and _"),
            (["GATEWAY_DOWNSTREAMS": "a=https://x.example,a=https://y.example"], .downstreams, "a twice"),
            (["GATEWAY_DOWNSTREAMS": "a=http://x.example"], .downstreams, "a would be sent to unencrypted"),
            (["GATEWAY_DOWNSTREAMS": "a=https://u:p@x.example"], .downstreams, "a has a user or password"),
            (["GATEWAY_NOTIFY": "desk"], .notify, "GATEWAY_DOWNSTREAMS=\"desk=https://…\""),
            (
                ["GATEWAY_NOTIFY": "desk", "GATEWAY_DOWNSTREAMS": "b=https://x.example,a=https://x.example"], .notify,
                "defines a, b"
            ),
            (["GATEWAY_API_PORT": "8443"], .apiPort, "GATEWAY_INGRESS_PORT"),
            (["GATEWAY_OPS_PORT": "8444"], .operationsPort, "GATEWAY_API_PORT"),
            (["GATEWAY_BODY_MAX_BYTES": "1"], .bodyMaxBytes, "1024"),
            (["GATEWAY_JOURNAL_MAX_BYTES": "1KiB"], .journalMaxBytes, "1048576"),
            (["GATEWAY_JOURNAL_KEEP": "366d"], .journalKeep, "24h"),
            (["GATEWAY_CONNECTIONS_MAX": "many"], .connectionsMax, "a number"),
            (["GATEWAY_ROUTE_POLL_INTERVAL": "0s"], .routePollInterval, "1s"),
            (["GATEWAY_ROUTES_STALE_AFTER": "2s"], .routesStaleAfter, "several times"),
            (["GATEWAY_DEFAULT_COUNTRY_CODE": "UK"], .defaultCountryCode, "44"),
        ])
    func refusals(environment: [String: String], name: SettingName, cure: String) async throws {
        let error = await #expect(throws: SettingError.self) { _ = try await Self.configuration(environment) }
        #expect(error?.name == name)
        #expect(error?.problem.contains(cure) == true)
        #expect(error?.description.hasPrefix(name.rawValue + ": ") == true)
    }

    @Test(
        "acknowledges once the journal has a webhook, or, where that is asked for, the database",
        arguments: [
            ([:], .journal), (["GATEWAY_ACK": "journal", "GATEWAY_ACK_TIMEOUT": "2s"], .journal),
            (["GATEWAY_ACK": "postgres"], .postgres(RecordingLimits(timeout: .seconds(5)))),
            (
                ["GATEWAY_ACK": "postgres", "GATEWAY_ACK_TIMEOUT": "2s"],
                .postgres(RecordingLimits(timeout: .seconds(2)))
            ),
        ] as [([String: String], GatewayConfiguration.Acknowledgement)])
    func acknowledgement(environment: [String: String], policy: GatewayConfiguration.Acknowledgement) async throws {
        #expect(try await Self.configuration(environment).acknowledgement == policy)
    }

    @Test("passes webhooks on where an address is given, and never shows it")
    func forwarding() async throws {
        #expect(try await Self.configuration([:]).downstream == nil)
        let environment = Self.least.merging(["GATEWAY_FORWARD_URL": "https://x.example/hooks?key=k"]) { $1 }
        let settings = try await SettingsReader(environment: environment)
        #expect(try GatewayConfiguration(settings).downstream != nil)
        #expect(try settings.listing().contains("GATEWAY_FORWARD_URL=***  (environment)"))
    }

    @Test("names the endpoints that rules may forward to, and shows neither their addresses nor the secret")
    func downstreams() async throws {
        let none = try await Self.configuration([:]).ruleDeliveries
        #expect(none.names.isEmpty && none.noticesTo == nil && none.endpoints.secret == nil)
        let environment = Self.least.merging([
            "GATEWAY_DOWNSTREAMS": " crm=https://x.example/m?a=b&key=k1 ,\n help-desk_2=http://127.0.0.1:9/ ,",
            "GATEWAY_DOWNSTREAM_SECRET": "hush", "GATEWAY_NOTIFY": "help-desk_2",
        ]) { $1 }
        let settings = try await SettingsReader(environment: environment)
        let some = try GatewayConfiguration(settings).ruleDeliveries
        #expect(
            some.endpoints.addresses.mapValues { $0.reveal() }
                == ["crm": "https://x.example/m?a=b&key=k1", "help-desk_2": "http://127.0.0.1:9/"])
        #expect(some.noticesTo == "help-desk_2" && some.endpoints.secret?.reveal() == "hush")
        let listing = try settings.listing().joined(separator: "\n")
        #expect(listing.contains("GATEWAY_DOWNSTREAMS=***") && listing.contains("GATEWAY_DOWNSTREAM_SECRET=***"))
        #expect(!listing.contains("hush") && !listing.contains("x.example"))
    }

    @Test("lets several listeners take any free port")
    func freePorts() async throws {
        let any = ["GATEWAY_INGRESS_PORT": "0", "GATEWAY_API_PORT": "0", "GATEWAY_OPS_PORT": "0"]
        #expect(try await Self.configuration(any).apiPort == 0)
    }

    @Test("serves the API where tokens can be judged", arguments: ["SUPABASE_JWT_SECRET", "SUPABASE_JWKS_URL"])
    func api(name: String) async throws {
        let value = name.hasSuffix("URL") ? "https://x.example/jwks" : String(repeating: "s", count: 32)
        #expect(try await Self.configuration([name: value]).supabase.isConfigured)
    }

    @Test("tells which settings nothing uses yet")
    func unused() async throws {
        let configuration = try await Self.configuration(["VPS_URL": "https://x.example", "ENCRYPTION_KEY": "00"])
        #expect(configuration.unused == [.vpsURL, .encryptionKey])
    }
}
