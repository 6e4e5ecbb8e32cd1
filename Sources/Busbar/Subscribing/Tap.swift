/// A subscription to every topic of the app, for a consumer that is woken and takes without suspending.
package final class Tap: Sendable {
    private let bus: Bus
    package let subscriber: Subscriber

    init(bus: Bus, subscriber: Subscriber) {
        self.bus = bus
        self.subscriber = subscriber
    }

    /// Takes what waits: gaps first, then messages, at most about `limitBytes` of them but at least one record's; nil when
    /// nothing waits. A delivery ends before the next gap, so take until it is nil.
    package func take(limitBytes: Int) -> Delivery? {
        self.subscriber.take(limitBytes: limitBytes, heads: self.bus.heads())
    }

    /// The place behind what was taken so far; the newest place when nothing waits.
    package var frontier: Frontier { self.subscriber.frontier(heads: self.bus.heads()) }

    package var queuedBytes: Int { self.subscriber.queuedBytes }

    /// Whether it was ended: cancelled, cut off as too slow, or the bus is closed.
    package var isOver: Bool { self.subscriber.isOver }

    /// Ends it. Nothing is delivered after this; again is without effect.
    package func cancel() {
        guard self.subscriber.finish() else { return }
        for stream in self.bus.streams { stream.withCore { $0.removeTap(self.subscriber) } }
        self.bus.forget(self.subscriber)
    }
}
