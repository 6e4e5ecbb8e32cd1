/// What clients call: a type of the application with methods, of which one instance serves one call or one event.
///
/// ```swift
/// struct ChatHub: Hub {
///     let call: HubCall
///
///     init(_ call: HubCall) { self.call = call }
///
///     static var methods: [HubMethod<Self>] {
///         [HubMethod("send", send), HubMethod("join", join)]
///     }
///
///     func send(text: String) async throws {
///         try await self.clients.all.messageReceived(text)
///     }
///
///     func join(room: String) async throws {
///         try await self.groups.add(self.context.id, to: room)
///     }
/// }
/// ```
///
/// A struct is the natural hub. A class must be `final`; its `deinit` runs once after each call. What outlives a call
/// belongs in the items of ``context`` or in an object that a factory hands to each instance, see ``HubRegistration``.
/// Methods of an actor cannot be referred to without an instance; register them with a closure.
public protocol Hub: Sendable {
    /// Makes the instance for one call. Only the default factory calls it.
    init(_ call: HubCall)

    /// The call this instance was made for, as it was given to the initializer.
    var call: HubCall { get }

    /// What clients know the hub as, in any case; the type's name without generic arguments unless declared here or
    /// given at registration.
    static var name: String { get }

    /// What clients may call. Nothing else of the type can be reached from outside.
    static var methods: [HubMethod<Self>] { get }

    /// Who may connect, and who may call; everybody unless declared here.
    static var authorization: HubAuthorization { get }

    /// A connection has begun. A thrown error ends it.
    func connected() async throws

    /// A classic connection is back after an interruption. A thrown error ends it. Core connections never come back.
    func reconnected() async throws

    /// A connection has ended. Called once for each that began, also when ``connected()`` threw.
    func disconnected(_ ending: Disconnection) async
}

extension Hub {
    public static var name: String { Self.typeName }

    public static var authorization: HubAuthorization { .everybody }

    static var typeName: String { String(String(describing: Self.self).prefix { $0 != "<" }) }

    public func connected() async throws {}
    public func reconnected() async throws {}
    public func disconnected(_ ending: Disconnection) async {}

    /// Whom to send to.
    public var clients: HubCallerClients {
        HubCallerClients(call: self.call)
    }

    /// Who is in which group of this hub.
    public var groups: HubGroups { HubGroups(sender: self.call.sender) }

    /// The connection that made the call or that the event is about.
    public var context: ConnectionContext { self.call.context }
}
