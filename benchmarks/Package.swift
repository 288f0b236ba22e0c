// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that the gateway never depends on what measures it. Its rooms are links to the gateway's own
// sources: what is measured is what ships, compiled the same way.

let rules: [SwiftSetting] = [
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .treatAllWarnings(as: .error),
]

let package = Package(
    name: "zenrent-gateway-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log.git", from: "1.16.0"),
        .package(url: "https://github.com/jpsim/Yams.git", from: "6.2.0"),
    ],
    targets: [
        .systemLibrary(name: "CMemory"),
        .target(name: "Messaging", swiftSettings: rules),
        .target(
            name: "Routing", dependencies: ["CMemory", "Messaging", .product(name: "Yams", package: "Yams")],
            swiftSettings: rules),
        // Decoding alone: who signed a webhook is not measured here, and needs a package of its own.
        .target(name: "Webhooks", dependencies: ["Messaging"], exclude: ["Authenticity"], swiftSettings: rules),
        .systemLibrary(name: "CSQLite", pkgConfig: "sqlite3", providers: [.apt(["libsqlite3-dev"])]),
        .target(name: "Journal", dependencies: ["Messaging"], swiftSettings: rules),
        .target(
            name: "SQLiteJournal",
            dependencies: ["Journal", "Messaging", "CSQLite", .product(name: "Logging", package: "swift-log")],
            swiftSettings: rules),
        .target(name: "Reporting", swiftSettings: rules),
        .target(name: "CReference", cSettings: [.unsafeFlags(["-O3"])]),
        .executableTarget(
            name: "routing-benchmark", dependencies: ["Routing", "Messaging", "Reporting", "CReference"],
            path: "Sources/RoutingBenchmark",
            swiftSettings: rules),
        .executableTarget(
            name: "rules-benchmark", dependencies: ["Routing", "Messaging", "Reporting"],
            path: "Sources/RulesBenchmark",
            swiftSettings: rules),
        .executableTarget(
            name: "decode-benchmark", dependencies: ["Webhooks", "Messaging", "Reporting"],
            path: "Sources/DecodeBenchmark",
            swiftSettings: rules),
        .executableTarget(
            name: "journal-benchmark",
            dependencies: [
                "SQLiteJournal", "Journal", "Messaging", "Reporting", .product(name: "Logging", package: "swift-log"),
            ],
            path: "Sources/JournalBenchmark",
            swiftSettings: rules),
    ]
)
