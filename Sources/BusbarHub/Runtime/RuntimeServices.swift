import Busbar
import Logging
import Metrics
import NIOCore
import Synchronization

/// What every part of a runtime shares.
final class RuntimeServices: Sendable {
    let bus: Bus
    let configuration: HubConfiguration
    let hubs: HubTable
    let pipeline: HubPipeline
    let logger: Logger
    let metrics = RuntimeMetrics()
    let mailbox = WorkMailbox()
    let groupsToken: GroupsToken
    let classicDirectory: ClassicDirectory
    let connections: LocalConnections
    let coreReturns: CoreReturns
    let nodes: NodeExchange
    private let draining = Atomic<Bool>(false)

    init(bus: Bus, configuration: HubConfiguration, hubs: HubTable, pipeline: HubPipeline, logger: Logger) {
        self.bus = bus
        self.configuration = configuration
        self.hubs = hubs
        self.pipeline = pipeline
        self.logger = logger
        self.groupsToken = GroupsToken(key: bus.configuration.farmKey ?? .generate())
        self.classicDirectory = ClassicDirectory(limit: configuration.classic.connectionLimit)
        self.coreReturns = CoreReturns(limit: configuration.core.absentLimit)
        self.connections = LocalConnections(classic: self.classicDirectory)
        self.nodes = NodeExchange(
            bus: bus, name: configuration.nodeName, connections: self.connections, mailbox: self.mailbox, logger: logger
        )
    }

    /// What long polls are told to wait before the next one.
    var longPollDelayMilliseconds: Int {
        let delay = self.configuration.classic.longPollDelay.components
        return Int(delay.seconds) * 1_000 + Int(delay.attoseconds / 1_000_000_000_000_000)
    }

    /// Whether new connections are refused.
    var isDraining: Bool { self.draining.load(ordering: .relaxed) }

    func beginDraining() { self.draining.store(true, ordering: .relaxed) }
}

extension RuntimeServices {
    /// A connection was to join more groups than it may be in.
    func tooManyGroups(_ id: String, hub: String) {
        self.logger.warning(
            "a connection may not join any more groups",
            metadata: ["connection": "\(id)", "hub": "\(hub)", "limit": "\(self.configuration.groupLimit)"])
    }

    /// Counts a call or an event that failed, and logs it.
    ///
    /// Why some at debug level: clients could write the log at will.
    func note(_ failure: HubFailure, _ what: Logger.Message, connection: String, hub: String) {
        self.metrics.failures.increment()
        self.logger.log(
            level: failure.isClientsDoing ? .debug : .info, what,
            metadata: ["hub": "\(hub)", "connection": "\(connection)", "error": "\(failure.logText)"])
    }

    /// A connection has come to its end, on this node and no other: its disconnected event runs.
    func connectionEnded(_ id: String, hub: String, _ disconnection: Disconnection) {
        self.metrics.disconnected.increment()
        self.logger.debug(
            "a connection has ended",
            metadata: ["connection": "\(id)", "hub": "\(hub)", "reason": "\(disconnection.reason)"])
    }

    /// The link of a connection broke without a goodbye.
    func transportBroke() { self.metrics.brokenTransports.increment() }

    /// A connection is ended because it doesn't read what it is sent. Counted and logged once per connection.
    func slowConsumer(_ id: String, hub: String) {
        self.metrics.slowConsumers.increment()
        self.logger.warning(
            "a connection reads too slowly and is ended",
            metadata: [
                "connection": "\(id)", "hub": "\(hub)", "limitBytes": "\(self.configuration.outboundLimitBytes)",
            ])
    }
}
