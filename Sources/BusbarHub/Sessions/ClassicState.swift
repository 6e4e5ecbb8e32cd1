import BusbarProtocol
import NIOCore

/// What a classic connection takes along when it moves to another event loop.
struct ClassicState: Sendable {
    enum Job: Sendable {
        case connected
        case reconnected(channel: ClassicLifecycle.Channel)
        case call(ClassicInvocation, RegisteredHub, answer: ClassicAnswer)
        /// Data of a persistent connection.
        case data(String, RegisteredHub, answer: ClassicAnswer)
        case disconnected(Disconnection)
        /// Nothing of a connection that moved away is left to do.
        case woundUp

        /// Where the outcome goes, of what a client waits for.
        var answer: ClassicAnswer? {
            switch self {
            case .call(_, _, let answer), .data(_, _, let answer): answer
            case .connected, .reconnected, .disconnected, .woundUp: nil
            }
        }
    }

    let context: ConnectionContext
    var lifecycle: ClassicLifecycle
    var queue: WorkQueue<Job>
    private(set) var hubs: [RegisteredHub]
    /// The names under which the connection listens: of its hubs, and of the signals of a persistent connection.
    private(set) var listeningNames: [String]
    /// The groups it is in; authoritative once this node knows them.
    var groups: Set<HubGroup>
    /// Whether this node knows its groups: from its beginning, or since a replay ran to its end. Until then they are what the client's
    /// token says and what a replay adds to that; a client that leaves in the middle of one brings its token and cursor again.
    var knowsGroups = false
    /// Whether the groups have changed since the client was last told.
    var isTokenDue = false
    /// The groups token that the client has if it has read everything, empty for none.
    var toldToken: String
    /// Whether the client came without that: what told it may have been lost on the way. It is told again with whatever it is sent
    /// next, before its cursor moves beyond what changed its groups; sooner would be at once again and again for a client that never
    /// gives tokens back.
    var lacksToken = false
    /// Whether this node has known the connection since before its present channel.
    var isKnown = false
    var starts: [CheckedContinuation<ClassicStart, Never>] = []
    var isForced = false
    /// Whether the disconnected event runs or has run.
    var isDisconnecting = false

    init(_ opening: ClassicOpening, _ runtime: HubRuntime) {
        let identity = opening.identity
        let configuration = runtime.configuration
        self.context = ConnectionContext(
            id: identity.id, userID: identity.userID, user: identity.user, request: identity.request,
            transport: identity.transport)
        self.lifecycle = ClassicLifecycle(timeouts: ClassicLifecycle.Timeouts(configuration))
        self.queue = WorkQueue(limits: WorkQueue.Limits(configuration))
        self.hubs = opening.hubs
        let context = self.context
        self.listeningNames = opening.hubs.flatMap { $0.listeningNames(of: context) }
        self.toldToken = opening.groupsToken ?? ""
        self.groups = Self.groups(of: opening, context, runtime)
    }

    /// Takes the groups from the client's token, as if this node had never heard of the connection.
    mutating func takeGroups(from opening: ClassicOpening, _ runtime: HubRuntime) {
        self.groups = Self.groups(of: opening, self.context, runtime)
        self.toldToken = opening.groupsToken ?? ""
        self.isTokenDue = false
    }

    /// Those of the client's token that its hubs let it into again.
    private static func groups(
        of opening: ClassicOpening, _ context: ConnectionContext, _ runtime: HubRuntime
    ) -> Set<HubGroup> {
        let claimed = runtime.services.groupsToken.open(opening.groupsToken, connectionID: opening.identity.id)
        let byHub = Dictionary(grouping: claimed, by: \.hub)
        return Set(
            opening.hubs.flatMap { hub in
                let names = byHub[hub.name, default: []].map(\.name)
                guard !names.isEmpty else { return [HubGroup]() }
                return hub.rejoining(names, context: context).map { HubGroup(hub: hub.name, name: $0) }
            })
    }

    /// The connection has a new channel, with hubs of its own.
    mutating func listen(to hubs: [RegisteredHub]) {
        self.hubs = hubs
        let context = self.context
        self.listeningNames = hubs.flatMap { $0.listeningNames(of: context) }
    }
}

extension ClassicLifecycle.Timeouts {
    init(_ configuration: HubConfiguration) {
        self.init()
        self.keepAlive = configuration.classic.keepAlive.map { TimeAmount($0) }
        self.disconnect = TimeAmount(configuration.classic.disconnectTimeout)
        self.connection = TimeAmount(configuration.classic.connectionTimeout)
        self.ending = TimeAmount(configuration.endingTimeout)
    }
}
