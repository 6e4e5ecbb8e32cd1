// swift-tools-version: 6.2
import PackageDescription

/// Measuring tools, apart from the product so that nobody who depends on Busbar builds them.
let package = Package(
    name: "busbar-benchmarks",
    dependencies: [
        .package(name: "busbar", path: ".."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "CAllocations"),
        .target(name: "CLoad", cSettings: [.define("_GNU_SOURCE")]),
        .executableTarget(
            name: "fanout",
            dependencies: [
                "CAllocations", "CLoad",
                .product(name: "Busbar", package: "busbar"),
                .product(name: "BusbarHub", package: "busbar"),
                .product(name: "BusbarMemory", package: "busbar"),
                .product(name: "BusbarServer", package: "busbar"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .executableTarget(name: "subscribers", dependencies: ["CLoad"]),
        .target(
            name: "CRawBrokers",
            linkerSettings: [.linkedLibrary("hiredis"), .linkedLibrary("pq"), .linkedLibrary("rabbitmq")]
        ),
        .executableTarget(
            name: "backplane",
            dependencies: [
                "CRawBrokers",
                .product(name: "Busbar", package: "busbar"),
                .product(name: "BusbarDriver", package: "busbar"),
                .product(name: "BusbarPostgreSQL", package: "busbar"),
                .product(name: "BusbarRabbitMQ", package: "busbar"),
                .product(name: "BusbarRedis", package: "busbar"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
        .executableTarget(
            name: "bareserver",
            dependencies: [
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ]
        ),
    ]
)

for target in package.targets where target.type == .executable {
    target.swiftSettings = [
        .enableUpcomingFeature("ExistentialAny"),
        .enableUpcomingFeature("MemberImportVisibility"),
        .enableUpcomingFeature("InternalImportsByDefault"),
        .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    ]
}
