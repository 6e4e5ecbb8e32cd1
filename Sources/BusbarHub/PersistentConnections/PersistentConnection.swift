/// An endpoint of classic clients without hubs: each message is a text, and what it means is the application's affair.
///
/// ```swift
/// struct Echo: PersistentConnection {
///     let call: PersistentCall
///
///     init(_ call: PersistentCall) { self.call = call }
///
///     func received(_ data: String) async throws {
///         try await self.connection.send(data, to: self.context.id)
///         try await self.connection.broadcast(["from": self.context.id, "text": data], except: [self.context.id])
///     }
/// }
///
/// let server = try BusbarServer(
///     bus: bus, hubs: [], persistentConnections: [.connection(Echo.self, path: "/echo")], logger: logger)
/// ```
///
/// ```js
/// const connection = $.connection("/echo");
/// connection.received((data) => show(data));
/// connection.start().done(() => connection.send("hello"));
/// ```
///
/// One instance serves one message or one event, as with a ``Hub``; every transport, the groups token and resumption
/// work as they do for hubs.
public protocol PersistentConnection: Sendable {
    /// Makes the instance for one message or event. Only the default factory calls it.
    init(_ call: PersistentCall)

    /// What this instance was made for, as it was given to the initializer.
    var call: PersistentCall { get }

    /// Whether a request to the endpoint may go on; asked for every one, on an event loop, and must not wait. False
    /// answers 401 to nobody and 403 to somebody.
    static func authorize(_ request: ConnectionRequest, user: Principal?) -> Bool

    /// Names that the connection listens to besides its own id and everybody: what is sent to one of them reaches it.
    /// Asked at each connect and reconnect, on an event loop, and must not wait.
    static func signals(for context: ConnectionContext) -> [String]

    /// Which of the groups that a client claims to be in it joins again, when it comes back to a node that does not know
    /// it. Runs on an event loop and must not wait.
    static func rejoiningGroups(_ groups: [String], context: ConnectionContext) -> [String]

    /// A connection has begun. A thrown error ends it.
    func connected() async throws

    /// The client has sent something; empty if it sent nothing. A thrown error answers 500 to a client that sent by
    /// HTTP, and is logged otherwise.
    func received(_ data: String) async throws

    /// A connection is back after an interruption. A thrown error ends its channel.
    func reconnected() async throws

    /// A connection has ended. Called once for each that began, also when ``connected()`` threw.
    func disconnected(_ ending: Disconnection) async
}

extension PersistentConnection {
    public static func authorize(_ request: ConnectionRequest, user: Principal?) -> Bool { true }
    public static func signals(for context: ConnectionContext) -> [String] { [] }
    public static func rejoiningGroups(_ groups: [String], context: ConnectionContext) -> [String] { groups }

    public func connected() async throws {}
    public func received(_ data: String) async throws {}
    public func reconnected() async throws {}
    public func disconnected(_ ending: Disconnection) async {}

    /// Whom to send to.
    public var connection: PersistentClients { PersistentClients(sender: self.call.sender) }

    /// Who is in which group of this endpoint, and how to send to them.
    public var groups: PersistentGroups { PersistentGroups(sender: self.call.sender) }

    /// The connection that the message or event is about.
    public var context: ConnectionContext { self.call.context }

    /// Answers the message at hand directly instead of through the bus: as the body of the answer to a client that sent
    /// by HTTP, as a message of its own over a WebSocket. The last value counts; in events it does nothing.
    public func respond(with value: some Encodable & Sendable) throws(HubSendError) {
        self.call.response.set(try PersistentClients.text(of: value))
    }
}
