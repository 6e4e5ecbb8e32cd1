package import BusbarProtocol

/// A hub that is served, whatever its type; or a persistent connection, which is a hub without methods that takes data.
package final class RegisteredHub: Sendable {
    /// What a client called, and with what.
    package struct Invocation: Sendable {
        /// As the client spelled it.
        package var method: String
        package var arguments: CallArguments
        package var rules: ArgumentRules
        /// State and progress of a classic call; nil for core ones.
        package var exchange: ClassicExchange?

        package init(
            method: String, arguments: CallArguments, rules: ArgumentRules, exchange: ClassicExchange? = nil
        ) {
            self.method = method
            self.arguments = arguments
            self.rules = rules
            self.exchange = exchange
        }
    }

    package enum Event: Hashable, Sendable {
        case connected, reconnected
        case disconnected(Disconnection)
    }

    /// What a type is asked for, whatever type it is.
    struct Behaviour: Sendable {
        var invoke: @Sendable (Invocation, HubCall) async -> InvocationOutcome
        /// Set for persistent connections only.
        var receive: (@Sendable (String, HubCall) async -> InvocationOutcome)?
        var handle: @Sendable (Event, HubCall) async -> HubFailure?
        /// Nil if everybody may connect.
        var admits: (@Sendable (Principal?, ConnectionRequest) -> Bool)?
        var signals: @Sendable (ConnectionContext) -> [String]
        var rejoining: @Sendable ([String], ConnectionContext) -> [String]
    }

    /// The spelling that messages to clients and topics use.
    package let name: String

    /// What a page calls it; nil: the name with its first letter in lower case.
    package let scriptName: String?

    /// Where core clients connect, or where the persistent connection is.
    package let path: String

    /// The type's name, for logs.
    package let typeName: String

    /// The methods that clients may call, each name once, as registered.
    package let methods: [MethodName]

    /// Methods that can never be called, because another takes as many arguments under the same name.
    package let ambiguousMethods: [String]

    let type: ObjectIdentifier
    private let behaviour: Behaviour

    init(
        name: String, scriptName: String?, path: String, type: Any.Type, methods: [MethodName], ambiguous: [String],
        behaviour: Behaviour
    ) {
        self.name = name
        self.scriptName = scriptName
        self.path = path
        self.typeName = "\(type)"
        self.type = ObjectIdentifier(type)
        self.methods = methods
        self.ambiguousMethods = ambiguous
        self.behaviour = behaviour
    }

    /// The names of methods that clients may call, as registered, each once.
    package var methodNames: [String] { self.methods.map(\.name) }

    /// Whether what clients send is data and no calls.
    package var isPersistentConnection: Bool { self.behaviour.receive != nil }

    /// Makes a hub and calls one of its methods. Nothing a client sends makes this throw or trap.
    ///
    /// To be run in a task that is cancelled when the connection ends.
    package func invoke(
        _ invocation: Invocation,
        context: ConnectionContext,
        publisher: any HubPublisher
    ) async -> InvocationOutcome {
        await self.behaviour.invoke(invocation, self.call(context, publisher, invocation.exchange))
    }

    /// Hands data of a client to a new instance of the persistent connection. Its value is the direct answer.
    package func receive(
        _ data: String, context: ConnectionContext, publisher: any HubPublisher
    ) async -> InvocationOutcome {
        guard let receive = self.behaviour.receive else { return .failed(HubFailure(.unknownMethod, "no data here")) }
        return await receive(data, self.call(context, publisher, nil))
    }

    /// Tells a new hub that the connection has begun. A failure is to end the connection.
    package func connected(_ context: ConnectionContext, publisher: any HubPublisher) async -> HubFailure? {
        await self.handle(.connected, context, publisher)
    }

    /// Tells a new hub that the connection is back. A failure is to end the connection.
    package func reconnected(_ context: ConnectionContext, publisher: any HubPublisher) async -> HubFailure? {
        await self.handle(.reconnected, context, publisher)
    }

    /// Tells a new hub that the connection has ended. A failure is to be logged: no hub could be made.
    package func disconnected(
        _ context: ConnectionContext,
        ending: Disconnection,
        publisher: any HubPublisher
    ) async -> HubFailure? {
        await self.handle(.disconnected(ending), context, publisher)
    }

    /// Whether somebody may connect.
    /// - Parameter request: evaluated only where it depends on it.
    package func admits(_ user: Principal?, _ request: @autoclosure () -> ConnectionRequest) -> Bool {
        guard let admits = self.behaviour.admits else { return true }
        return admits(user, request())
    }

    /// The names under which a connection listens here: the hub's own, and one for each signal.
    package func listeningNames(of context: ConnectionContext) -> [String] {
        [self.name] + self.behaviour.signals(context).map { Self.name(ofSignal: $0, in: self.name) }
    }

    /// Which of the groups that a client claims to be in it joins again.
    package func rejoining(_ groups: [String], context: ConnectionContext) -> [String] {
        self.behaviour.rejoining(groups, context)
    }

    /// No hub and no persistent connection has a name with `#` in it.
    static func name(ofSignal signal: String, in hub: String) -> String { "\(hub)#\(signal)" }

    private func handle(
        _ event: Event, _ context: ConnectionContext, _ publisher: any HubPublisher
    ) async -> HubFailure? {
        await self.behaviour.handle(event, self.call(context, publisher, ClassicExchange()))
    }

    private func call(
        _ context: ConnectionContext, _ publisher: any HubPublisher, _ exchange: ClassicExchange?
    ) -> HubCall {
        HubCall(context: context, hub: self.name, publisher: publisher, exchange: exchange)
    }
}

/// What a method is called.
package struct MethodName: Hashable, Sendable {
    /// As registered, and as calls name it.
    package let name: String
    /// What a page calls it; nil: the name with its first letter in lower case.
    package let scriptName: String?
}
