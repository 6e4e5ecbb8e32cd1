import BusbarDriver
import Synchronization

/// A running subscription: an asynchronous sequence of deliveries for one consumer.
///
/// ```swift
/// let subscription = try await bus.subscribe(to: [Topic("orders")], from: lastCursor)
/// for try await delivery in subscription {
///     for gap in delivery.gaps { reload(gap) }
///     for message in delivery.messages { handle(message) }
///     lastCursor = bus.cursor(at: delivery.frontier)
/// }
/// ```
/// It ends, with nil, when it or the consuming task is cancelled or the bus is closed, and by throwing
/// ``BusError/Code/subscriberTooSlow`` when its queue was full and its policy is to disconnect.
public final class Subscription: AsyncSequence, Sendable {
    public typealias Element = Delivery
    public typealias Failure = BusError

    public struct AsyncIterator: AsyncIteratorProtocol {
        fileprivate let subscription: Subscription

        public func next() async throws(BusError) -> Delivery? {
            try await self.subscription.next()
        }

        public func next(isolation actor: isolated (any Actor)?) async throws(BusError) -> Delivery? {
            try await self.subscription.next()
        }
    }

    struct State {
        /// Streams on which this subscription still reads what came before.
        var catchingUp: [CatchUp] = []
        /// What is live and what is catching up take turns.
        var isCatchUpsTurn = false
        var topics: [Int: Set<Topic>] = [:]
        var isOver = false
    }

    let bus: Bus
    let deliveryBytes: Int
    package let subscriber: Subscriber
    let state = Mutex(State())

    init(bus: Bus, subscriber: Subscriber, deliveryBytes: Int) {
        self.bus = bus
        self.subscriber = subscriber
        self.deliveryBytes = deliveryBytes
    }

    public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(subscription: self) }

    /// Where the subscription stands: resume here, on any node, for exactly what comes later.
    public var cursor: Cursor { self.bus.cursor(at: self.frontier) }

    /// Bytes that wait to be consumed.
    package var queuedBytes: Int { self.subscriber.queuedBytes }

    /// Listens to more topics from now on. Nothing published after the return is missed. A topic twice is once.
    /// - Throws: as ``Bus/subscribe(to:from:limits:)``.
    public func add(_ topics: some Sequence<Topic>) async throws(BusError) {
        let byStream = self.byStream(topics)
        try await self.bus.waitForFirstLink(Set(byStream.keys))
        self.state.withLock { state in
            guard !state.isOver else { return }
            for (index, topics) in byStream {
                state.topics[index, default: []].formUnion(topics)
                let catchUp = state.catchingUp.firstIndex { $0.index == index }
                self.bus.streams[index].withCore { core in
                    if let catchUp, let head = core.head {
                        state.catchingUp[catchUp].add(topics, from: head.position.offset)
                    } else {
                        core.add(self.subscriber, to: topics)
                    }
                }
            }
        }
    }

    /// Stops listening to topics. What waits of them already may still be delivered.
    public func remove(_ topics: some Sequence<Topic>) {
        let byStream = self.byStream(topics)
        self.state.withLock { state in
            for (index, topics) in byStream {
                state.topics[index]?.subtract(topics)
                if state.topics[index]?.isEmpty == true { state.topics[index] = nil }
                if let catchUp = state.catchingUp.firstIndex(where: { $0.index == index }) {
                    state.catchingUp[catchUp].remove(topics)
                    if state.topics[index] == nil { state.catchingUp.remove(at: catchUp) }
                }
                self.bus.streams[index].withCore { $0.remove(self.subscriber, from: topics) }
            }
        }
    }

    /// Ends the subscription. Nothing is delivered after this; again is without effect.
    public func cancel() {
        let topics: [Int: Set<Topic>] = self.state.withLock { state in
            guard !state.isOver else { return [:] }
            state.isOver = true
            state.catchingUp.removeAll()
            defer { state.topics.removeAll() }
            return state.topics
        }
        for (index, topics) in topics {
            self.bus.streams[index].withCore { $0.remove(self.subscriber, from: topics) }
        }
        _ = self.subscriber.finish()
        self.bus.forget(self.subscriber)
    }

    deinit { self.cancel() }
}
