package import NIOCore
import Synchronization

/// Who waits for which change of a group. A change is done when every event loop of this node has seen it in the
/// stream: then it is applied if the connection is here, and if it is elsewhere, the order of the stream does the
/// same there.
package struct GroupWaitTable: Sendable {
    package typealias ID = UInt64

    private struct Wait: Sendable {
        var loopsLeft: Int
        let deadline: NIODeadline
    }

    private var waits: [ID: Wait] = [:]
    private var lastID: ID = 0

    package init() {}

    package var count: Int { self.waits.count }

    package mutating func begin(loops: Int, deadline: NIODeadline) -> ID {
        self.lastID += 1
        self.waits[self.lastID] = Wait(loopsLeft: loops, deadline: deadline)
        return self.lastID
    }

    /// A loop has come past the change; true if it was the last one.
    package mutating func passed(_ id: ID) -> Bool {
        guard var wait = self.waits[id] else { return false }
        wait.loopsLeft -= 1
        self.waits[id] = wait.loopsLeft > 0 ? wait : nil
        return wait.loopsLeft <= 0
    }

    package mutating func giveUp(_ id: ID) {
        self.waits[id] = nil
    }

    /// The waits whose time is over.
    package mutating func expire(now: NIODeadline) -> [ID] {
        let over = self.waits.filter { $0.value.deadline <= now }.map(\.key)
        for id in over { self.waits[id] = nil }
        return over.sorted()
    }
}

/// The waits of a runtime and the tasks behind them.
final class GroupWaits: Sendable {
    private enum Outcome { case pending, done(HubSendError?) }

    private struct State {
        var table = GroupWaitTable()
        var continuations: [GroupWaitTable.ID: CheckedContinuation<HubSendError?, Never>] = [:]
        /// Outcomes that came before their task began to wait.
        var outcomes: [GroupWaitTable.ID: Outcome] = [:]
        var isClosed = false
    }

    private let state = Mutex(State())
    private let loops: Int

    init(loops: Int) {
        self.loops = loops
    }

    func begin(deadline: NIODeadline) -> GroupWaitTable.ID {
        self.state.withLock { state in
            let id = state.table.begin(loops: self.loops, deadline: deadline)
            state.outcomes[id] = state.isClosed ? .done(Self.stopped) : .pending
            return id
        }
    }

    /// Waits until the change is done. Called once per wait.
    func wait(for id: GroupWaitTable.ID) async throws(HubSendError) {
        let error = await withTaskCancellationHandler {
            await withCheckedContinuation { (continuation: CheckedContinuation<HubSendError?, Never>) in
                let outcome = self.state.withLock { state -> Outcome in
                    let outcome = state.outcomes.removeValue(forKey: id) ?? .done(nil)
                    if case .pending = outcome { state.continuations[id] = continuation }
                    return outcome
                }
                if case .done(let error) = outcome { continuation.resume(returning: error) }
            }
        } onCancel: {
            self.finish(id, HubSendError(.cancelled, "the task was cancelled before the change came back"))
        }
        if let error { throw error }
    }

    /// The change was never sent: nobody waits for it.
    func abandon(_ id: GroupWaitTable.ID) {
        self.state.withLock { state in
            state.table.giveUp(id)
            state.outcomes[id] = nil
        }
    }

    /// A loop of this node has come past the change, and has refused it if there is a `refusal`.
    func passed(_ id: GroupWaitTable.ID, _ refusal: HubSendError?) {
        if let refusal { return self.finish(id, refusal) }
        if self.state.withLock({ $0.table.passed(id) }) { self.finish(id, nil) }
    }

    func expire(now: NIODeadline) {
        for id in self.state.withLock({ $0.table.expire(now: now) }) {
            self.finish(id, HubSendError(.timedOut, "the change did not come back through the backplane in time"))
        }
    }

    /// Nothing comes back any more: who waits, and who will, is told so.
    func close() {
        let continuations = self.state.withLock { state in
            state.isClosed = true
            state.table = GroupWaitTable()
            for id in state.outcomes.keys { state.outcomes[id] = .done(Self.stopped) }
            defer { state.continuations = [:] }
            return Array(state.continuations.values)
        }
        for continuation in continuations { continuation.resume(returning: Self.stopped) }
    }

    private static let stopped = HubSendError(.stopped, "the hubs of this node have stopped")

    private func finish(_ id: GroupWaitTable.ID, _ error: HubSendError?) {
        let continuation = self.state.withLock { state -> CheckedContinuation<HubSendError?, Never>? in
            state.table.giveUp(id)
            if let continuation = state.continuations.removeValue(forKey: id) { return continuation }
            if state.outcomes[id] != nil { state.outcomes[id] = .done(error) }
            return nil
        }
        continuation?.resume(returning: error)
    }
}
