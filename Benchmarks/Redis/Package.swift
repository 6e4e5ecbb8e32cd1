// swift-tools-version: 6.2
import PackageDescription

/// Measures the Redis backplane between two processes, beside the same work done with bare hiredis.
let package = Package(
    name: "busbar-redis-benchmarks",
    dependencies: [
        .package(name: "busbar", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .systemLibrary(name: "CHiredisClient", providers: [.apt(["libhiredis-dev"])]),
        .executableTarget(
            name: "RedisProbe",
            dependencies: [
                "CHiredisClient",
                .product(name: "Busbar", package: "busbar"),
                .product(name: "BusbarDriver", package: "busbar"),
                .product(name: "BusbarRedis", package: "busbar"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
    ]
)
