/// Where a Redis is, who we are to it, and how much of each stream it keeps.
public struct RedisConfiguration: Hashable, Sendable {
    /// How to reach the server that takes writes.
    public enum Server: Hashable, Sendable {
        case tcp(host: String, port: Int)
        case unixSocket(path: String)
        /// The address is asked of Sentinels, again after each loss of the link.
        case sentinel(hosts: [HostPort], primaryName: String)
    }

    public struct HostPort: Hashable, Sendable {
        public let host: String
        public let port: Int

        public init(host: String, port: Int) {
            self.host = host
            self.port = port
        }
    }

    /// How a connection is encrypted, and how the server proves who it is. Needs a build with the trait `TLS`.
    public struct TLS: Hashable, Sendable {
        /// A PEM file of the authorities that are trusted; nil: those of the system.
        public var authoritiesPath: String?
        /// The name that the certificate must be for; nil: the host that is connected to.
        public var serverName: String?
        /// PEM files of the client's own certificate and key, where the server asks for one: both or neither.
        public var certificatePath: String?
        public var privateKeyPath: String?

        public init() {}

        #if TLS
        static let isBuiltIn = true
        #else
        static let isBuiltIn = false
        #endif

        static let missing = RedisConfigurationError(
            key: "scheme", value: "rediss", remedy: "a build with TLS, made by: swift build --traits default,TLS")
    }

    public var server: Server
    /// Nil: not encrypted.
    public var tls: TLS?
    /// ACL user; nil is Redis's default user.
    public var user: String?
    /// Nil or empty: no authentication.
    public var password: Secret?
    /// User and password for the Sentinels themselves, when they have some.
    public var sentinelUser: String?
    public var sentinelPassword: Secret?
    /// Number of the database, `SELECT`ed after connecting.
    public var database: Int
    /// Namespace: two apps on one Redis never see each other. 1 … 100 bytes without braces, spaces and control
    /// characters.
    public var app: String
    /// How many records of each stream are kept, roughly: Redis trims whole blocks of about a hundred.
    public var retainedRecords: Int
    /// How many record bytes of each stream are kept, plus at most one sixteenth.
    public var retainedBytes: Int
    /// The longest that any one request may take, the one under way when a link dies included.
    public var requestLimit: Duration
    /// The pause between two probes of a link. A dead link is recognised after this and ``probeLimit`` at the latest.
    public var probeInterval: Duration
    /// The longest that a probe may stay away while nothing else arrives.
    public var probeLimit: Duration
    /// The longest wait between two attempts to connect.
    public var backOffCeiling: Duration

    public init(
        server: Server,
        user: String? = nil,
        password: Secret? = nil,
        database: Int = 0,
        app: String = "busbar"
    ) throws(RedisConfigurationError) {
        self.server = server
        self.user = user
        self.password = password
        self.database = database
        self.app = app
        self.retainedRecords = 100_000
        self.retainedBytes = 64 << 20
        self.requestLimit = .seconds(5)
        self.probeInterval = .seconds(2)
        self.probeLimit = .seconds(3)
        self.backOffCeiling = .seconds(5)
        try self.validate()
    }

    public init(
        host: String,
        port: Int = 6379,
        password: String = "",
        user: String? = nil,
        database: Int = 0,
        app: String,
        tls: TLS? = nil
    ) throws(RedisConfigurationError) {
        try self.init(
            server: .tcp(host: host, port: port),
            user: user,
            password: password.isEmpty ? nil : Secret(password),
            database: database,
            app: app
        )
        self.tls = tls
        try self.validate()
    }

    /// Checks every value against its limits.
    /// - Throws: ``RedisConfigurationError`` naming the first wrong key, its value and what would be right.
    public func validate() throws(RedisConfigurationError) {
        try Self.check("database", self.database, in: 0...1_000_000)
        try Self.check("retainedRecords", self.retainedRecords, in: 1...1_000_000_000)
        try Self.check("retainedBytes", self.retainedBytes, in: (1 << 16)...(1 << 40))
        let nameIsFit = self.app.utf8.allSatisfy {
            $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}")
        }
        guard nameIsFit, (1...100).contains(self.app.utf8.count) else {
            throw .init(
                key: "app", value: self.app, remedy: "1 to 100 bytes without spaces, braces and control characters")
        }
        for (key, duration) in [
            ("requestLimit", self.requestLimit), ("probeInterval", self.probeInterval), ("probeLimit", self.probeLimit),
            ("backOffCeiling", self.backOffCeiling),
        ] where duration < .milliseconds(10) || duration > .seconds(3_600) {
            throw .init(key: key, value: "\(duration)", remedy: "10 ms to one hour")
        }
        try self.validateTLS()
        switch self.server {
        case .tcp(let host, let port):
            try Self.check(HostPort(host: host, port: port))
        case .unixSocket(let path):
            guard (1...107).contains(path.utf8.count) else {
                throw .init(key: "path", value: path, remedy: "a socket's path of 1 to 107 bytes")
            }
        case .sentinel(let hosts, let primaryName):
            guard !hosts.isEmpty else { throw .init(key: "host", value: "", remedy: "at least one Sentinel's host") }
            for host in hosts { try Self.check(host) }
            guard !primaryName.isEmpty else {
                throw .init(key: "primary", value: "", remedy: "the name under which the Sentinels know the primary")
            }
        }
    }

    private func validateTLS() throws(RedisConfigurationError) {
        guard let tls = self.tls else { return }
        guard TLS.isBuiltIn else { throw TLS.missing }
        if case .unixSocket(let path) = self.server {
            throw .init(key: "tls", value: path, remedy: "no TLS on a socket of this machine")
        }
        guard (tls.certificatePath == nil) == (tls.privateKeyPath == nil) else {
            let missing = tls.certificatePath == nil ? "tlsCertificate" : "tlsKey"
            throw .init(key: missing, value: "", remedy: "a PEM file: the client's certificate and key go together")
        }
    }

    private static func check(_ address: HostPort) throws(RedisConfigurationError) {
        guard !address.host.isEmpty, address.host.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
            throw .init(key: "host", value: address.host, remedy: "a host name or an address, IPv6 in brackets")
        }
        try Self.check("port", address.port, in: 1...65_535)
    }

    private static func check(_ key: String, _ value: Int, in range: ClosedRange<Int>) throws(RedisConfigurationError) {
        guard range.contains(value) else {
            let remedy = "a number from \(range.lowerBound) to \(range.upperBound)"
            throw .init(key: key, value: String(value), remedy: remedy)
        }
    }
}

/// A text that never shows itself: not in descriptions, reflection, logs or errors.
public struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    package let text: String

    public init(_ text: String) {
        self.text = text
    }

    public var description: String { "•••" }
    public var debugDescription: String { "•••" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}

/// What is wrong with a configuration: one line that names the key, the value and what would be right.
public struct RedisConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public let key: String
    /// As given, at most 64 characters; never a password.
    public let value: String
    public let remedy: String

    package init(key: String, value: String, remedy: String) {
        self.key = key
        self.value = String(value.prefix(64))
        self.remedy = remedy
    }

    public var description: String { "\(self.key): \"\(self.value)\" won't do; wanted: \(self.remedy)" }
}
