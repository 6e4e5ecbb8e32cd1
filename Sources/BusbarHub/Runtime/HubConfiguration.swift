/// Settings of a hub runtime: what both generations of clients share, and what belongs to one of them.
public struct HubConfiguration: Hashable, Sendable {
    /// Clients of ASP.NET Core SignalR.
    public struct Core: Hashable, Sendable {
        /// How long a new connection may take to send its handshake.
        public var handshakeTimeout: Duration = .seconds(15)
        /// Time between two pings of the server, whatever else is sent.
        public var keepAliveInterval: Duration = .seconds(15)
        /// How long a client that has pinged once may stay silent.
        public var clientTimeout: Duration = .seconds(30)
        /// How long a client that never pinged may stay silent. Some clients never ping.
        public var silentClientTimeout: Duration = .seconds(3600)
        /// Largest message of a client including its record separator, in bytes; nil = unlimited.
        public var maximumReceiveMessageBytes: Int? = 32_768
        /// How long a client may take to answer a call of one of its methods, unless the call says otherwise.
        public var clientResultTimeout: Duration = .seconds(30)
        /// Calls that one client may have to answer at a time. Beyond: asking fails.
        public var clientResultLimit = 64
        /// Whether clients that ask for stateful reconnect get it: back within ``reconnectTimeout`` after their WebSocket broke, they
        /// go on with the connection that they had, on the node that has it, and miss nothing.
        public var allowsStatefulReconnect = true
        /// How long a connection with stateful reconnect is kept while its client is away.
        public var reconnectTimeout: Duration = .seconds(15)
        /// How many connections may be kept for clients that are away, on this node. One more ends when its link breaks.
        public var absentLimit = 10_000
        /// Bytes that a connection with stateful reconnect may be sent and not acknowledge. Beyond them what it is sent waits, and
        /// counts towards ``HubConfiguration/outboundLimitBytes`` with the rest.
        public var statefulReconnectBufferBytes = 100_000

        public init() {}
    }

    /// Clients of ASP.NET SignalR 1.2 to 2.x.
    public struct Classic: Hashable, Sendable {
        /// How long a transport may take to become ready; told to clients.
        public var transportConnectTimeout: Duration = .seconds(5)
        /// How long a long poll may last.
        public var connectionTimeout: Duration = .seconds(110)
        /// How long a connection without a channel is kept, at least 6 s.
        public var disconnectTimeout: Duration = .seconds(30)
        /// Time between two keep-alives, at least 2 s and at most a third of ``disconnectTimeout``; nil = none. As long
        /// as it is not set it is that third, whatever that becomes.
        public var keepAlive: Duration? {
            get {
                switch self.keepAliveChoice {
                case .aThird: self.disconnectTimeout / 3
                case .every(let interval): interval
                case .off: nil
                }
            }
            set { self.keepAliveChoice = newValue.map { .every($0) } ?? .off }
        }
        /// Largest WebSocket message of a client in bytes; nil = unlimited.
        public var maximumWebSocketMessageBytes: Int? = 65_536
        /// How long a client waits before its next long poll.
        public var longPollDelay: Duration = .zero
        /// Connections of this node, those without a channel included. Beyond: the channel of a new one is closed.
        public var connectionLimit = 100_000
        /// Whether the generated hub script is served.
        public var javaScriptProxies = true
        /// Whether answers may be wrapped in a callback.
        public var jsonp = false

        private enum KeepAliveChoice: Hashable, Sendable {
            case aThird, off
            case every(Duration)
        }

        private var keepAliveChoice = KeepAliveChoice.aThird

        public init() {}
    }

    public var core = Core()
    public var classic = Classic()
    /// Whether callers see the text of errors that aren't hub errors. For development only.
    public var detailedErrors = false
    /// Bytes that may wait for one connection before it is ended as a slow consumer.
    public var outboundLimitBytes = 1 << 20
    /// Invocations of one connection that may wait behind the running one before its transport isn't read any further.
    public var queuedInvocationLimit = 64
    /// Bytes of invocations of one connection that may wait behind the running one; at least one message always may.
    public var queuedInvocationLimitBytes = 65_536
    /// How long the work of an ended connection may go on before its disconnected event runs beside it.
    public var endingTimeout: Duration = .seconds(5)
    /// Groups that one connection may be in. Beyond: joining fails.
    public var groupLimit = 10_000
    /// How long a change of a group may take, the node of the connection being alive.
    public var groupTimeout: Duration = .seconds(30)
    /// What people call this node, in logs and lists of nodes; empty: a random word. At most 64 bytes.
    public var nodeName = ""
    /// Bytes of hub messages that may wait for one event loop before the bus is slowed down.
    public var laneLimitBytes = 4 << 20
    /// Bytes that are replayed to, or held for, a classic client that comes back.
    public var replayLimitBytes = 1 << 20

    public init() {}
}

/// A setting that can't be: which one, what it is and what would be right.
public struct HubConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
    public let setting: String
    public let detail: String

    public var description: String { "\(self.setting): \(self.detail)" }
}

extension HubConfiguration {
    /// Checks every setting against its range.
    /// - Throws: ``HubConfigurationError`` for the first one that is out of it.
    public func validate() throws(HubConfigurationError) {
        func require(
            _ holds: Bool, _ setting: String, _ detail: @autoclosure () -> String
        ) throws(HubConfigurationError) {
            if !holds { throw HubConfigurationError(setting: setting, detail: detail()) }
        }
        let core = self.core, classic = self.classic
        try require(core.handshakeTimeout > .zero, "core.handshakeTimeout", "must be above zero")
        try require(core.keepAliveInterval >= .seconds(1), "core.keepAliveInterval", "must be at least 1 s")
        try require(
            core.clientTimeout > core.keepAliveInterval, "core.clientTimeout", "must be above core.keepAliveInterval")
        try require(
            core.silentClientTimeout >= core.clientTimeout, "core.silentClientTimeout",
            "must be at least core.clientTimeout")
        try require(
            core.maximumReceiveMessageBytes ?? 1 > 0, "core.maximumReceiveMessageBytes", "must be above zero or absent")
        try require(core.clientResultTimeout > .zero, "core.clientResultTimeout", "must be above zero")
        try require(core.clientResultLimit > 0, "core.clientResultLimit", "must be above zero")
        try require(core.absentLimit >= 0, "core.absentLimit", "must not be negative")
        try require(core.reconnectTimeout > .zero, "core.reconnectTimeout", "must be above zero")
        try require(
            core.statefulReconnectBufferBytes > 0, "core.statefulReconnectBufferBytes", "must be above zero")
        try require(
            classic.disconnectTimeout >= .seconds(6), "classic.disconnectTimeout", "must be at least 6 s")
        if let keepAlive = classic.keepAlive {
            try require(
                keepAlive >= .seconds(2) && keepAlive <= classic.disconnectTimeout / 3, "classic.keepAlive",
                "must be at least 2 s and at most a third of classic.disconnectTimeout, or absent")
        }
        try require(
            classic.transportConnectTimeout > .zero, "classic.transportConnectTimeout", "must be above zero")
        try require(classic.connectionTimeout > .zero, "classic.connectionTimeout", "must be above zero")
        try require(classic.longPollDelay >= .zero, "classic.longPollDelay", "must not be negative")
        try require(
            classic.maximumWebSocketMessageBytes ?? 1 > 0, "classic.maximumWebSocketMessageBytes",
            "must be above zero or absent")
        try require(self.outboundLimitBytes > 0, "outboundLimitBytes", "must be above zero")
        try require(self.queuedInvocationLimit > 0, "queuedInvocationLimit", "must be above zero")
        try require(self.queuedInvocationLimitBytes > 0, "queuedInvocationLimitBytes", "must be above zero")
        try require(self.laneLimitBytes >= 65_536, "laneLimitBytes", "must be at least 65536")
        try require(self.replayLimitBytes >= 65_536, "replayLimitBytes", "must be at least 65536")
        try require(self.endingTimeout > .zero, "endingTimeout", "must be above zero")
        try require(self.groupTimeout > .zero, "groupTimeout", "must be above zero")
        try require(self.nodeName.utf8.count <= 64, "nodeName", "must have at most 64 bytes")
        try require(self.groupLimit > 0, "groupLimit", "must be above zero")
        try require(classic.connectionLimit > 0, "classic.connectionLimit", "must be above zero")
    }
}
