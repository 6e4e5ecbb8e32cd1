import BusbarProtocol
import NIOCore

/// What a classic connection takes along when it moves to another event loop.
struct ClassicState: Sendable {
    enum Job: Sendable {
        case connected
        case reconnected(channel: ClassicLifecycle.Channel)
        case call(ClassicInvocation, RegisteredHub, channel: ClassicLifecycle.Channel)
        /// A call that did not come over the channel; its result goes back to where it came from.
        case posted(ClassicInvocation, RegisteredHub, ClassicReply)
        case disconnected(Disconnection)
        /// Nothing of a connection that moved away is left to do.
        case woundUp
    }

    let context: ConnectionContext
    var lifecycle: ClassicLifecycle
    var queue: WorkQueue<Job>
    var hubs: [RegisteredHub]
    /// The groups it is in; authoritative as long as the connection is known here.
    var groups: Set<HubGroup>
    /// Whether the groups have changed since the client was last told.
    var isTokenDue = false
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
        let names = Set(opening.hubs.map(\.name))
        self.groups = runtime.services.groupsToken.open(opening.groupsToken, connectionID: identity.id)
            .filter { names.contains($0.hub) }
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
