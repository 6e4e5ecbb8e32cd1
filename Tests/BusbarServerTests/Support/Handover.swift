import NIOCore
import Synchronization

/// Hands one outcome from any thread to the task that waits for it.
///
/// Why not `EventLoopFuture.get()`: it passes the value through the continuation. Where that is resumed before it is
/// awaited, the runtime orders the two threads by means that ThreadSanitizer doesn't see, and it reports a race. Here
/// the value lies under a lock, and the continuation carries nothing.
final class Handover<Value: Sendable>: Sendable {
    private struct State {
        var outcome: Result<Value, any Error>?
        var waiter: CheckedContinuation<Void, Never>?
    }

    struct Empty: Error {}

    private let state = Mutex(State())

    /// Puts the outcome; only the first one counts.
    func put(_ outcome: Result<Value, any Error>) {
        let waiter = self.state.withLock { state in
            if state.outcome == nil { state.outcome = outcome }
            return state.waiter.take()
        }
        waiter?.resume()
    }

    /// Waits for the outcome. Called by one task.
    func value() async throws -> Value {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isThere = self.state.withLock { state in
                if state.outcome == nil { state.waiter = continuation }
                return state.outcome != nil
            }
            if isThere { continuation.resume() }
        }
        guard let outcome = self.state.withLock({ $0.outcome }) else { throw Empty() }
        return try outcome.get()
    }
}

extension EventLoopFuture where Value: Sendable {
    /// The value, as ``Handover`` hands it on.
    func handedOver() async throws -> Value {
        let handover = Handover<Value>()
        self.whenComplete { handover.put($0) }
        return try await handover.value()
    }
}
