// swift-tools-version: 6.2
import PackageDescription

/// Measures the RabbitMQ backplane between two processes, beside the same work done with bare librabbitmq.
let package = Package(
    name: "busbar-rabbitmq-benchmarks",
    dependencies: [
        .package(name: "busbar", path: "../.."),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    ],
    targets: [
        .target(name: "CRabbitClient", linkerSettings: [.linkedLibrary("rabbitmq")]),
        .executableTarget(
            name: "RabbitProbe",
            dependencies: [
                "CRabbitClient",
                .product(name: "Busbar", package: "busbar"),
                .product(name: "BusbarRabbitMQ", package: "busbar"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "Logging", package: "swift-log"),
            ]
        ),
    ]
)
