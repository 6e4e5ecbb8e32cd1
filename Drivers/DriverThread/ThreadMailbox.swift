import CEventFD
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a thread is asked to do: bounded, taken whole, and rung for only when the thread sleeps. Also says who has the resident.
final class ThreadMailbox<Command: Sendable>: Sendable {
    enum Refusal: Error, Hashable {
        case full
        case closed
    }

    /// What whoever puts a command has to do next.
    enum Receipt: Hashable {
        /// Nothing.
        case taken
        /// Borrow the resident, run the command and call ``giveBack(isDone:)``. The mailbox doesn't have it.
        case lent
    }

    private enum Holder {
        /// The thread, or it will be: it was rung for.
        case thread
        /// Nobody: the thread sleeps.
        case nobody(isLendable: Bool)
        /// Somebody who put a command, while the thread sleeps.
        case borrower
    }

    private struct State {
        var commands: [Command] = []
        var holder = Holder.thread
        var isClosed = false
        /// The thread has run its last command.
        var isOver = false
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

    /// Any thread: puts a command behind the others, or lends the resident for it.
    /// - Parameter mayBorrow: whether whoever puts it would run it at once.
    func put(_ command: Command, mayBorrow: Bool) throws(Refusal) -> Receipt {
        let outcome: Result<(Receipt, mustRing: Bool), Refusal> = self.state.withLock { state in
            if state.isClosed { return .failure(.closed) }
            if mayBorrow, case .nobody(isLendable: true) = state.holder {
                state.holder = .borrower
                return .success((.lent, false))
            }
            if state.commands.count >= self.limit { return .failure(.full) }
            state.commands.append(command)
            return .success((.taken, Self.wakes(&state)))
        }
        let (receipt, mustRing) = try outcome.get()
        if mustRing { busbar_eventfd_ring(self.bell) }
        return receipt
    }

    /// The borrower: done with the resident. If not, or if there is more to do, the thread takes over.
    func giveBack(isDone: Bool) {
        let mustRing = self.state.withLock { state in
            if case .thread = state.holder { return false }
            state.holder = .nobody(isLendable: true)
            return isDone && state.commands.isEmpty && !state.isClosed ? false : Self.wakes(&state)
        }
        if mustRing { busbar_eventfd_ring(self.bell) }
    }

    /// The borrower: the thread was quicker. Leaves the command to it.
    func giveUp(_ command: Command) throws(Refusal) {
        let isOver = self.state.withLock { state in
            guard !state.isOver else { return true }
            // Why beyond the limit: it was not counted when it could be refused.
            state.commands.append(command)
            state.holder = .thread
            return false
        }
        if isOver { throw .closed }
        busbar_eventfd_ring(self.bell)
    }

    /// Any thread: refuses further commands. What was put before is still run.
    func shut() {
        let sleeps = self.state.withLock { state in
            state.isClosed = true
            return Self.wakes(&state)
        }
        if sleeps { busbar_eventfd_ring(self.bell) }
    }

    /// Whether the thread must be rung for; it counts as awake from here on.
    private static func wakes(_ state: inout State) -> Bool {
        guard case .nobody = state.holder else { return false }
        state.holder = .thread
        return true
    }

    /// The thread: all commands there are; nil when there are none and never will be.
    func takeAll() -> [Command]? {
        self.state.withLock { state in
            if state.commands.isEmpty {
                state.isOver = state.isClosed
                return state.isClosed ? nil : []
            }
            defer { state.commands = [] }
            return state.commands
        }
    }

    /// The thread: about to sleep. False when it must not, since somebody put something after it looked.
    func fallAsleep(isLendable: Bool) -> Bool {
        self.state.withLock { state in
            guard state.commands.isEmpty, !state.isClosed else { return false }
            state.holder = .nobody(isLendable: isLendable)
            return true
        }
    }

    /// The thread: awake again, and has the resident.
    func wokeUp(rung: Bool) {
        self.state.withLock { $0.holder = .thread }
        if rung { busbar_eventfd_clear(self.bell) }
    }
}
