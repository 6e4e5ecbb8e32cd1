public import Busbar
import BusbarProtocol
public import Logging
public import NIOCore
import Synchronization

/// Runs hubs: carries their messages from the bus to the connections of this node, and calls of clients to the hubs.
public final class HubRuntime: Sendable {
    /// The hubs served, by name and path.
    package let hubs: HubTable
    /// The persistent connections served, in the order of registration.
    package let persistentConnections: [RegisteredHub]
    /// Classic connections: known by id, outliving their sockets.
    package var classic: ClassicConnections { ClassicConnections(runtime: self) }
    let services: RuntimeServices
    var classicDirectory: ClassicDirectory { self.services.classicDirectory }
    private let channels = Atomic<UInt64>(0)
    private let loops: [LoopHandle]
    private let handles: [ObjectIdentifier: LoopHandle]
    private let pump: TapPump

    /// - Parameters:
    ///   - bus: what hub messages travel on, also those to the node's own clients. Run it beside the runtime.
    ///   - persistentConnections: endpoints of classic clients without hubs.
    ///   - pipeline: what every call, message and event of the hubs passes through.
    ///   - eventLoops: the loops that the connections live on.
    /// - Throws: ``HubConfigurationError`` if a setting is out of its range, ``HubRegistrationError`` if hubs can't be
    ///   served as they are registered.
    public init(
        bus: Bus,
        hubs: [HubRegistration],
        persistentConnections: [PersistentConnectionRegistration] = [],
        pipeline: HubPipeline = .init(),
        configuration: HubConfiguration = .init(),
        eventLoops: any EventLoopGroup,
        logger: Logger
    ) throws {
        try configuration.validate()
        let eventLoops = Array(eventLoops.makeIterator())
        self.hubs = try HubTable(hubs, pipeline: pipeline)
        self.persistentConnections = try PersistentConnectionRegistration.resolve(persistentConnections)
        let services = RuntimeServices(
            bus: bus, configuration: configuration, hubs: self.hubs, pipeline: pipeline, logger: logger)
        var limits = SubscriberLimits()
        limits.queuedBytes = configuration.laneLimitBytes
        self.services = services
        let wakeUp = TapWakeUp()
        let tap = bus.tap(limits: limits) { wakeUp.call() }
        self.loops = eventLoops.map { LoopHandle(eventLoop: $0, services: services, frontier: tap.frontier) }
        self.handles = Dictionary(
            self.loops.map { (ObjectIdentifier($0.eventLoop), $0) }, uniquingKeysWith: { first, _ in first })
        self.pump = TapPump(tap: tap, loops: self.loops, services: services)
        wakeUp.attach(self.pump)
    }

    public var configuration: HubConfiguration { self.services.configuration }

    /// Runs hub methods and lifetime events until cancelled; past its return nothing of them is running, and
    /// connections that were left are let go of without a disconnected event. To be run once; ``drain(timeout:)`` first.
    public func run() async throws {
        let ticks = self.loops.map { handle in
            handle.eventLoop.scheduleRepeatedTask(initialDelay: .seconds(1), delay: .seconds(1)) { _ in
                handle.session.value.tick(now: handle.eventLoop.now)
            }
        }
        defer {
            for tick in ticks { tick.cancel() }
            self.pump.stop()
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.learnPlace() }
            group.addTask { await self.services.nodes.run { await self.serve($0) } }
            await self.services.mailbox.run()
            group.cancelAll()
        }
        self.services.beginDraining()
        for handle in self.loops {
            try? await handle.eventLoop.submit { handle.session.value.stop() }.get()
        }
    }

    /// Waits until the bus knows where its streams stand, so that cursors of clients who connect before the first
    /// message say it too.
    private func learnPlace() async {
        while !Task.isCancelled {
            do throws(BusError) {
                try await self.services.bus.waitForFirstLink(Set(self.services.bus.streams.indices))
                return self.pump.refresh()
            } catch {
                guard error.code == .brokerAway else { return }
            }
        }
    }

    /// What the tick of every second does, as if it were `now`.
    package func tick(at now: NIODeadline) async throws {
        for handle in self.loops {
            try await handle.eventLoop.submit { handle.session.value.tick(now: now) }.get()
        }
    }

    /// The token that a classic client in these groups carries.
    package func groupsToken(_ groups: [HubGroup], connectionID: String) -> String {
        self.services.groupsToken.seal(groups, connectionID: connectionID)
    }

    /// Returns when cursors of this node can be resumed from, other nodes know it, and every batch taken so far has been processed.
    package func settle() async {
        await self.learnPlace()
        await self.services.nodes.introduce()
        for handle in self.loops { try? await handle.eventLoop.submit {}.get() }
    }

    /// Tells every client to go elsewhere, runs their disconnected events, tells the other nodes that this one ends, and
    /// returns when all is done or `timeout` is over.
    ///
    /// New connections are refused from the call on.
    public func drain(timeout: Duration = .seconds(5)) async {
        self.services.beginDraining()
        for handle in self.loops {
            handle.eventLoop.execute { handle.session.value.drain() }
        }
        let clock = ContinuousClock()
        let deadline = clock.now + timeout
        while clock.now < deadline, await self.sessionCount() > 0 {
            do { try await clock.sleep(for: .milliseconds(20)) } catch { return }
        }
        self.services.nodes.leave()
        while clock.now < deadline, self.services.nodes.hasMail {
            do { try await clock.sleep(for: .milliseconds(20)) } catch { return }
        }
    }

    /// The nodes of the app that are alive, this one first.
    package var nodes: [Membership.Member] { self.services.nodes.members }

    /// Whether every node that lives is among ``nodes``: about a second after the start.
    package var knowsAllNodes: Bool { self.services.nodes.isSettled }

    /// What ids of connections that begin here carry in front.
    package var nodeTag: NodeTag { self.services.nodes.tag }

    /// How many connections there are, those that are ending included.
    package func sessionCount() async -> Int {
        var count = 0
        for handle in self.loops {
            count += (try? await handle.eventLoop.submit { handle.session.value.sessionCount }.get()) ?? 0
        }
        return count
    }

    /// What the event loops keep.
    func loopCensus() async -> RuntimeCensus {
        let census = Mutex(RuntimeCensus())
        for handle in self.loops {
            try? await handle.eventLoop.submit {
                census.withLock { handle.session.value.count(into: &$0) }
            }.get()
        }
        return census.withLock { $0 }
    }

    /// The part of the runtime that lives on an event loop; to be called there. The loop must be one of the runtime's.
    func sessionLoop(on eventLoop: any EventLoop) -> SessionLoop {
        self.handle(on: eventLoop).session.value
    }

    func handle(on eventLoop: any EventLoop) -> LoopHandle {
        guard let handle = self.handles[ObjectIdentifier(eventLoop)] else {
            // Why a trap: the program that wires server and runtime chooses the loops, and no peer can.
            preconditionFailure("connections must live on the event loops that the hub runtime was made with")
        }
        return handle
    }

    /// A number for a classic receive channel, never used before.
    func nextChannel() -> UInt64 {
        self.channels.wrappingAdd(1, ordering: .relaxed).newValue
    }
}

// MARK: - From outside hubs

extension HubRuntime {
    /// A hub seen from outside: its clients and groups. Nil if the hub isn't registered.
    public func context<H: Hub>(for hub: H.Type) -> HubContext? {
        self.context(named: H.name)
    }

    /// A hub seen from outside, by its name in any case. Nil if no hub is registered under it.
    public func context(named name: String) -> HubContext? {
        self.hubs.hub(named: name).map { HubContext(hub: $0.name, publisher: self) }
    }

    /// A persistent connection seen from outside; of a type that is served at several paths, the one registered first.
    /// Nil if the type isn't registered.
    public func context<C: PersistentConnection>(for type: C.Type) -> PersistentConnectionContext? {
        self.context { $0.type == ObjectIdentifier(type) }
    }

    /// A persistent connection seen from outside, by its path in any case. Nil if none is registered there.
    public func persistentConnection(at path: String) -> PersistentConnectionContext? {
        self.context { $0.path.lowercased() == path.lowercased() }
    }

    private func context(where isWanted: (RegisteredHub) -> Bool) -> PersistentConnectionContext? {
        self.persistentConnections.first(where: isWanted).map {
            PersistentConnectionContext(sender: HubSender(hub: $0.name, publisher: self))
        }
    }
}

extension HubRuntime: HubPublisher {
    package func publish(_ message: HubMessage) async throws(HubSendError) {
        let pipeline = self.services.pipeline
        guard !pipeline.modules.isEmpty, let outgoing = try OutgoingMessage(message) else {
            return try await self.publishUnseen(message)
        }
        try await pipeline.outgoing(outgoing) { () async throws(HubSendError) in
            try await self.publishUnseen(message)
        }
    }

    /// Publishes what has passed the modules.
    private func publishUnseen(_ message: HubMessage) async throws(HubSendError) {
        let record = HubRecord.message(message)
        let bytes = try record.encoded(), topic = record.topic
        if case .connection(let id) = message.audience, await self.isToBeSpared(id, topic) {
            return self.services.bus.deliverLocally(bytes, to: topic)
        }
        do throws(BusError) {
            try await self.services.bus.publish(bytes, to: topic)
        } catch {
            throw HubSendError(error)
        }
    }

    /// Whether a message to a connection need not wait for the broker, which is away: the connection is here and its
    /// client can be sent to.
    ///
    /// Order holds for whoever waits for one send before the next: what came before has come back or was refused.
    private func isToBeSpared(_ id: String, _ topic: Topic) async -> Bool {
        guard !self.services.bus.isLive(for: topic), self.services.connections.isHere(id) else { return false }
        guard let ticket = self.classicDirectory.ticket(of: id) else { return true }
        return await withCheckedContinuation { continuation in
            self.classicDirectory.perform(ticket) { continuation.resume(returning: $0?.isReachable == true) }
        }
    }

    package func changeGroup(_ change: GroupChange) async throws(HubSendError) {
        let answer = try await self.services.nodes.askOwner(
            of: change.connectionID, in: HubTopics.group(change.group, hub: change.hub),
            timeout: self.configuration.groupTimeout
        ) { requester throws(HubSendError) in
            try HubRecord.groupCommand(change, requester: requester).encoded()
        }
        if let refusal = answer?.refusal { throw refusal }
    }

    package var clientResultTimeout: Duration { self.configuration.core.clientResultTimeout }

    package func invoke(_ invocation: ClientInvocation) async throws(HubSendError) -> ClientAnswer {
        let pipeline = self.services.pipeline
        guard !pipeline.modules.isEmpty, let outgoing = try OutgoingMessage(invocation.message) else {
            return try await self.invokeUnseen(invocation)
        }
        var answer: ClientAnswer?
        try await pipeline.outgoing(outgoing) { () async throws(HubSendError) in
            answer = try await self.invokeUnseen(invocation)
        }
        guard let answer else { throw HubSendError(.withheld, "a module has kept the call from its client") }
        return answer
    }

    private func invokeUnseen(_ invocation: ClientInvocation) async throws(HubSendError) -> ClientAnswer {
        let id = invocation.connectionID, topic = HubTopics.connection(id)
        let milliseconds = invocation.timeoutMilliseconds
        let isSpared = await self.isToBeSpared(id, topic)
        let answer: NodeAnswer?
        do throws(HubSendError) {
            answer = try await self.services.nodes.askOwner(
                of: id, in: topic, timeout: .milliseconds(milliseconds), isSpared: isSpared
            ) { requester throws(HubSendError) in
                try HubRecord.invocation(invocation, requester: requester).encoded()
            }
        } catch {
            // Why whatever the error: the bus says of a record that was on its way that its outcome is unknown.
            if Task.isCancelled { throw HubSendError(.cancelled, "the task was cancelled before the client answered") }
            guard error.code == .timedOut else { throw error }
            throw HubSendError(.timedOut, "the client did not answer within \(milliseconds) ms")
        }
        switch answer {
        case nil: throw HubSendError(.noSuchConnection, "Connection '\(id)' does not exist.")
        case .refused(let code, let detail)?: throw HubSendError(HubSendError.Code(code), detail)
        case .done(let body)?:
            guard let answer = ClientAnswer(reading: body) else {
                throw HubSendError(
                    .notAccepted,
                    "the node of the connection answered what this one can't read; run one release on all nodes")
            }
            return answer
        }
    }
}

extension HubSendError {
    /// What the bus said, in the words of hubs.
    init(_ error: BusError) {
        switch error.code {
        case .messageTooLarge, .topicTooLong: self.init(.tooLarge, error.detail)
        case .cancelled: self.init(.cancelled, error.detail)
        case .closed: self.init(.stopped, error.detail)
        default: self.init(.notAccepted, error.description)
        }
    }
}
