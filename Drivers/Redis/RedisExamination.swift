import BusbarDriver

/// Looks at a Redis as an operator would: who it is, what it forgets, what it does when it is full. It changes nothing.
enum RedisExamination {
    /// What `INFO` says, by key.
    struct Facts {
        private let values: [Substring: Substring]

        init(_ info: String) {
            let pairs = info.split(whereSeparator: \.isNewline).compactMap { line -> (Substring, Substring)? in
                guard let colon = line.firstIndex(of: ":") else { return nil }
                return (line[..<colon], line[line.index(after: colon)...])
            }
            self.values = Dictionary(pairs, uniquingKeysWith: { first, _ in first })
        }

        subscript(_ key: String) -> String? { self.values[key[...]].map(String.init) }
    }

    static func findings(at url: BackplaneURL, app: String) async -> [DriverFinding] {
        let configuration: RedisConfiguration
        do throws(BackplaneURLError) {
            configuration = try RedisConfiguration(registered: url, app: app)
        } catch {
            return [DriverFinding(.wrong, "url", error.description)]
        }
        do throws(DriverError) {
            let info = try await RedisErrand.ask([CommandArguments().command("INFO")], of: configuration)
            return Self.judge(Facts(info.first?.text ?? ""))
        } catch {
            // Why no finding: whoever examines also runs the driver, and that says better what is wrong.
            return []
        }
    }

    static func judge(_ facts: Facts) -> [DriverFinding] {
        guard let version = facts["redis_version"] else {
            return [
                DriverFinding(
                    .advice, "version", "this user may not read INFO, so neither version nor settings are known")
            ]
        }
        var findings = [DriverFinding(.good, "version", "Redis \(version), \(facts["role"] ?? "unknown role")")]
        let keepsAll = facts["aof_enabled"] == "1"
        findings.append(
            keepsAll
                ? DriverFinding(
                    .good, "persistence",
                    "append-only file: a restart keeps what was acknowledged up to its fsync policy")
                : DriverFinding(
                    .advice, "persistence", "no append-only file: a restart loses what came after the last snapshot",
                    remedy: "set 'appendonly yes'; lost messages are reported to subscribers either way")
        )
        if let policy = facts["maxmemory_policy"], let limit = facts["maxmemory"].flatMap({ Int($0) }), limit > 0 {
            findings.append(
                policy == "noeviction" || policy.hasPrefix("volatile")
                    ? DriverFinding(
                        .good, "memory", "limited to \(limit) bytes; when full it refuses to write (\(policy))")
                    : DriverFinding(
                        .advice, "memory", "when its \(limit) bytes are full, \(policy) may throw away the log",
                        remedy: "set 'maxmemory-policy noeviction'")
            )
        }
        if facts["rdb_last_bgsave_status"] == "err" {
            findings.append(
                DriverFinding(
                    .wrong, "persistence", "its last snapshot failed, and by default it then refuses to write",
                    remedy: "give its data directory room, or look into its log"))
        }
        return findings
    }
}
