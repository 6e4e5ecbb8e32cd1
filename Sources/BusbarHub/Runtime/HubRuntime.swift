public import Busbar
public import Logging
public import NIOCore

/// Runs hubs: carries their messages from the bus to the connections of this node, and calls of clients to the hubs.
public final class HubRuntime: Sendable {
    public let configuration: HubConfiguration
    /// Classic connections: known by id, outliving their sockets.
    package let classic: ClassicConnections
    /// The hubs served, by name and path.
    package let hubs: HubTable

    /// - Throws: ``HubConfigurationError`` if a setting is out of its range.
    public init(
        bus: Bus,
        hubs: [HubRegistration],
        configuration: HubConfiguration = .init(),
        eventLoops: any EventLoopGroup,
        logger: Logger
    ) throws {
        try configuration.validate()
        self.configuration = configuration
        self.hubs = try HubTable(hubs)
        self.classic = ClassicConnections()
    }

    /// Runs hub methods and lifetime events until cancelled; past its return nothing of them is running.
    public func run() async throws {}

    /// Tells every client to go elsewhere, runs their disconnected events and returns when all are done or `timeout` is over.
    ///
    /// New connections are refused from the call on.
    public func drain(timeout: Duration = .seconds(5)) async {}
}
