package import BusbarDriver

/// What Redis says of itself in `INFO`.
package struct ServerFacts: Hashable, Sendable {
    package let version: String?
    package let role: String?
    package let isCluster: Bool

    package init(info: String) {
        func value(of key: String) -> String? {
            info.split(whereSeparator: \.isNewline).first { $0.hasPrefix(key + ":") }.map {
                String($0.dropFirst(key.count + 1))
            }
        }
        self.version = value(of: "redis_version")
        self.role = value(of: "role")
        self.isCluster = value(of: "redis_mode") == "cluster"
    }

    /// Why this server can't be used, or nil. What it doesn't tell isn't held against it.
    package func objection() -> DriverError? {
        if let version = self.version {
            let numbers = version.split(separator: ".").prefix(2).compactMap { Int($0) }
            if numbers.count == 2, numbers.lexicographicallyPrecedes([6, 2]) {
                let detail = "Redis \(version) is too old; wanted: 6.2 or later"
                return DriverError(.rejected, during: "run", recovery: .giveUp, detail: detail)
            }
        }
        guard self.role == "slave" else { return nil }
        let detail = "READONLY this server is a replica; name its primary, or its Sentinels"
        return DriverError(.overloaded, during: "run", recovery: .retry(after: .milliseconds(250)), detail: detail)
    }
}
