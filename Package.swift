// swift-tools-version: 6.2
import PackageDescription

/// The language rules every target lives by. Each is an accepted or upcoming Swift feature: existentials are spelled out,
/// imports are internal unless said otherwise, and a `nonisolated` async function runs where it was called. A warning is
/// an error.
let rulesBesideFoundation: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

/// Of targets that see no Foundation: besides, a member is used only where its module is imported. CoreFoundation carries
/// copies of the C library's headers, and whether the compiler takes a member of `stat` for CoreFoundation's or for Glibc's
/// depends on what it built first: with this rule the same sources compile on one machine and not on the next.
let rules = rulesBesideFoundation + [.enableUpcomingFeature("MemberImportVisibility")]

let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let metrics = Target.Dependency.product(name: "Metrics", package: "swift-metrics")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto = Target.Dependency.product(name: "Crypto", package: "swift-crypto")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioTLS = Target.Dependency.product(name: "NIOTLS", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")

let package = Package(
    name: "zenrent-gateway",
    platforms: [.macOS(.v15)],
    products: [
        .executable(name: "zenrent-gateway", targets: ["zenrent-gateway"])
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
        .package(url: "https://github.com/apple/swift-crypto.git", from: "4.5.0"),
        .package(url: "https://github.com/apple/swift-certificates.git", from: "1.21.0"),
        .package(url: "https://github.com/apple/swift-asn1.git", from: "1.7.0"),
        .package(url: "https://github.com/apple/swift-system.git", from: "1.5.0"),
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-metrics.git", from: "2.13.0"),
        .package(
            url: "https://github.com/apple/swift-configuration.git", from: "1.4.0",
            traits: ["JSON", "YAML"]),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.8.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.13.0"),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.37.0"),
        .package(
            url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.28.0",
            traits: []),
        .package(url: "https://github.com/vapor/jwt-kit.git", from: "5.7.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
    ],
    targets: [
        // Pure rooms: values and decisions. No sockets, files, SQL, logging or clocks.
        .target(
            name: "Messaging",
            swiftSettings: rules),
        .target(
            name: "Webhooks",
            dependencies: [
                "Messaging",
                crypto,
            ],
            swiftSettings: rules),
        .target(
            name: "Routing",
            dependencies: [
                "CMemory",
                "Messaging",
                .product(name: "Yams", package: "Yams"),
            ],
            swiftSettings: rules),
        .target(
            name: "Journal",
            dependencies: [
                "Messaging"
            ],
            swiftSettings: rules),
        .target(
            name: "Intake",
            dependencies: [
                "Messaging",
                "Journal",
                "Webhooks",
                "Routing",
            ],
            swiftSettings: rules),
        .target(
            name: "Conversations",
            dependencies: [
                "Messaging"
            ],
            swiftSettings: rules),
        .target(
            name: "Delivery",
            dependencies: [
                "Messaging"
            ],
            swiftSettings: rules),

        // System libraries.
        .systemLibrary(name: "CMemory"),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .systemLibrary(name: "CPostgres", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),

        // Adapters: each implements ports or serves a protocol; none imports another.
        .target(
            name: "Ingress",
            dependencies: [
                "Messaging",
                "Webhooks",
                "Journal",
                nioCore,
                nioPosix,
                nioSSL,
                logging,
                metrics,
                lifecycle,
            ],
            swiftSettings: rules),
        .target(
            name: "SQLiteJournal",
            dependencies: [
                "Messaging",
                "Journal",
                "CSQLite",
                logging,
            ],
            swiftSettings: rules),
        .target(
            name: "PostgresClient",
            dependencies: [
                "CPostgres"
            ],
            swiftSettings: rules),
        .target(
            name: "PostgresStore",
            dependencies: [
                "Messaging",
                "Journal",
                "Intake",
                "Routing",
                "Delivery",
                "Conversations",
                "PostgresClient",
            ],
            resources: [.embedInCode("Migrations/SQL"), .embedInCode("Recorder/record_batch.sql")],
            swiftSettings: rules),
        .target(
            name: "GraphAPI",
            dependencies: [
                "Messaging",
                "Delivery",
                httpClient,
                nioCore,
                nioPosix,
                crypto,
                nioSSL,
                nioHTTP1,
            ],
            swiftSettings: rulesBesideFoundation),
        .target(
            name: "Downstream",
            dependencies: [
                "Messaging",
                "Delivery",
                crypto,
                httpClient,
                nioCore,
                nioHTTP1,
                nioPosix,
                nioSSL,
            ],
            swiftSettings: rulesBesideFoundation),
        .target(
            name: "API",
            dependencies: [
                "Messaging",
                "Conversations",
                "Routing",
                "Delivery",
                hummingbird,
                .product(name: "JWTKit", package: "jwt-kit"),
                httpClient,
                crypto,
                nioCore,
                nioSSL,
                logging,
                metrics,
                lifecycle,
                .product(name: "HummingbirdCore", package: "hummingbird"),
                nioPosix,
                nioHTTP1,
            ],
            swiftSettings: rulesBesideFoundation),
        .target(
            name: "PrivatePostgres",
            dependencies: [
                logging
            ],
            swiftSettings: rules),
        .target(
            name: "Operations",
            dependencies: [
                "Messaging",
                nioCore,
                nioPosix,
                nioHTTP1,
                logging,
                metrics,
                lifecycle,
            ],
            swiftSettings: rulesBesideFoundation),
        .target(
            name: "Sandbox",
            dependencies: [
                "Messaging",
                hummingbird,
                httpClient,
                crypto,
                nioCore,
                nioSSL,
                nioTLS,
                logging,
                lifecycle,
                nioHTTP1,
                nioPosix,
            ],
            swiftSettings: rulesBesideFoundation),

        // Tops.
        .target(
            name: "Gateway",
            dependencies: [
                "Messaging",
                "Webhooks",
                "Routing",
                "Journal",
                "Intake",
                "Conversations",
                "Delivery",
                "Ingress",
                "SQLiteJournal",
                "PostgresClient",
                "PostgresStore",
                "GraphAPI",
                "Downstream",
                "API",
                "PrivatePostgres",
                "Operations",
                "Sandbox",
                .product(name: "Configuration", package: "swift-configuration"),
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                crypto,
                nioCore,
                nioPosix,
                nioSSL,
                httpClient,
                hummingbird,
                .product(name: "JWTKit", package: "jwt-kit"),
                logging,
                metrics,
                lifecycle,
                .product(name: "SystemPackage", package: "swift-system"),
                .product(name: "UnixSignals", package: "swift-service-lifecycle"),
            ],
            swiftSettings: rulesBesideFoundation),
        .executableTarget(
            name: "zenrent-gateway",
            dependencies: [
                "Gateway",
                "Messaging",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                logging,
            ],
            swiftSettings: rulesBesideFoundation),
        .target(
            name: "GatewayTesting",
            dependencies: [
                "Messaging",
                "Journal",
                "Routing",
                "Intake",
                "Delivery",
                "Conversations",
            ],
            path: "Tests/GatewayTesting",
            swiftSettings: rulesBesideFoundation),

        // Tests, a target a room.
        .testTarget(
            name: "MessagingTests",
            dependencies: [
                "Messaging",
                "GatewayTesting",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "WebhooksTests",
            dependencies: [
                "Webhooks",
                "GatewayTesting",
                "Messaging",
                crypto,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "RoutingTests",
            dependencies: [
                "Routing",
                "GatewayTesting",
                "Messaging",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "JournalTests",
            dependencies: [
                "Journal",
                "GatewayTesting",
                "Messaging",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "IntakeTests",
            dependencies: [
                "Intake",
                "GatewayTesting",
                "Messaging",
                "Journal",
                "Webhooks",
                "Routing",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "ConversationsTests",
            dependencies: [
                "Conversations",
                "GatewayTesting",
                "Messaging",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "DeliveryTests",
            dependencies: [
                "Delivery",
                "GatewayTesting",
                "Messaging",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "IngressTests",
            dependencies: [
                "Ingress",
                "GatewayTesting",
                "Messaging",
                "Webhooks",
                "Journal",
                nioCore,
                nioPosix,
                nioSSL,
                crypto,
                logging,
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "SQLiteJournalTests",
            dependencies: [
                "SQLiteJournal",
                "GatewayTesting",
                "Messaging",
                "Journal",
                "CSQLite",
                logging,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "PostgresClientTests",
            dependencies: [
                "PostgresClient",
                "GatewayTesting",
                "Messaging",
                "PrivatePostgres",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "PrivatePostgresTests",
            dependencies: [
                "PrivatePostgres",
                "GatewayTesting",
                "Messaging",
                "PostgresClient",
                logging,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "PostgresStoreTests",
            dependencies: [
                "PostgresStore",
                "GatewayTesting",
                "Messaging",
                "Journal",
                "Intake",
                "Routing",
                "Delivery",
                "Conversations",
                "PostgresClient",
                "PrivatePostgres",
                logging,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "GraphAPITests",
            dependencies: [
                "GraphAPI",
                "GatewayTesting",
                "Messaging",
                "Delivery",
                "Sandbox",
                httpClient,
                hummingbird,
                nioHTTP1,
                logging,
                lifecycle,
                nioCore,
                nioPosix,
                crypto,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "WorldTests",
            dependencies: [
                "GatewayTesting",
                "Messaging",
                "Webhooks",
                "Journal",
                "Intake",
                "Routing",
                "PostgresClient",
                "PostgresStore",
                "PrivatePostgres",
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "DownstreamTests",
            dependencies: [
                "Downstream",
                "GatewayTesting",
                "Messaging",
                "Delivery",
                nioCore,
                nioHTTP1,
                nioPosix,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "APITests",
            dependencies: [
                "API",
                "GatewayTesting",
                "Messaging",
                "Conversations",
                "Routing",
                hummingbird,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
                .product(name: "JWTKit", package: "jwt-kit"),
                crypto,
                httpClient,
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                nioPosix,
                nioCore,
                nioSSL,
                nioHTTP1,
                logging,
                lifecycle,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "OperationsTests",
            dependencies: [
                "Operations",
                "GatewayTesting",
                "Messaging",
                metrics,
                nioCore,
                httpClient,
                logging,
                lifecycle,
                nioPosix,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "SandboxTests",
            dependencies: [
                "Sandbox",
                "GatewayTesting",
                "Messaging",
                "Webhooks",
                hummingbird,
                httpClient,
                crypto,
                nioCore,
                nioHTTP1,
                nioPosix,
                logging,
                lifecycle,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "GatewayTests",
            dependencies: [
                "Conversations",
                "Gateway",
                "GatewayTesting",
                "Messaging",
                .product(name: "X509", package: "swift-certificates"),
                .product(name: "SwiftASN1", package: "swift-asn1"),
                nioTLS,
                crypto,
                nioCore,
                nioPosix,
                nioSSL,
                logging,
                "PostgresClient",
                "PrivatePostgres",
                "PostgresStore",
                "Operations",
                "Routing",
                "Ingress",
                "Journal",
                "Intake",
                lifecycle,
            ],
            swiftSettings: rulesBesideFoundation),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "GatewayTesting",
                "Gateway",
                "Messaging",
                "PostgresClient",
                "PrivatePostgres",
                "Sandbox",
                httpClient,
                crypto,
                nioCore,
                nioHTTP1,
                nioPosix,
                nioSSL,
                "zenrent-gateway",
                logging,
            ],
            exclude: ["Shim"],
            swiftSettings: rulesBesideFoundation),
    ]
)
