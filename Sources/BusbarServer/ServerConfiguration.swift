public import BusbarHub
import Glibc
import NIOCore

/// Where and how a server serves.
public struct ServerConfiguration: Sendable {
    /// The address to listen on: a numeric one, or a name that resolves to one.
    public var host: String = "127.0.0.1"
    /// The port to listen on; 0 takes any free one, see ``BusbarServer/bind()``.
    public var port: Int = 8080
    public var http = HTTPLimits()
    /// The path of the endpoint of classic clients; nil serves none.
    public var classicPath: String? = "/signalr"
    /// The lowest negotiate version core clients may ask for: 0 or 1.
    public var minimumNegotiateVersion: Int = 0
    /// How long a core client may take from negotiate to its connection.
    public var negotiationLifetime: Duration = .seconds(15)
    /// The pages that may use the hubs, as exact origins such as `https://app.example.org`.
    ///
    /// With a list, web pages of other origins can't open a WebSocket, and listed ones get CORS answers. Nil checks
    /// nothing and sends no CORS field.
    public var allowedOrigins: Set<String>?
    /// Finds out who sends a request; called for each request to a hub endpoint. Nil makes everybody anonymous.
    ///
    /// Returning nil means anonymous. Throwing ``AccessDenied`` answers 401 or 403, any other error 500.
    public var authenticator: (@Sendable (ConnectionRequest) async throws -> Principal?)?
    /// Says whose connection one is: the string that `clients.user(…)` sends to. Asked for each connection, on an event
    /// loop, and must not wait. Nil as the provider makes it the principal's name; nil or an empty text as its answer makes
    /// the connection nobody's.
    public var userID: UserIDProvider?
    /// Sends classic clients elsewhere, or away, when they negotiate. Nil serves them all here.
    ///
    /// Called for each negotiation with its request and the user that the authenticator found. Only clients of 2.4 and
    /// later go elsewhere; older ones are served here all the same.
    public var classicRedirect: (@Sendable (ConnectionRequest, Principal?) async -> ClassicRedirect)?
    /// Files answered from memory.
    public var resources: [ServedResource] = []
    /// How long the first clients may have to wait for the broker; then they are served without it.
    ///
    /// Why they wait: without it no cursor can be handed out that another node could replay from, nor do other nodes know of this one.
    public var startTimeout: Duration = .seconds(2)
    /// How long stopping may take: telling clients, running their disconnected events, closing connections.
    public var drainTimeout: Duration = .seconds(10)

    public init() {}
}

/// Finds the user id of whoever opens a connection, from the request and from what the authenticator found.
public typealias UserIDProvider = @Sendable (ConnectionRequest, Principal?) -> String?

/// What becomes of a classic client that negotiates.
public enum ClassicRedirect: Hashable, Sendable {
    /// It is served here.
    case serve
    /// It negotiates again at this URL: an endpoint's, whose query, if it has one, replaces the client's own. The access token
    /// goes along with all of the client's later requests.
    case redirect(to: String, accessToken: String? = nil)
    /// It is told this text and gives up.
    case refuse(String)
}

/// An authenticator's refusal.
public enum AccessDenied: Error, Hashable, Sendable {
    /// Nobody was recognised: 401.
    case unauthenticated
    /// Somebody was, and may not: 403.
    case forbidden
}

/// Why a server does not start.
public struct ServerError: Error, Hashable, Sendable, CustomStringConvertible {
    public struct Code: Hashable, Sendable {
        let name: String

        /// The address can't be listened on: the port is in use, not permitted, or the address is not of this machine.
        public static let cannotBind = Self(name: "cannotBind")
        /// A setting is out of its range.
        public static let badConfiguration = Self(name: "badConfiguration")
        /// ``BusbarServer/run()`` was called twice.
        public static let alreadyRun = Self(name: "alreadyRun")
        /// The listening socket failed while the server ran.
        public static let listenerFailed = Self(name: "listenerFailed")
    }

    public let code: Code
    public let detail: String

    public var description: String { self.detail }
}

extension ServerError {
    init(binding host: String, _ port: Int, failedWith error: any Error) {
        let why: String
        switch (error as? IOError)?.errnoCode {
        case EADDRINUSE: why = "the port is in use; stop what uses it or choose another port"
        case EACCES: why = "not permitted; ports below 1024 need a privilege"
        case EADDRNOTAVAIL: why = "this machine does not have that address"
        default: why = error is SocketAddressError ? "the name does not resolve to an address" : "\(error)"
        }
        self.init(code: .cannotBind, detail: "cannot listen on \(host):\(port): \(why)")
    }
}

extension ServerConfiguration {
    /// - Throws: ``ServerError/Code/badConfiguration`` for the first setting that is out of its range.
    public func validate() throws(ServerError) {
        func require(_ holds: Bool, _ detail: @autoclosure () -> String) throws(ServerError) {
            if !holds { throw ServerError(code: .badConfiguration, detail: detail()) }
        }
        try require((0...65_535).contains(self.port), "port \(self.port): must be 0 to 65535")
        if let path = self.classicPath {
            try require(
                path.hasPrefix("/") && path.count > 1 && !path.hasSuffix("/"),
                "classicPath \(path): must begin with '/', name a segment and not end with '/'")
        }
        try require((0...1).contains(self.minimumNegotiateVersion), "minimumNegotiateVersion: must be 0 or 1")
        try require(self.negotiationLifetime >= .seconds(1), "negotiationLifetime: must be at least 1 s")
        try require(self.drainTimeout > .zero, "drainTimeout: must be above zero")
        try require(self.http.headBytes >= 1_024, "http.headBytes: must be at least 1024")
        try require(self.http.fieldCount >= 16, "http.fieldCount: must be at least 16")
        try require(self.http.bodyBytes >= 0, "http.bodyBytes: must not be negative")
        try require(self.http.connections >= 1, "http.connections: must be at least 1")
    }
}
