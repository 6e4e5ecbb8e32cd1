public import BusbarDriver
public import Logging
public import NIOCore
import Synchronization

/// Publish, subscribe and cursor over the streams of one driver.
///
/// Create it, run ``run()`` in a task, publish and subscribe from anywhere. Messages of one stream reach every subscriber in the
/// same order on every node; what can't be delivered any more is reported as a ``Gap`` to whoever would have received it.
public final class Bus: Sendable {
    private enum Life { case fresh, running, closing(until: Moment), over }

    package let streams: [Stream]
    package let driver: any BackplaneDriver
    package let time: BusTime
    package let configuration: BusConfiguration
    private let codec: CursorCodec
    private let logger: Logger
    private let throttle = Throttle()
    private let metrics: BusMetrics
    private let configurationError: BusError?
    private let life = Mutex(Life.fresh)
    private let drained = WaitList()
    private let subscribers = Mutex<Set<Subscriber>>([])

    /// A mistake in `configuration` is thrown by ``run()``, by publishing and by subscribing.
    public convenience init(driver: any BackplaneDriver, configuration: BusConfiguration = .init(), logger: Logger) {
        self.init(driver: driver, configuration: configuration, logger: logger, clock: MonotonicClock())
    }

    package init(
        driver: any BackplaneDriver, configuration: BusConfiguration, logger: Logger, clock: any BusClock
    ) {
        self.configurationError = Self.error(in: configuration)
        let configuration = self.configurationError == nil ? configuration : BusConfiguration()
        self.driver = driver
        self.configuration = configuration
        self.logger = logger
        self.metrics = BusMetrics()
        let time = BusTime(clock: clock, pageBytes: configuration.pageBytes)
        self.time = time
        self.codec = CursorCodec(
            key: configuration.farmKey ?? .generate(), app: configuration.app, streams: configuration.streams
        )
        var random = SystemRandomNumberGenerator()
        let (node, incarnation) = (UInt64.random(in: 1...UInt64.max, using: &random), random.next())
        self.streams = (0..<configuration.streams).map { index in
            Stream(
                id: StreamID(UInt16(index)), driver: driver, configuration: configuration, node: node,
                incarnation: incarnation, time: time
            )
        }
    }

    private static func error(in configuration: BusConfiguration) -> BusError? {
        do throws(BusError) {
            try configuration.validate()
            return nil
        } catch {
            return error
        }
    }

    /// Whether messages get through at present: what a readiness check asks.
    public var status: BusStatus {
        if case .over = self.life.withLock({ $0 }) { return BusStatus(phase: .closed, detail: nil) }
        let health = self.streams.map(\.healthNow)
        let phase = health.first { $0.phase != .live }?.phase ?? .live
        let failure = health.compactMap(\.lastFailure).first
        return BusStatus(phase: phase, detail: failure?.description, reason: failure?.code.name)
    }

    /// Totals and sizes, stream by stream.
    package var counts: [StreamCounts] { self.streams.map(\.counts) }

    /// Publishes `payload` to everybody who listens to `topic`, on every node.
    ///
    /// Returns once the broker has accepted the message. Suspends while it is away, as the offline policy says, and while a
    /// subscriber of this node that must not miss anything is behind; ``BusConfiguration/publishDeadline`` bounds the whole.
    /// Cancelling the task withdraws a message that was not handed to the broker yet.
    ///
    /// While an append hangs in the driver, publishers of that stream fail at their deadlines, and the stream's lane
    /// stays busy until the driver returns; other streams go on.
    /// - Throws: ``BusError``; its code says whether the message may have been stored.
    public func publish(_ payload: ByteBuffer, to topic: Topic) async throws(BusError) {
        let stream = try self.stream(for: topic)
        if self.throttle.isPressed { try await self.waitForSubscribers() }
        try await stream.publish(Message(topic: topic, payload: payload))
    }

    private func stream(for topic: Topic) throws(BusError) -> Stream {
        let topicBytes = topic.name.utf8.count
        guard topicBytes <= Topic.largestNameBytes else {
            throw BusError(
                .topicTooLong,
                "a topic's name may have \(Topic.largestNameBytes) bytes of UTF-8; this has \(topicBytes)"
            )
        }
        if let error = self.configurationError { throw error }
        return self.streams[topic.streamIndex(of: self.streams.count)]
    }

    // Why apart: what a wait needs would else be part of every publish.
    @inline(never)
    private func waitForSubscribers() async throws(BusError) {
        let deadline = self.time.now() + self.configuration.slowDownLimit
        guard await self.throttle.wait(until: deadline) else {
            if Task.isCancelled {
                throw BusError(.cancelled, "the publishing task was cancelled; nothing was stored")
            }
            throw BusError(.slowedDown, "a subscriber of this node is behind; publish again later")
        }
    }

    /// Listens to `topics`, from now on or from where `cursor` stands.
    ///
    /// Returns once nothing published from here on can be missed; before the first link is live it waits for that. A cursor that
    /// can't be honoured is no error: the subscription begins with a gap and goes on from now.
    /// - Throws: ``BusError/Code/brokerAway`` when the broker was not reached within ``BusConfiguration/publishDeadline``,
    ///   ``BusError/Code/cancelled``, ``BusError/Code/closed``.
    public func subscribe(
        to topics: some Sequence<Topic>, from cursor: Cursor? = nil, limits: SubscriberLimits = .init()
    ) async throws(BusError) -> Subscription {
        if let error = self.configurationError { throw error }
        let topics = Array(topics)
        try await self.waitForFirstLink(Set(topics.map { $0.streamIndex(of: self.streams.count) }))
        let subscription = Subscription(
            bus: self, subscriber: Subscriber(limits: limits), deliveryBytes: limits.deliveryBytes
        )
        try self.register(subscription.subscriber)
        await subscription.begin(topics, from: cursor.map { self.codec.read($0) })
        return subscription
    }

    /// A subscription to every topic of the app, for a consumer that is woken and takes without suspending.
    ///
    /// `wake` is called, never under a lock and from any thread, each time the queue turns from empty to filled. While the queue is
    /// more than half full, publishing on this node is slowed down.
    package func tap(limits: SubscriberLimits, wake: @escaping @Sendable () -> Void) -> Tap {
        let tap = Tap(
            bus: self, subscriber: Subscriber(limits: limits, throttle: self.throttle, onFilled: wake)
        )
        self.subscribers.withLock { _ = $0.insert(tap.subscriber) }
        for stream in self.streams { stream.withCore { $0.addTap(tap.subscriber) } }
        return tap
    }

    /// The signed text form of a frontier: about 1 µs.
    public func cursor(at frontier: Frontier) -> Cursor { self.codec.encode(frontier) }

    package func read(_ cursor: Cursor) -> CursorCodec.Reading { self.codec.read(cursor) }

    /// A place with everything before it whose publish has returned on this node.
    package var publishedFrontier: Frontier {
        Frontier(positions: self.streams.compactMap { stream in stream.withCore { $0.now } })
    }

    package func heads() -> [StreamHead] { self.streams.compactMap(\.head) }

    package enum Existence: Hashable {
        /// The store holds, or held, something there.
        case exists
        /// Its epoch is the present one, but has not come that far.
        case isNotThere
        case otherEpoch
        /// The store can't be asked.
        case unknown
    }

    package func existence(of position: Position) async -> Existence {
        guard let extent = try? await self.driver.extent(of: position.stream) else { return .unknown }
        guard extent.epoch == position.epoch else { return .otherEpoch }
        return extent.newest >= position.offset ? .exists : .isNotThere
    }

    package func forget(_ subscriber: Subscriber) {
        self.subscribers.withLock { _ = $0.remove(subscriber) }
    }

    private func register(_ subscriber: Subscriber) throws(BusError) {
        if case .over = self.life.withLock({ $0 }) { throw BusError(.closed, "the bus is closed") }
        self.subscribers.withLock { _ = $0.insert(subscriber) }
    }

    /// Waits until the streams at `indices` have been live once.
    package func waitForFirstLink(_ indices: Set<Int>) async throws(BusError) {
        let deadline = self.time.now() + self.configuration.publishDeadline
        for index in indices.sorted() where self.streams[index].head == nil {
            let stream = self.streams[index]
            guard await stream.firstLink.wait(until: deadline, unless: { stream.head != nil }) else {
                if Task.isCancelled { throw BusError(.cancelled, "the subscribing task was cancelled") }
                if case .over = self.life.withLock({ $0 }) { throw BusError(.closed, "the bus is closed") }
                let why = self.status.detail.map { " (\($0))" } ?? ""
                throw BusError(.brokerAway, "the broker was not reached yet\(why); subscribe again later")
            }
        }
    }
}

// MARK: - Life

extension Bus {
    /// How often deadlines, retries and checks are looked at.
    package static let tickInterval = Duration.milliseconds(50)

    /// Runs the driver, the publish lanes, repair and position checks. Returns when the task is cancelled or ``close(deadline:)``
    /// has drained the lanes; after that nothing of the bus is running, waiting publishes have failed and subscriptions ended.
    /// - Throws: ``BusError/Code/driverFailed`` when the driver gave up, ``BusError/Code/alreadyRun``,
    ///   ``BusError/Code/invalidConfiguration``.
    public func run() async throws {
        if let error = self.configurationError { throw error }
        try self.start()
        let inbox = BusInbox(streams: self.streams, logger: self.logger)
        let failure = await withTaskGroup(of: BusError?.self) { group in
            group.addTask { await self.runDriver(inbox) }
            group.addTask { await self.runTicker() }
            for stream in self.streams {
                group.addTask {
                    await stream.runAppends()
                    return nil
                }
                group.addTask {
                    await stream.runErrands()
                    return nil
                }
                group.addTask {
                    await stream.runRests()
                    return nil
                }
            }
            let first = await group.next() ?? nil
            group.cancelAll()
            return first
        }
        self.end()
        if let failure { throw failure }
    }

    /// Takes no more publishes, sends what waits, fails what is left after `deadline`, and ends ``run()``. A bus stays closed.
    public func close(deadline: Duration = .seconds(5)) async {
        let now = self.time.now()
        let wasRunning = self.life.withLock { life in
            switch life {
            case .fresh: return false
            case .running: life = .closing(until: now + deadline)
            case .closing(let until): life = .closing(until: min(until, now + deadline))
            case .over: return false
            }
            return true
        }
        guard wasRunning else { return self.end() }
        for stream in self.streams { stream.closeLane(deadline: deadline) }
        _ = await self.drained.wait(until: now + .seconds(1_000_000_000)) {
            if case .over = self.life.withLock({ $0 }) { true } else { false }
        }
    }

    private func start() throws(BusError) {
        let isFirst = self.life.withLock { life in
            guard case .fresh = life else { return false }
            life = .running
            return true
        }
        guard isFirst else { throw BusError(.alreadyRun, "a bus runs once; create another one") }
        // Why by that: only a log in this very process appends at once, and nobody shares it.
        if self.configuration.farmKey == nil, !self.driver.guarantees.appendsAtOnce {
            self.logger.warning("no farm key is set: cursors and tokens of this node are good on no other")
        }
    }

    private func runDriver(_ inbox: BusInbox) async -> BusError? {
        if let driver = self.driver as? any OutboxDriver {
            driver.carryOutbox(packing: BusOutboxPacker(streamCount: self.streams.count))
        }
        do throws(DriverError) {
            try await self.driver.run(following: self.streams.map(\.id), delivering: inbox)
            return nil
        } catch {
            guard !Task.isCancelled else { return nil }
            self.logger.error("the driver gave up", metadata: ["error": "\(error)"])
            return BusError(.driverFailed, error.description)
        }
    }

    private func runTicker() async -> BusError? {
        while !Task.isCancelled {
            let now = self.time.tick()
            self.tick(now: now)
            if case .closing(let until) = self.life.withLock({ $0 }),
                until <= now || self.streams.allSatisfy(\.isDrained)
            {
                return nil
            }
            do { try await self.time.clock.sleep(for: Self.tickInterval) } catch { return nil }
        }
        return nil
    }

    private func tick(now: Moment) {
        for stream in self.streams { stream.tick(now: now) }
        self.throttle.tick(now: now)
        self.metrics.update(self.counts)
    }

    private func end() {
        self.life.withLock { $0 = .over }
        self.time.stop()
        for stream in self.streams { stream.end() }
        self.throttle.close()
        let subscribers = self.subscribers.withLock { subscribers in
            defer { subscribers.removeAll() }
            return subscribers
        }
        for subscriber in subscribers where subscriber.finish() { subscriber.wake() }
        self.drained.resumeAll()
    }
}

/// Where the driver puts what arrives.
private struct BusInbox: Inbox {
    let streams: [Stream]
    let logger: Logger

    func receive(_ event: DriverEvent) {
        switch event {
        case .records(let stream, let epoch, let records):
            guard Int(stream.index) < self.streams.count else { return }
            self.streams[Int(stream.index)].received(epoch: epoch, records)
        case .live(let extents):
            self.logger.info("the link to the broker is live")
            for stream in self.streams {
                if let extent = extents[stream.id] { stream.linkBecameLive(extent) }
            }
        case .interrupted(let error):
            self.logger.warning("the link to the broker broke", metadata: ["error": "\(error)"])
            for stream in self.streams { stream.linkBroke(error) }
        }
    }
}
