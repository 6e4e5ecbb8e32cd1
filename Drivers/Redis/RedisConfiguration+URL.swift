import BusbarConnection
import BusbarDriver

extension RedisConfiguration {
    /// The URL schemes that ``init(url:alsoAllowing:)`` reads.
    public static let schemes = ["redis", "rediss", "redis+unix", "redis+sentinel", "rediss+sentinel"]

    /// Reads a backplane URL:
    /// - `redis://[user:password@]host[:port][/database]`
    /// - `rediss://…` likewise, encrypted, in builds with the trait `TLS`
    /// - `redis+unix:///path/to/socket`
    /// - `redis+sentinel://[user:password@]host[:port][,host[:port]…]/primary[/database]`, `rediss+sentinel://…`
    ///
    /// each with `?app=NAME` and any of `database`, `retainedRecords`, `retainedBytes`, `requestLimit`,
    /// `probeInterval`, `probeLimit`, `backOffCeiling` (times in milliseconds), `sentinelUser`, `sentinelPassword`, and
    /// with TLS `tlsAuthorities`, `tlsCertificate`, `tlsKey` (paths of PEM files), `tlsServerName`.
    /// - Parameter alsoAllowing: query keys that somebody else reads; they are skipped.
    /// - Throws: ``RedisConfigurationError``, one line, without any secret.
    public init(url: String, alsoAllowing: Set<String> = ["streams"]) throws(RedisConfigurationError) {
        let parts = try Self.read { () throws(BackplaneURLError) in
            try URLParts(url, example: "redis://host:port/database?app=NAME")
        }
        let path = parts.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        let server: Server
        var databaseText: String?
        switch parts.scheme {
        case "redis", "rediss":
            let address = try Self.hostPort(parts.hosts, defaultPort: 6379)
            server = .tcp(host: address.host, port: address.port)
            databaseText = path.first
            try Self.refuseRest(of: path, after: 1)
        case "redis+unix":
            server = .unixSocket(path: try Self.decode(parts.path, key: "path"))
        case "redis+sentinel", "rediss+sentinel":
            var hosts: [HostPort] = []
            for host in parts.hosts.split(separator: ",", omittingEmptySubsequences: false) {
                hosts.append(try Self.hostPort(String(host), defaultPort: 26379))
            }
            server = .sentinel(hosts: hosts, primaryName: try Self.decode(path.first ?? "", key: "primary"))
            databaseText = path.dropFirst().first
            try Self.refuseRest(of: path, after: 2)
        default:
            throw .init(key: "scheme", value: parts.scheme, remedy: "one of \(Self.schemes.joined(separator: ", "))")
        }
        try self.init(server: server, user: parts.user, password: parts.password.map(Secret.init))
        if parts.scheme.hasPrefix("rediss") { self.tls = TLS() }
        if let databaseText { self.database = try Self.number("database", databaseText) }
        for (key, value) in parts.query where !alsoAllowing.contains(key) { try self.set(key, to: value) }
        try self.validate()
    }

    private mutating func set(_ key: String, to value: String) throws(RedisConfigurationError) {
        switch key {
        case "app": self.app = value
        case "database": self.database = try Self.number(key, value)
        case "retainedRecords": self.retainedRecords = try Self.number(key, value)
        case "retainedBytes": self.retainedBytes = try Self.number(key, value)
        case "requestLimit": self.requestLimit = .milliseconds(try Self.number(key, value))
        case "probeInterval": self.probeInterval = .milliseconds(try Self.number(key, value))
        case "probeLimit": self.probeLimit = .milliseconds(try Self.number(key, value))
        case "backOffCeiling": self.backOffCeiling = .milliseconds(try Self.number(key, value))
        case "sentinelUser": self.sentinelUser = value
        case "sentinelPassword": self.sentinelPassword = Secret(value)
        case "tlsAuthorities", "tlsServerName", "tlsCertificate", "tlsKey": try self.setTLS(key, to: value)
        default:
            let known =
                "app, database, retainedRecords, retainedBytes, requestLimit, probeInterval, probeLimit, backOffCeiling"
            // Why: a misspelt password key must not show its value.
            let more = "sentinelUser, sentinelPassword, tlsAuthorities, tlsServerName, tlsCertificate, tlsKey"
            throw .init(key: key, value: "…", remedy: "a key out of \(known), \(more)")
        }
    }

    private mutating func setTLS(_ key: String, to value: String) throws(RedisConfigurationError) {
        guard self.tls != nil else { throw .init(key: key, value: value, remedy: "the scheme rediss with it") }
        switch key {
        case "tlsAuthorities": self.tls?.authoritiesPath = value
        case "tlsServerName": self.tls?.serverName = value
        case "tlsCertificate": self.tls?.certificatePath = value
        default: self.tls?.privateKeyPath = value
        }
    }

    private static func number(_ key: String, _ text: String) throws(RedisConfigurationError) -> Int {
        guard let number = Int(text), number >= 0, text.first != "+" else {
            throw .init(key: key, value: text, remedy: "a whole number")
        }
        return number
    }

    private static func refuseRest(of path: [String], after count: Int) throws(RedisConfigurationError) {
        guard path.count > count else { return }
        throw .init(key: "path", value: path[count], remedy: "nothing after the database number")
    }

    private static func hostPort(_ text: String, defaultPort: Int) throws(RedisConfigurationError) -> HostPort {
        let (host, port) = try Self.read { () throws(BackplaneURLError) in
            try URLParts.hostPort(text, defaultPort: defaultPort)
        }
        return HostPort(host: host, port: port)
    }

    private static func decode(_ text: String, key: String) throws(RedisConfigurationError) -> String {
        try Self.read { () throws(BackplaneURLError) in try text.percentDecoded(key: key) }
    }

    private static func read<T>(_ body: () throws(BackplaneURLError) -> T) throws(RedisConfigurationError) -> T {
        do throws(BackplaneURLError) {
            return try body()
        } catch {
            throw RedisConfigurationError(key: error.key, value: error.value, remedy: error.remedy)
        }
    }
}
