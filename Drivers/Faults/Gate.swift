import BusbarDriver
import Synchronization

/// Where hanging requests wait until they are let go or cancelled.
final class Gate: Sendable {
    private struct State {
        var waiters: [UInt64: CheckedContinuation<Bool, Never>] = [:]
        var nextID: UInt64 = 0
    }

    private let state = Mutex(State())

    /// How many wait.
    var count: Int { self.state.withLock(\.waiters.count) }

    func open() {
        let waiters = self.state.withLock { state in
            defer { state.waiters.removeAll() }
            return Array(state.waiters.values)
        }
        for waiter in waiters { waiter.resume(returning: true) }
    }

    func wait(during operation: StaticString) async throws(DriverError) {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        let isOpened = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = self.state.withLock { state in
                    if Task.isCancelled { return true }
                    state.waiters[id] = continuation
                    return false
                }
                if isCancelled { continuation.resume(returning: false) }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.resume(returning: false)
        }
        guard isOpened else {
            throw DriverError(.closed, during: operation, recovery: .giveUp, detail: "cancelled while hanging")
        }
    }
}
