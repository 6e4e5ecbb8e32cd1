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
        let parts = try URLParts(url)
        let path = parts.path.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        let server: Server
        var databaseText: String?
        switch parts.scheme {
        case "redis", "rediss":
            let address = try URLParts.hostPort(parts.hosts, defaultPort: 6379)
            server = .tcp(host: address.host, port: address.port)
            databaseText = path.first
            try Self.refuseRest(of: path, after: 1)
        case "redis+unix":
            server = .unixSocket(path: try parts.path.percentDecoded(key: "path"))
        case "redis+sentinel", "rediss+sentinel":
            var hosts: [HostPort] = []
            for host in parts.hosts.split(separator: ",", omittingEmptySubsequences: false) {
                hosts.append(try URLParts.hostPort(String(host), defaultPort: 26379))
            }
            server = .sentinel(hosts: hosts, primaryName: try (path.first ?? "").percentDecoded(key: "primary"))
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
}

/// A URL taken apart; the values of user, password and query are decoded, the rest is as it stands.
struct URLParts {
    private(set) var scheme = ""
    private(set) var user: String?
    private(set) var password: String?
    private(set) var hosts = ""
    private(set) var path = ""
    private(set) var query: [(key: String, value: String)] = []

    init(_ url: String) throws(RedisConfigurationError) {
        guard let mark = url.firstRange(of: "://") else {
            // Why: the text may hold a password wherever its author put it, so only what precedes a colon is shown.
            let scheme = url.prefix { $0 != ":" && $0 != "@" && $0 != "/" }
            throw .init(key: "url", value: "\(scheme)…", remedy: "redis://host:port/database?app=NAME")
        }
        self.scheme = url[..<mark.lowerBound].lowercased()
        var rest = url[mark.upperBound...]
        if let hash = rest.firstIndex(of: "#") {
            throw .init(
                key: "url", value: "#…",
                remedy: "no fragment; a # in a password is written %23 (at character "
                    + "\(url.distance(from: url.startIndex, to: hash) + 1))")
        }
        if let question = rest.firstIndex(of: "?") {
            guard !rest[question...].contains("@") else {
                throw .init(key: "url", value: "?…@…", remedy: "a ? in a password written %3F, an @ in the query %40")
            }
            try self.readQuery(rest[rest.index(after: question)...])
            rest = rest[..<question]
        }
        // Why the last @: people forget to encode the one in their password.
        let authorityEnd =
            rest.lastIndex(of: "@").flatMap { rest[$0...].firstIndex(of: "/") } ?? rest.firstIndex(of: "/")
        var authority = rest[..<(authorityEnd ?? rest.endIndex)]
        self.path = String(rest[(authorityEnd ?? rest.endIndex)...])
        if let at = authority.lastIndex(of: "@") {
            try self.readCredentials(authority[..<at])
            authority = authority[authority.index(after: at)...]
        }
        self.hosts = String(authority)
    }

    private mutating func readCredentials(_ text: Substring) throws(RedisConfigurationError) {
        guard let colon = text.firstIndex(of: ":") else {
            throw .init(key: "user", value: "…", remedy: "user:password@ or :password@ before the host")
        }
        let user = try String(text[..<colon]).percentDecoded(key: "user")
        self.user = user.isEmpty ? nil : user
        let password = try String(text[text.index(after: colon)...]).percentDecoded(key: "password")
        self.password = password.isEmpty ? nil : password
    }

    private mutating func readQuery(_ text: Substring) throws(RedisConfigurationError) {
        for pair in text.split(separator: "&", omittingEmptySubsequences: true) {
            let halves = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            let key = try String(halves[0]).percentDecoded(key: "url")
            guard halves.count == 2 else { throw .init(key: key, value: "", remedy: "\(key)=VALUE") }
            guard !self.query.contains(where: { $0.key == key }) else {
                throw .init(key: key, value: "…", remedy: "the key once, not twice")
            }
            self.query.append((key, try String(halves[1]).percentDecoded(key: key)))
        }
    }

    static func hostPort(
        _ text: String, defaultPort: Int
    ) throws(RedisConfigurationError) -> RedisConfiguration.HostPort {
        var host = text[...]
        var portText: Substring?
        if text.hasPrefix("["), let end = text.firstIndex(of: "]") {
            host = text[text.index(after: text.startIndex)..<end]
            let rest = text[text.index(after: end)...]
            guard rest.isEmpty || rest.hasPrefix(":") else {
                throw .init(key: "host", value: text, remedy: "[address]:port")
            }
            portText = rest.isEmpty ? nil : rest.dropFirst()
        } else if let colon = text.lastIndex(of: ":") {
            guard text.firstIndex(of: ":") == colon else {
                throw .init(key: "host", value: text, remedy: "an IPv6 address in brackets: [address]:port")
            }
            host = text[..<colon]
            portText = text[text.index(after: colon)...]
        }
        guard let portText else { return .init(host: String(host), port: defaultPort) }
        guard let port = Int(portText), (1...65_535).contains(port) else {
            throw .init(key: "port", value: String(portText), remedy: "a number from 1 to 65535")
        }
        return .init(host: String(host), port: port)
    }
}

extension String {
    fileprivate func percentDecoded(key: String) throws(RedisConfigurationError) -> String {
        var bytes: [UInt8] = []
        var iterator = self.utf8.makeIterator()
        while let byte = iterator.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = iterator.next().flatMap(Self.hexValue), let low = iterator.next().flatMap(Self.hexValue)
            else {
                throw .init(key: key, value: "…", remedy: "two hexadecimal digits after each %; a plain % is %25")
            }
            bytes.append(high << 4 | low)
        }
        guard let text = String(validating: bytes, as: UTF8.self), !bytes.contains(0) else {
            throw .init(key: key, value: "…", remedy: "percent-encoded UTF-8 without zero bytes")
        }
        return text
    }

    private static func hexValue(_ digit: UInt8) -> UInt8? {
        switch digit {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): digit - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): digit - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): digit - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
