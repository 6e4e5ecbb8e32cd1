import NIOCore
import Synchronization

/// How many connections are open: keeps them below a limit, and tells when the last one has gone.
final class OpenConnections: Sendable {
    private struct State {
        var count = 0
        var waiting: EventLoopPromise<Void>?
    }

    private let limit: Int
    private let state = Mutex(State())

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { self.state.withLock { $0.count } }

    /// Counts a connection. False if it is one too many; it is counted all the same, since it must be told so.
    func enter() -> Bool {
        self.state.withLock { state in
            state.count += 1
            return state.count <= self.limit
        }
    }

    func leave() {
        let waiting = self.state.withLock { state -> EventLoopPromise<Void>? in
            state.count -= 1
            return state.count == 0 ? state.waiting.take() : nil
        }
        waiting?.succeed()
    }

    /// Returns when no connection is open, or after `timeout`. One caller at a time.
    func empty(within timeout: TimeAmount, on eventLoop: any EventLoop) async {
        let promise = eventLoop.makePromise(of: Void.self)
        let isEmpty = self.state.withLock { state in
            if state.count > 0 { state.waiting = promise }
            return state.count == 0
        }
        if isEmpty { promise.succeed() }
        let timer = eventLoop.scheduleTask(in: timeout) {
            self.state.withLock { $0.waiting = nil }
            promise.succeed()
        }
        try? await promise.futureResult.get()
        timer.cancel()
    }
}
