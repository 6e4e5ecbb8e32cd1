public import Busbar
public import BusbarHub
public import Logging
import Metrics
import NIOCore
public import NIOPosix
public import ServiceLifecycle
import Synchronization

/// Serves hubs over HTTP to SignalR clients of both generations.
///
/// ```swift
/// let logger = Logger(label: "chat")
/// let server = try BusbarServer(
///     bus: Bus(driver: MemoryDriver(), logger: logger),
///     hubs: [.hub(ChatHub.self, path: "/chat")],
///     logger: logger
/// )
/// try await server.run()
/// ```
public final class BusbarServer: Service {
    private enum State {
        case idle
        case bound(any Channel, port: Int)
        case serving(any Channel)
        case stopping
        case stopped
    }

    private let configuration: ServerConfiguration
    private let bus: Bus
    package let runtime: HubRuntime
    private let router: Router
    private let work = WorkQueue()
    private let connections: OpenConnections
    private let rosters: Rosters
    private let eventLoops: MultiThreadedEventLoopGroup
    private let logger: Logger
    private let state: StateBox

    /// - Parameters:
    ///   - bus: carries what hubs send. The server runs it.
    ///   - hubs: what is served, see ``HubRegistration``.
    ///   - persistentConnections: endpoints of classic clients without hubs, see ``PersistentConnection``.
    ///   - pipeline: what every call, message and event of the hubs passes through, see ``HubModule``.
    /// - Throws: ``ServerError``, ``HubConfigurationError`` or ``HubRegistrationError`` for a setting that can't be.
    public init(
        bus: Bus,
        hubs: [HubRegistration],
        persistentConnections: [PersistentConnectionRegistration] = [],
        pipeline: HubPipeline = .init(),
        configuration: ServerConfiguration = .init(),
        hubConfiguration: HubConfiguration = .init(),
        eventLoops: MultiThreadedEventLoopGroup = .singleton,
        logger: Logger
    ) throws {
        try configuration.validate()
        let state = StateBox()
        self.configuration = configuration
        self.bus = bus
        self.eventLoops = eventLoops
        self.logger = logger
        self.state = state
        self.connections = OpenConnections(limit: configuration.http.connections)
        self.runtime = try HubRuntime(
            bus: bus, hubs: hubs, persistentConnections: persistentConnections, pipeline: pipeline,
            configuration: hubConfiguration, eventLoops: eventLoops, logger: logger)
        self.rosters = Rosters(eventLoops, counter: Counter(label: "busbar_server_outbound_bytes"))
        self.router = Router(
            configuration: configuration, runtime: self.runtime,
            key: bus.configuration.farmKey ?? .generate(),
            clock: .system, work: self.work, logger: logger
        ) {
            guard state.isServing else { return "The server is starting or stopping." }
            let status = bus.status
            return status.isReady
                ? nil : "The bus is \(status.phase)\(status.reason.map { "; the broker: \($0)" } ?? "")."
        }
    }

    /// Takes the port, without serving yet, and returns it: the way to learn which one port 0 became. ``run()`` does
    /// this itself where it has not been done.
    /// - Throws: ``ServerError`` that names address and port.
    @discardableResult
    public func bind() async throws -> Int {
        if case .bound(_, let port) = self.state.get() { return port }
        let channel: any Channel
        do {
            channel = try await self.makeBootstrap().bind(host: self.configuration.host, port: self.configuration.port)
                .get()
        } catch {
            throw ServerError(binding: self.configuration.host, self.configuration.port, failedWith: error)
        }
        let port = channel.localAddress?.port ?? self.configuration.port
        self.state.set(.bound(channel, port: port))
        return port
    }

    /// Runs bus, hubs and server until graceful shutdown or cancellation, or until one of them fails.
    ///
    /// Graceful shutdown stops accepting, tells clients, runs their disconnected events, closes connections and
    /// returns, at the latest after ``ServerConfiguration/drainTimeout``. Cancellation closes everything at once. A
    /// server runs once.
    public func run() async throws {
        let port = try await self.bind()
        guard case .bound(let listener, _) = self.state.get() else {
            throw ServerError(code: .alreadyRun, detail: "a server runs once; make another one")
        }
        self.state.set(.serving(listener))
        let url = "http://\(self.configuration.host):\(port)"
        self.logger.info("serving", metadata: ["url": "\(url)"])
        defer {
            self.state.set(.stopped)
            self.logger.info("stopped", metadata: ["url": "\(url)"])
        }
        try await withTaskCancellationOrGracefulShutdownHandler {
            try await self.runAll(listener)
        } onCancelOrGracefulShutdown: {
            self.state.stop()
        }
    }

    private func runAll(_ listener: any Channel) async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            group.addTask {
                try await self.bus.run()
                return false
            }
            group.addTask {
                try await self.runtime.run()
                return false
            }
            group.addTask {
                await self.work.run()
                return false
            }
            group.addTask {
                try await self.serve(listener)
                return true
            }
            do {
                while let isServed = try await group.next(), !isServed {}
            } catch {
                // Why here: the sockets must be gone before the bus's or a hub's failure is passed on.
                await self.closeAll(listener)
                group.cancelAll()
                throw error
            }
            group.cancelAll()
            while let result = await group.nextResult() { try Self.passUnlessCancelled(result) }
        }
    }

    private static func passUnlessCancelled(_ result: Result<Bool, any Error>) throws {
        if case .failure(let error) = result, !(error is CancellationError) { throw error }
    }

    /// Accepts connections until the listener is closed, then lets the open ones end.
    private func serve(_ listener: any Channel) async throws {
        self.rosters.start(clock: .system)
        await self.waitForPlace()
        do {
            try await listener.setOption(.autoRead, value: true).get()
            listener.read()
        } catch ChannelError.ioOnClosedChannel {
            // Why: the server may be stopped before it has begun to accept.
        }
        try await listener.closeFuture.get()
        let isWanted = self.state.isStopping
        if !Task.isCancelled {
            let deadline = ContinuousClock.now + self.configuration.drainTimeout
            self.rosters.windUp()
            await self.runtime.drain(timeout: self.configuration.drainTimeout / 2)
            await self.connections.empty(within: TimeAmount(deadline - .now), on: listener.eventLoop)
        }
        await self.closeAll(listener)
        if !isWanted, !Task.isCancelled {
            throw ServerError(code: .listenerFailed, detail: "the listening socket was closed while the server ran")
        }
    }

    /// Waits until the hubs know where the streams stand, and other nodes know of this one. A cursor from before says nothing, and a
    /// client that took it to another node would lose what has happened meanwhile, the groups it was put into above all; and another
    /// node would say of a connection that nobody has it. Not for a broker that is away.
    private func waitForPlace() async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.runtime.settle() }
            group.addTask {
                try? await cancelWhenGracefulShutdown { try await Task.sleep(for: self.configuration.startTimeout) }
            }
            await group.next()
            group.cancelAll()
        }
    }

    private func closeAll(_ listener: any Channel) async {
        self.state.stop()
        self.work.finish()
        try? await listener.closeFuture.get()
        self.rosters.abandonAll()
        await self.connections.empty(within: .seconds(2), on: listener.eventLoop)
        self.rosters.stop()
    }

    private func makeBootstrap() -> ServerBootstrap {
        let connections = self.connections
        let rosters = self.rosters
        let router = self.router
        let limits = self.configuration.http
        return ServerBootstrap(group: self.eventLoops)
            .serverChannelOption(.backlog, value: 1_024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            // Why: the port is taken early, but nobody is answered before the hubs run and know their place.
            .serverChannelOption(.autoRead, value: false)
            .childChannelOption(.tcpOption(.tcp_nodelay), value: 1)
            .childChannelOption(.maxMessagesPerRead, value: ReceiveBuffers.readsPerTurn)
            .childChannelOption(.recvAllocator, value: ReceiveBuffers())
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    let isAdmitted = connections.enter()
                    channel.closeFuture.whenComplete { _ in connections.leave() }
                    let handler = HTTPConnection(
                        service: router, roster: rosters.roster(of: channel.eventLoop), limits: limits,
                        isRefused: !isAdmitted)
                    try channel.pipeline.syncOperations.addHandler(handler)
                }
            }
    }
}

extension BusbarServer {
    /// A hub seen from outside: its clients and groups. Nil if the hub isn't served under its own name.
    public func context<H: Hub>(for hub: H.Type) -> HubContext? { self.runtime.context(for: hub) }

    /// A hub seen from outside, by the name it is served under, in any case. Nil if none is.
    public func context(named name: String) -> HubContext? { self.runtime.context(named: name) }

    /// A persistent connection seen from outside; of a type that is served at several paths, the first. Nil if the type
    /// isn't served.
    public func context<C: PersistentConnection>(for type: C.Type) -> PersistentConnectionContext? {
        self.runtime.context(for: type)
    }

    /// A persistent connection seen from outside, by its path in any case. Nil if none is served there.
    public func persistentConnection(at path: String) -> PersistentConnectionContext? {
        self.runtime.persistentConnection(at: path)
    }
}

extension BusbarServer {
    /// Connections of clients that are open, whatever they speak.
    package var connectionCount: Int { self.connections.count }

    /// Connections whose deadlines are watched: as many as are open, once all that has happened has been processed.
    package func watchedConnectionCount() async -> Int { await self.rosters.count() }
}

extension BusbarServer {
    /// Where the server stands, shared with what answers for its readiness.
    private final class StateBox: Sendable {
        private let state = Mutex(State.idle)

        func get() -> State { self.state.withLock { $0 } }

        func set(_ state: State) { self.state.withLock { $0 = state } }

        var isServing: Bool {
            if case .serving = self.get() { true } else { false }
        }

        var isStopping: Bool {
            if case .stopping = self.get() { true } else { false }
        }

        /// Closes the listener, once.
        func stop() {
            let listener = self.state.withLock { state -> (any Channel)? in
                guard case .serving(let listener) = state else { return nil }
                state = .stopping
                return listener
            }
            listener?.close(promise: nil)
        }
    }
}
