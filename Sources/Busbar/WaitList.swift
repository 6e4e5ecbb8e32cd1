import Synchronization

/// Tasks that wait for a condition, each until its deadline. Every one of them is resumed exactly once.
package final class WaitList: Sendable {
    private struct Waiter {
        let continuation: CheckedContinuation<Bool, Never>
        let deadline: Moment
    }

    private struct State {
        var waiters: [UInt64: Waiter] = [:]
        var nextID: UInt64 = 0
        var isClosed = false
    }

    private let state = Mutex(State())

    package init() {}

    package var count: Int { self.state.withLock { $0.waiters.count } }

    /// Suspends until ``resumeAll()``: true. False when `deadline` passed, the task was cancelled or the list was closed.
    ///
    /// - Parameter isMet: asked once under the list's lock; whoever makes the condition true calls ``resumeAll()`` afterwards.
    package func wait(until deadline: Moment, unless isMet: @Sendable () -> Bool) async -> Bool {
        let id = self.state.withLock { state in
            state.nextID += 1
            return state.nextID
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let answer: Bool? = self.state.withLock { state in
                    if isMet() { return true }
                    if Task.isCancelled || state.isClosed { return false }
                    state.waiters[id] = Waiter(continuation: continuation, deadline: deadline)
                    return nil
                }
                if let answer { continuation.resume(returning: answer) }
            }
        } onCancel: {
            self.state.withLock { $0.waiters.removeValue(forKey: id) }?.continuation.resume(returning: false)
        }
    }

    /// The condition is met.
    package func resumeAll() {
        self.resume(returning: true) { _ in true }
    }

    package func tick(now: Moment) {
        self.resume(returning: false) { $0.deadline <= now }
    }

    /// Lets everybody go with a refusal, now and from now on.
    package func close() {
        self.state.withLock { $0.isClosed = true }
        self.resume(returning: false) { _ in true }
    }

    private func resume(returning answer: Bool, where isDue: (Waiter) -> Bool) {
        let due = self.state.withLock { state -> [Waiter] in
            guard !state.waiters.isEmpty else { return [] }
            let due = state.waiters.filter { isDue($0.value) }
            for id in due.keys { state.waiters.removeValue(forKey: id) }
            return Array(due.values)
        }
        for waiter in due { waiter.continuation.resume(returning: answer) }
    }
}
