// swift-tools-version: 6.2
import PackageDescription

/// A driver outside Busbar's own tree, as anybody would write one: the library depends on `BusbarDriver` alone.
let package = Package(
    name: "busbar-spool",
    products: [.library(name: "BusbarSpool", targets: ["BusbarSpool"])],
    dependencies: [
        .package(name: "busbar", path: "../..", traits: []),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    ],
    targets: [
        .target(
            name: "BusbarSpool",
            dependencies: [
                .product(name: "BusbarDriver", package: "busbar"), .product(name: "NIOCore", package: "swift-nio"),
            ],
            path: "Sources/Spool"
        ),
        .executableTarget(
            name: "spool-conformance",
            dependencies: ["BusbarSpool", .product(name: "BusbarConformance", package: "busbar")],
            path: "Sources/SpoolConformance"
        ),
    ]
)
