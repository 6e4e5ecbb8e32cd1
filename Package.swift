// swift-tools-version: 6.2
import PackageDescription

/// One target of this package: where it lives and what it may import. Arrows run one way, from the tool to the port.
let package = Package(
    name: "busbar",
    products: [
        .library(name: "BusbarDriver", targets: ["BusbarDriver"]),
        .library(name: "Busbar", targets: ["Busbar"]),
        .library(name: "BusbarProtocol", targets: ["BusbarProtocol"]),
        .library(name: "BusbarHub", targets: ["BusbarHub"]),
        .library(name: "BusbarServer", targets: ["BusbarServer"]),
        .library(name: "BusbarMemory", targets: ["BusbarMemory"]),
        .library(name: "BusbarFaults", targets: ["BusbarFaults"]),
        .library(name: "BusbarRedis", targets: ["BusbarRedis"]),
        .library(name: "BusbarRabbitMQ", targets: ["BusbarRabbitMQ"]),
        .library(name: "BusbarPostgreSQL", targets: ["BusbarPostgreSQL"]),
        .library(name: "BusbarConformance", targets: ["BusbarConformance"]),
        .executable(name: "busbar", targets: ["BusbarTool"]),
        .executable(name: "busbar-sender", targets: ["BusbarSender"]),
        .executable(name: "busbar-notices", targets: ["BusbarNotices"]),
    ],
    traits: [
        .default(enabledTraits: ["Redis", "PostgreSQL", "RabbitMQ"]),
        .trait(name: "Redis", description: "The command knows redis: URLs; needs libhiredis-dev to build"),
        .trait(name: "PostgreSQL", description: "The command knows postgres: URLs; needs libpq-dev to build"),
        .trait(name: "RabbitMQ", description: "The command knows amqp: URLs; needs librabbitmq-dev to build"),
        .trait(name: "TLS", description: "rediss: URLs; builds BoringSSL, which takes minutes"),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-crypto", from: "4.5.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", from: "2.13.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-configuration", from: "1.4.0", traits: ["YAML"]),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    ],
    targets: [
        .target(name: "BusbarDriver", dependencies: [.nioCore]),
        .target(name: "Busbar", dependencies: ["BusbarDriver", .nioCore, .deque, .crypto, .logging, .metrics]),
        .target(name: "BusbarProtocol", dependencies: [.nioCore]),
        .target(name: "TestSupport", path: "Tests/Support"),
        .testTarget(name: "BusbarProtocolTests", dependencies: ["BusbarProtocol", "TestSupport", .nioCore]),
        .target(
            name: "BusbarHub",
            dependencies: ["Busbar", "BusbarDriver", "BusbarProtocol", .nioCore, .deque, .logging, .metrics]
        ),
        .target(
            name: "BusbarServer",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarHub", "BusbarProtocol", .nioCore, .nioPosix, .crypto, .logging,
                .metrics, .lifecycle,
            ]
        ),
        .target(
            name: "BusbarMemory",
            dependencies: ["BusbarDriver", .nioCore, .deque],
            path: "Drivers/Memory"
        ),
        .target(name: "BusbarConnection", dependencies: ["BusbarDriver"], path: "Drivers/Connection"),
        .systemLibrary(name: "CEventFD", path: "Drivers/DriverThread/CEventFD"),
        .target(
            name: "BusbarDriverThread",
            dependencies: ["BusbarDriver", "CEventFD"],
            path: "Drivers/DriverThread",
            exclude: ["CEventFD"]
        ),
        .systemLibrary(name: "CHiredis", path: "Drivers/Redis/CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .target(
            name: "BusbarRedis",
            dependencies: [
                "BusbarConnection", "BusbarDriver", "CHiredis", .nioCore, .nioPosix, .deque,
                .product(name: "NIOSSL", package: "swift-nio-ssl", condition: .when(traits: ["TLS"])),
            ],
            path: "Drivers/Redis",
            exclude: ["CHiredis"]
        ),
        .systemLibrary(name: "CRabbitMQ", path: "Drivers/RabbitMQ/CRabbitMQ", providers: [.apt(["librabbitmq-dev"])]),
        .target(
            name: "BusbarRabbitMQ",
            dependencies: ["BusbarConnection", "BusbarDriver", "BusbarDriverThread", "CRabbitMQ", .nioCore, .deque],
            path: "Drivers/RabbitMQ",
            exclude: ["CRabbitMQ"]
        ),
        .systemLibrary(name: "CLibPQ", path: "Drivers/PostgreSQL/CLibPQ", providers: [.apt(["libpq-dev"])]),
        .target(
            name: "BusbarPostgreSQL",
            dependencies: [
                "BusbarConnection", "BusbarDriver", "BusbarDriverThread", "CLibPQ", .nioCore, .deque,
            ],
            path: "Drivers/PostgreSQL",
            exclude: ["CLibPQ"],
            resources: [.embedInCode("Schema/Schema.sql")]
        ),
        .target(
            name: "BusbarFaults",
            dependencies: ["BusbarDriver", .nioCore, .deque],
            path: "Drivers/Faults"
        ),
        .target(name: "BusbarProcess"),
        .target(
            name: "BusbarConformance",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarFaults", "BusbarMemory", "BusbarProcess", .nioCore, .logging,
            ],
            path: "Drivers/Conformance"
        ),
        .target(
            name: "BusbarChat",
            dependencies: ["BusbarHub", "BusbarProtocol", "BusbarServer", .nioCore],
            path: "Examples/Chat",
            exclude: ["CONTRACT.md"],
            resources: [.embedInCode("index.html"), .embedInCode("busbar.js")]
        ),
        .target(
            name: "BusbarSpool",
            dependencies: ["BusbarDriver", .nioCore],
            path: "Examples/CustomDriver/Sources/Spool"
        ),
        .testTarget(
            name: "SpoolTests",
            dependencies: ["BusbarCertification", "BusbarConformance", "BusbarDriver", "BusbarSpool"]
        ),
        .executableTarget(
            name: "BusbarSender",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarHub", .nioPosix, .logging,
                .target(name: "BusbarRedis", condition: .when(traits: ["Redis"])),
            ],
            path: "Examples/Sender"
        ),
        .executableTarget(
            name: "BusbarNotices",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarHub", "BusbarServer", .crypto, .logging, .lifecycle, .signals,
                .target(name: "BusbarRedis", condition: .when(traits: ["Redis"])),
            ],
            path: "Examples/Notices"
        ),
        .executableTarget(
            name: "BusbarTool",
            dependencies: [
                "Busbar", "BusbarChat", "BusbarConformance", "BusbarDriver", "BusbarHub", "BusbarMemory",
                "BusbarProcess", "BusbarServer", .nioCore, .nioPosix,
                .logging, .lifecycle, .signals, .argumentParser, .configuration, .yams,
                .target(name: "BusbarRedis", condition: .when(traits: ["Redis"])),
                .target(name: "BusbarRabbitMQ", condition: .when(traits: ["RabbitMQ"])),
                .target(name: "BusbarPostgreSQL", condition: .when(traits: ["PostgreSQL"])),
            ]
        ),
        .testTarget(
            name: "BusbarHubTests",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarFaults", "BusbarHub", "BusbarMemory", "BusbarProtocol", "TestSupport",
                .nioCore, .nioEmbedded, .nioPosix, .logging,
            ]
        ),
        .target(
            name: "BusbarCertification",
            dependencies: ["BusbarConformance", "BusbarDriver"],
            path: "Tests/Certification"
        ),
        .testTarget(name: "BusbarDriverTests", dependencies: ["BusbarDriver", "BusbarMemory", "BusbarRedis"]),
        .testTarget(name: "BusbarToolTests", dependencies: ["BusbarTool"]),
        .testTarget(name: "BusbarConnectionTests", dependencies: ["BusbarConnection", "BusbarDriver"]),
        .testTarget(name: "BusbarDriverThreadTests", dependencies: ["BusbarDriver", "BusbarDriverThread"]),
        .testTarget(name: "BusbarRedisTests", dependencies: ["BusbarDriver", "BusbarRedis", .nioCore]),
        .target(
            name: "BrokerTestSupport",
            dependencies: ["Busbar", "BusbarDriver", .nioCore, .logging],
            path: "Tests/Integration/Support"
        ),
        .testTarget(
            name: "BusbarRedisIntegrationTests",
            dependencies: [
                "BrokerTestSupport", "Busbar", "BusbarCertification", "BusbarConformance", "BusbarDriver",
                "BusbarRedis", .nioCore,
                .nioPosix, .logging,
            ],
            path: "Tests/Integration/Redis"
        ),
        .testTarget(name: "BusbarRabbitMQTests", dependencies: ["BusbarDriver", "BusbarRabbitMQ", .nioCore]),
        .testTarget(
            name: "BusbarRabbitMQIntegrationTests",
            dependencies: [
                "Busbar", "BusbarCertification", "BusbarConformance", "BusbarDriver", "BusbarRabbitMQ", "TestSupport",
                .nioCore, .logging,
            ],
            path: "Tests/Integration/RabbitMQ"
        ),
        .testTarget(name: "BusbarPostgreSQLTests", dependencies: ["BusbarDriver", "BusbarPostgreSQL", .nioCore]),
        .testTarget(
            name: "BusbarPostgreSQLIntegrationTests",
            dependencies: [
                "BrokerTestSupport", "Busbar", "BusbarCertification", "BusbarConformance", "BusbarDriver",
                "BusbarPostgreSQL",
                .nioCore,
            ],
            path: "Tests/Integration/PostgreSQL",
            exclude: ["transaction_pooler.py"]
        ),
        .testTarget(
            name: "BusbarTests",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarFaults", "BusbarMemory", "TestSupport", .nioCore, .logging, .deque,
            ]
        ),
        .testTarget(
            name: "ConformanceTests",
            dependencies: [
                "BusbarCertification", "BusbarConformance", "BusbarDriver", "BusbarFaults", "BusbarMemory", .nioCore,
            ]
        ),
        .testTarget(name: "BusbarMemoryTests", dependencies: ["BusbarDriver", "BusbarMemory", .nioCore]),
        .testTarget(
            name: "BusbarServerTests",
            dependencies: [
                "Busbar", "BusbarDriver", "BusbarFaults", "BusbarHub", "BusbarMemory", "BusbarProtocol", "BusbarServer",
                "TestSupport", .nioCore, .nioPosix,
                .logging, .lifecycle, .metrics, .product(name: "MetricsTestKit", package: "swift-metrics"),
            ]
        ),
    ]
)

extension Target.Dependency {
    static let nioCore = Self.product(name: "NIOCore", package: "swift-nio")
    static let nioPosix = Self.product(name: "NIOPosix", package: "swift-nio")
    static let nioEmbedded = Self.product(name: "NIOEmbedded", package: "swift-nio")
    static let deque = Self.product(name: "DequeModule", package: "swift-collections")
    static let crypto = Self.product(name: "Crypto", package: "swift-crypto")
    static let logging = Self.product(name: "Logging", package: "swift-log")
    static let metrics = Self.product(name: "Metrics", package: "swift-metrics")
    static let lifecycle = Self.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let signals = Self.product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let argumentParser = Self.product(name: "ArgumentParser", package: "swift-argument-parser")
    static let yams = Self.product(name: "Yams", package: "Yams")
    static let configuration = Self.product(name: "Configuration", package: "swift-configuration")
}

for target in package.targets where target.type != .system {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ]
    // Why not always: a newer compiler's new warning would keep people from building.
    if Context.environment["WARNINGS_ARE_ERRORS"] == "1" {
        target.swiftSettings?.append(.treatAllWarnings(as: .error))
    }
}
