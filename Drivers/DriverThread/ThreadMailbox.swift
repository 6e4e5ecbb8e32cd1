import CEventFD
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a thread is asked to do: bounded, taken whole, and rung for only when the thread sleeps.
final class ThreadMailbox<Command: Sendable>: Sendable {
    enum Refusal: Error, Hashable {
        case full
        case closed
    }

    private struct State {
        var commands: [Command] = []
        var isAwake = true
        var isClosed = false
    }

    private let limit: Int
    private let state = Mutex(State())
    /// Readable while the thread has been rung for.
    let bell: CInt

    /// Nil when the process may open no further descriptor.
    init?(limit: Int) {
        self.limit = limit
        self.bell = busbar_eventfd_open()
        if self.bell < 0 { return nil }
    }

    deinit {
        close(self.bell)
    }

    /// Any thread: puts a command behind the others.
    func put(_ command: Command) throws(Refusal) {
        let outcome: Result<Bool, Refusal> = self.state.withLock { state in
            if state.isClosed { return .failure(.closed) }
            if state.commands.count >= self.limit { return .failure(.full) }
            state.commands.append(command)
            defer { state.isAwake = true }
            return .success(!state.isAwake)
        }
        if try outcome.get() { busbar_eventfd_ring(self.bell) }
    }

    /// Any thread: refuses further commands. What was put before is still run.
    func shut() {
        let sleeps = self.state.withLock { state in
            state.isClosed = true
            defer { state.isAwake = true }
            return !state.isAwake
        }
        if sleeps { busbar_eventfd_ring(self.bell) }
    }

    /// The thread: all commands there are; nil when there are none and never will be.
    func takeAll() -> [Command]? {
        self.state.withLock { state in
            if state.commands.isEmpty { return state.isClosed ? nil : [] }
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// The thread: about to sleep. False when it must not, since somebody put something after it looked.
    func fallAsleep() -> Bool {
        self.state.withLock { state in
            guard state.commands.isEmpty, !state.isClosed else { return false }
            state.isAwake = false
            return true
        }
    }

    /// The thread: awake again.
    func wokeUp(rung: Bool) {
        self.state.withLock { $0.isAwake = true }
        if rung { busbar_eventfd_clear(self.bell) }
    }
}
