public import BusbarDriver
public import Logging
public import NIOCore

/// Publish, subscribe and cursor over the streams of one driver.
public final class Bus: Sendable {
    public init(driver: any BackplaneDriver, configuration: BusConfiguration = .init(), logger: Logger) {}

    /// Runs the driver, the publish lanes, repair and position checks until cancelled.
    public func run() async throws {}

    public func publish(_ payload: ByteBuffer, to topic: Topic) async throws(BusError) {}

    public func subscribe(
        to topics: some Sequence<Topic>,
        from cursor: Cursor? = nil,
        limits: SubscriberLimits = .init()
    ) async throws(BusError) -> Subscription {
        Subscription()
    }

    /// A subscription to every topic of the app, for a consumer that is woken and takes without suspending.
    ///
    /// `wake` is called, never under a lock and from any thread, each time the queue turns from empty to filled.
    package func tap(limits: SubscriberLimits, wake: @escaping @Sendable () -> Void) -> Tap { Tap() }

    /// Everything published to topics that `isWanted` accepts, after `cursor` up to and including `frontier`.
    package func replay(
        from cursor: Cursor,
        upTo frontier: Frontier,
        limitBytes: Int,
        isWanted: @Sendable (Message) -> Bool
    ) async throws(BusError) -> Delivery {
        Delivery(gaps: [], messages: [], frontier: frontier)
    }

    /// The signed text form of a frontier: about 1 µs.
    package func cursor(at frontier: Frontier) -> Cursor { Cursor(text: "") }
}

public struct BusConfiguration: Sendable {
    public init() {}
}

public struct SubscriberLimits: Hashable, Sendable {
    public enum Overflow: Hashable, Sendable { case dropOldest, disconnect }
    public var queuedBytes: Int = 1 << 20
    public var overflow: Overflow = .dropOldest
    public init() {}
}

public struct Topic: Hashable, Sendable {
    public let name: String
    public init(_ name: String) { self.name = name }
}

public struct Cursor: Hashable, Sendable {
    public let text: String
    public init(text: String) { self.text = text }
}

public struct Message: Hashable, Sendable {
    public let topic: Topic
    public let payload: ByteBuffer
}

public struct Gap: Hashable, Sendable {
    public let stream: StreamID
}

/// One position per stream.
public struct Frontier: Hashable, Sendable {
    package let positions: [Position]
}

/// What one step of a subscription brings: first the gaps, then the messages, then the place that stands after them.
public struct Delivery: Sendable {
    public let gaps: [Gap]
    public let messages: [Message]
    package let frontier: Frontier
}

public final class Subscription: Sendable {
    public func add(_ topics: some Sequence<Topic>) async throws(BusError) {}
    public func remove(_ topics: some Sequence<Topic>) {}
    public func cancel() {}
}

package final class Tap: Sendable {
    /// Takes what waits, at most about `limitBytes` of payload but at least one message; nil when nothing waits.
    package func take(limitBytes: Int) -> Delivery? { nil }
    package func cancel() {}
}

public struct BusError: Error, Hashable, Sendable {
    public let code: String
}
