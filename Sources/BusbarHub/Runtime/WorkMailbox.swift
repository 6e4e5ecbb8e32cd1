import DequeModule
import Synchronization

/// One piece of application code to run: a call or a lifetime event.
struct Work: Sendable {
    /// The connection whose end cancels it; nil for work that outlives it.
    let context: ConnectionContext?
    let body: @Sendable () async -> Void

    fileprivate func run() async {
        guard let context = self.context else { return await self.body() }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.body() }
            group.addTask { await context.aborted() }
            await group.next()
            group.cancelAll()
        }
    }
}

/// Hands work from event loops to the one task group that runs it.
///
/// Bounded by its senders: a connection has one call or event under way at a time, beside it at most the forced end and,
/// per channel that it opened, one page of what it missed.
final class WorkMailbox: Sendable {
    private struct State {
        var waiting: [Work] = []
        var runner: CheckedContinuation<[Work], Never>?
        var isClosed = false
    }

    private let state = Mutex(State())

    /// Takes work; false if nothing is run any more. Callable from any thread.
    @discardableResult
    func submit(_ work: Work) -> Bool {
        let (isTaken, runner) = self.state.withLock { state -> (Bool, CheckedContinuation<[Work], Never>?) in
            if state.isClosed { return (false, nil) }
            guard let runner = state.runner.take() else {
                state.waiting.append(work)
                return (true, nil)
            }
            return (true, runner)
        }
        runner?.resume(returning: [work])
        return isTaken
    }

    /// Runs what is submitted until the task is cancelled; then cancels it and returns when it has ended.
    func run() async {
        await withDiscardingTaskGroup { group in
            while !Task.isCancelled {
                for work in await self.next() {
                    group.addTask { await work.run() }
                }
            }
            // Why here too: the cancellation may have come while nobody waited for work.
            self.close()
            group.cancelAll()
        }
    }

    /// What has been submitted; empty when the task was cancelled.
    private func next() async -> [Work] {
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let ready = self.state.withLock { state -> [Work]? in
                    if state.isClosed || Task.isCancelled { return [] }
                    if state.waiting.isEmpty {
                        state.runner = continuation
                        return nil
                    }
                    defer { state.waiting = [] }
                    return state.waiting
                }
                if let ready { continuation.resume(returning: ready) }
            }
        } onCancel: {
            self.close()
        }
    }

    /// Nothing is run any more, and what waited is let go of.
    private func close() {
        let runner = self.state.withLock { state in
            state.isClosed = true
            state.waiting = []
            return state.runner.take()
        }
        runner?.resume(returning: [])
    }
}
