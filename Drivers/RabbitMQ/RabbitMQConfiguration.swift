public import BusbarDriver

/// Where a RabbitMQ is, who we are to it, and how much of each stream it keeps.
public struct RabbitMQConfiguration: Hashable, Sendable {
    public struct Host: Hashable, Sendable {
        public let name: String
        public let port: Int

        public init(name: String, port: Int = 5672) {
            self.name = name
            self.port = port
        }
    }

    /// How we show who we are.
    public enum Credentials: Hashable, Sendable {
        /// SASL PLAIN.
        case password(user: String, Secret)
        /// SASL EXTERNAL: the broker takes the user from the client's certificate. Wants TLS and the broker's
        /// authentication plugin for it.
        case certificate
    }

    /// How the connection is protected. At least TLS 1.2.
    public struct TLS: Hashable, Sendable {
        /// Certificates that the broker's is checked against, as a PEM file.
        public var authoritiesFile = "/etc/ssl/certs/ca-certificates.crt"
        /// Our own certificate and its key, as PEM files; both or neither.
        public var certificateFile: String?
        public var keyFile: String?
        /// Whether the broker's certificate and the host's name in it are checked. Don't switch it off outside of tests.
        public var isVerified = true

        public init() {}
    }

    /// Nodes of one cluster; each attempt takes the next.
    public var hosts: [Host]
    public var credentials: Credentials
    public var virtualHost: String
    /// Nil: plain text.
    public var tls: TLS?
    /// Namespace within the virtual host: 1 … 100 bytes without control characters. An app's exchange is `busbar.APP`, its
    /// queues are `busbar.APP.N`.
    public var app: String
    /// How many bytes of each stream are kept, plus at most one segment.
    public var retainedBytes: Int
    /// How long records are kept, in whole segments.
    public var retainedAge: Duration
    /// Size of the files in which the broker keeps a stream; whole ones are dropped.
    public var segmentBytes: Int
    /// The longest that any one request may take, the one under way when a link dies included.
    public var requestLimit: Duration
    /// The pause between two probes of a link. A dead link is recognised after this and ``probeLimit`` at the latest.
    public var probeInterval: Duration
    /// The longest that a probe's answer may take while nothing else arrives.
    public var probeLimit: Duration
    /// The longest wait between two attempts to connect.
    public var backOffCeiling: Duration
    /// AMQP's own heartbeat on each connection, in whole seconds; a connection counts as dead after two of them.
    public var heartbeat: Duration

    public init(
        hosts: [Host], credentials: Credentials = .password(user: "guest", Secret("guest")), virtualHost: String = "/",
        tls: TLS? = nil, app: String = "busbar"
    ) throws(BackplaneURLError) {
        self.hosts = hosts
        self.credentials = credentials
        self.virtualHost = virtualHost
        self.tls = tls
        self.app = app
        self.retainedBytes = 64 << 20
        self.retainedAge = .seconds(86_400)
        self.segmentBytes = 4 << 20
        self.requestLimit = .seconds(5)
        self.probeInterval = .seconds(2)
        self.probeLimit = .seconds(3)
        self.backOffCeiling = .seconds(5)
        self.heartbeat = .seconds(10)
        try self.validate()
    }

    /// Checks every value against its limits.
    /// - Throws: ``BackplaneURLError`` naming the first wrong key, its value and what would be right.
    public func validate() throws(BackplaneURLError) {
        guard !self.hosts.isEmpty else { throw .init(key: "host", value: "", remedy: "at least one host") }
        for host in self.hosts {
            guard !host.name.isEmpty, host.name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x7F }) else {
                throw .init(key: "host", value: host.name, remedy: "a host name or an address, IPv6 in brackets")
            }
            try Self.check("port", host.port, in: 1...65_535)
        }
        let nameIsFit = self.app.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }
        guard nameIsFit, (1...100).contains(self.app.utf8.count) else {
            throw .init(key: "app", value: self.app, remedy: "1 to 100 bytes without control characters")
        }
        guard (1...255).contains(self.virtualHost.utf8.count), !self.virtualHost.utf8.contains(0) else {
            throw .init(key: "vhost", value: self.virtualHost, remedy: "a virtual host's name of 1 to 255 bytes")
        }
        if case .certificate = self.credentials, self.tls?.certificateFile == nil {
            throw .init(key: "auth", value: "external", remedy: "amqps: with certificateFile and keyFile")
        }
        if let tls = self.tls, (tls.certificateFile == nil) != (tls.keyFile == nil) {
            throw .init(key: "certificateFile", value: "…", remedy: "certificateFile and keyFile together")
        }
        try Self.check("segmentBytes", self.segmentBytes, in: 1_000...(1 << 30))
        try Self.check("retainedBytes", self.retainedBytes, in: self.segmentBytes...(1 << 40))
        for (key, duration) in [
            ("requestLimit", self.requestLimit), ("probeInterval", self.probeInterval), ("probeLimit", self.probeLimit),
            ("backOffCeiling", self.backOffCeiling),
        ] where duration < .milliseconds(10) || duration > .seconds(3_600) {
            throw .init(key: key, value: "\(duration)", remedy: "10 ms to one hour")
        }
        guard self.retainedAge >= .seconds(1) else {
            throw .init(key: "retainedAge", value: "\(self.retainedAge)", remedy: "one second or more")
        }
        try Self.check("heartbeat", Int(self.heartbeat.components.seconds), in: 1...3_600)
    }

    private static func check(_ key: String, _ value: Int, in range: ClosedRange<Int>) throws(BackplaneURLError) {
        guard range.contains(value) else {
            let remedy = "a number from \(range.lowerBound) to \(range.upperBound)"
            throw .init(key: key, value: String(value), remedy: remedy)
        }
    }
}
