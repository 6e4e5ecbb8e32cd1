import Metrics
import NIOCore
import Synchronization

/// How many connections are open: keeps them below a limit, and tells when the last one has gone.
final class OpenConnections: Sendable {
    private struct State {
        var count = 0
        var waiting: [EventLoopPromise<Void>] = []
    }

    private let limit: Int
    private let gauge = Gauge(label: "busbar_server_connections")
    private let state = Mutex(State())

    init(limit: Int) {
        self.limit = limit
    }

    var count: Int { self.state.withLock { $0.count } }

    /// Counts a connection. False if it is one too many; it is counted all the same, since it must be told so.
    func enter() -> Bool {
        self.state.withLock { state in
            state.count += 1
            self.gauge.record(state.count)
            return state.count <= self.limit
        }
    }

    func leave() {
        let waiting = self.state.withLock { state -> [EventLoopPromise<Void>] in
            state.count -= 1
            self.gauge.record(state.count)
            guard state.count == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for promise in waiting { promise.succeed() }
    }

    /// Returns when no connection is open, or after `timeout`.
    func empty(within timeout: TimeAmount, on eventLoop: any EventLoop) async {
        let promise = eventLoop.makePromise(of: Void.self)
        let isEmpty = self.state.withLock { state in
            if state.count > 0 { state.waiting.append(promise) }
            return state.count == 0
        }
        if isEmpty { promise.succeed() }
        // Why: fulfilling a promise again has no effect, so whichever comes first decides.
        let timer = eventLoop.scheduleTask(in: timeout) { promise.succeed() }
        try? await promise.futureResult.get()
        timer.cancel()
    }
}
