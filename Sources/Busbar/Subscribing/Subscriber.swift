package import BusbarDriver
import Synchronization

/// One consumer's queue, shared between the streams that fill it and the consumer that empties it.
package final class Subscriber: Sendable {
    private struct State {
        var queue: SubscriberQueue
        var waiter: CheckedContinuation<Void, Never>?
        var isOver = false
        var isPressing = false
    }

    private let state: Mutex<State>
    private let onFilled: (@Sendable () -> Void)?
    private let throttle: Throttle?

    /// - Parameters:
    ///   - onFilled: called, never under a lock, each time the queue turns from empty to filled.
    ///   - throttle: slows publishing down while the queue is more than half full.
    package init(limits: SubscriberLimits, throttle: Throttle? = nil, onFilled: (@Sendable () -> Void)? = nil) {
        self.state = Mutex(State(queue: SubscriberQueue(limits: limits)))
        self.onFilled = onFilled
        self.throttle = throttle
    }

    package var isOver: Bool { self.state.withLock { $0.isOver || $0.queue.isDisconnected } }
    package var isDisconnected: Bool { self.state.withLock { $0.queue.isDisconnected } }
    package var queuedBytes: Int { self.state.withLock { $0.queue.bytes } }
    package var droppedCount: Int { self.state.withLock { $0.queue.droppedCount } }

    package func follow(_ position: Position) {
        self.state.withLock { $0.queue.follow(position) }
    }

    package func follow(ahead position: Position) {
        self.state.withLock { $0.queue.follow(ahead: position) }
    }

    package func unfollow(_ stream: StreamID) {
        self.state.withLock { $0.queue.unfollow(stream) }
    }

    /// True when the subscriber must be woken after the stream's lock was released.
    package func offer(_ messages: [Message], at head: StreamHead) -> Bool {
        self.filling { queue in
            var mustWake = false
            for message in messages where Self.wakes(queue.offer(message, at: head)) { mustWake = true }
            return mustWake
        }
    }

    package func offer(_ message: Message, at head: StreamHead, isLocal: Bool = false) -> Bool {
        self.filling { Self.wakes($0.offer(message, at: head, isLocal: isLocal)) }
    }

    package func offer(_ gap: Gap, at head: StreamHead) -> Bool {
        self.filling { Self.wakes($0.offer(gap, at: head)) }
    }

    private static func wakes(_ verdict: SubscriberQueue.Verdict) -> Bool {
        verdict == .becameFilled || verdict == .disconnected
    }

    private func filling(_ body: (inout SubscriberQueue) -> Bool) -> Bool {
        self.state.withLock { state in
            guard !state.isOver else { return false }
            let mustWake = body(&state.queue)
            if let throttle = self.throttle, !state.isPressing, state.queue.isOverHalf {
                state.isPressing = true
                throttle.press()
            }
            return mustWake
        }
    }

    /// Tells the consumer that something waits. Never called under a lock.
    package func wake() {
        self.state.withLock { $0.waiter.take() }?.resume()
        self.onFilled?()
    }

    package func take(limitBytes: Int, heads: [StreamHead]) -> Delivery? {
        let (delivery, isRelieved) = self.state.withLock { state in
            let delivery = state.queue.take(limitBytes: limitBytes, heads: heads)
            let isRelieved = state.isPressing && !state.queue.isOverHalf
            if isRelieved { state.isPressing = false }
            return (delivery, isRelieved)
        }
        if isRelieved { self.throttle?.relieve() }
        return delivery
    }

    package func frontier(heads: [StreamHead]) -> Frontier {
        self.state.withLock { $0.queue.frontier(heads: heads) }
    }

    /// The place behind what was taken, wherever the streams are.
    package var standing: Frontier { self.state.withLock { $0.queue.frontier(heads: []) } }

    /// Suspends until something may wait, the subscriber is over, or the task is cancelled.
    package func waitUntilFilled() async {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                var displaced: CheckedContinuation<Void, Never>?
                let isReady = self.state.withLock { state in
                    if !state.queue.isEmpty || state.queue.isDisconnected || state.isOver || Task.isCancelled {
                        return true
                    }
                    // Why: one consumer iterates. A second one takes the place of the first, which looks again and queues up anew.
                    displaced = state.waiter.take()
                    state.waiter = continuation
                    return false
                }
                displaced?.resume()
                if isReady { continuation.resume() }
            }
        } onCancel: {
            self.state.withLock { $0.waiter.take() }?.resume()
        }
    }

    /// Ends it: nothing is delivered after this. True the first time.
    package func finish() -> Bool {
        let (isFirst, waiter, wasPressing) = self.state.withLock { state in
            let isFirst = !state.isOver
            let wasPressing = state.isPressing
            state.isOver = true
            state.isPressing = false
            return (isFirst, state.waiter.take(), wasPressing)
        }
        waiter?.resume()
        if wasPressing { self.throttle?.relieve() }
        return isFirst
    }
}

extension Subscriber: Hashable {
    package static func == (left: Subscriber, right: Subscriber) -> Bool { left === right }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self))
    }
}
