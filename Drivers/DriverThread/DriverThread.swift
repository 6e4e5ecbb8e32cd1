package import BusbarDriver
import CEventFD
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// One thread that sleeps in `poll` over a C library's sockets and a bell, and everything of a driver that lives on it.
///
/// For libraries that own their sockets and must be called from one thread at a time. Others send commands; each command gets
/// the resident, which nobody can reach in any other way:
///
/// ```swift
/// let thread = try DriverThread(name: "postgres") { Connections() }
/// let answer = await thread.call(during: "append") { connections, done in connections.append(batch, done) }
/// await thread.stop()
/// ```
/// A command costs a lock and an append to an array while the thread is awake, and one system call more when it sleeps. All
/// commands that have gathered run in one turn. Neither Swift's pool nor an event loop ever waits for this thread.
///
/// While the thread sleeps, a command may also borrow the resident: it is run by whoever puts it, and what it wants sent is sent
/// before the put returns. That spares waking the thread, which on an idle machine takes longer than the sending.
package final class DriverThread<Resident: ThreadResident>: Sendable {
    package typealias Command = @Sendable (Resident) -> Void
    /// Called once, on the thread, with the answer to a call.
    package typealias Completion<Answer: Sendable> = @Sendable (Result<Answer, DriverError>) -> Void

    private let mailbox: ThreadMailbox<Command>
    private let lodging = Lodging<Resident>()
    private let handle: Mutex<pthread_t?>
    private let end: ThreadEnd

    /// Starts the thread.
    /// - Parameters:
    ///   - name: for debuggers; at most 15 bytes of it are shown.
    ///   - mailboxLimit: how many commands may wait; more are refused.
    ///   - make: called on the thread, first.
    /// - Throws: ``DriverError/Code/overloaded`` when the process may have no further thread or descriptor.
    package init(
        name: String, mailboxLimit: Int = 16_384, resident make: @escaping @Sendable () -> sending Resident
    ) throws(DriverError) {
        guard let mailbox = ThreadMailbox<Command>(limit: mailboxLimit) else { throw Self.startError("an eventfd") }
        let (end, lodging) = (ThreadEnd(), self.lodging)
        let body: @Sendable () -> Void = {
            busbar_thread_name(name)
            PollLoop(mailbox: mailbox, lodging: lodging).run(making: make)
            end.reached()
        }
        guard let handle = Self.spawn(body) else { throw Self.startError("a thread") }
        self.mailbox = mailbox
        self.end = end
        self.handle = Mutex(handle)
    }

    deinit {
        // Why not joined: whoever lets go without stopping may be the thread itself.
        self.mailbox.shut()
        self.handle.withLock { handle in
            if let handle { pthread_detach(handle) }
        }
    }

    /// Runs `command` on the thread soon, after those put before it.
    /// - Parameter borrowing: if the thread sleeps and the resident allows it, the command is run right here instead, followed by
    ///   ``ThreadResident/post()``. For commands that neither wait nor open anything; they may be run under locks of the thread.
    /// - Throws: ``DriverError/Code/closed`` after ``stop()``, ``DriverError/Code/overloaded`` when too many wait.
    package func put(
        during operation: StaticString, borrowing: Bool = false, _ command: @escaping Command
    ) throws(DriverError) {
        do throws(ThreadMailbox<Command>.Refusal) {
            guard try self.mailbox.put(command, mayBorrow: borrowing) == .lent else { return }
            if let isDone = self.lodging.borrow(for: command) {
                self.mailbox.giveBack(isDone: isDone)
            } else {
                try self.mailbox.giveUp(command)
            }
        } catch {
            switch error {
            case .closed:
                throw DriverError(
                    .closed, during: operation, recovery: .retry(after: .milliseconds(100)),
                    detail: "the driver isn't running")
            case .full:
                throw DriverError(
                    .overloaded, during: operation, recovery: .retry(after: .milliseconds(100)),
                    detail: "too many requests wait for the driver's thread")
            }
        }
    }

    /// Runs `body` on the thread and suspends until it, or whoever it hands the completion to, has answered.
    ///
    /// The resident owes every completion exactly one call, with a deadline of its own; ``ThreadResident/stop()`` is the last
    /// occasion. Cancelling the calling task doesn't end the wait.
    package func call<Answer: Sendable>(
        during operation: StaticString,
        _ body: @escaping @Sendable (Resident, @escaping Completion<Answer>) -> Void
    ) async -> Result<Answer, DriverError> {
        await withCheckedContinuation { (continuation: CheckedContinuation<Result<Answer, DriverError>, Never>) in
            do throws(DriverError) {
                try self.put(during: operation) { resident in
                    body(resident) { continuation.resume(returning: $0) }
                }
            } catch {
                continuation.resume(returning: .failure(error))
            }
        }
    }

    /// Refuses further commands, runs those that wait, stops and releases the resident, and returns when the thread has ended.
    /// May be called again, and by several tasks at once.
    package func stop() async {
        self.mailbox.shut()
        await self.end.wait()
        // Why joining is no blocking here: all that is left of the thread is its return.
        self.handle.withLock { handle in
            if let ended = handle { pthread_join(ended, nil) }
            handle = nil
        }
    }

    private static func startError(_ what: String) -> DriverError {
        DriverError(
            .overloaded, during: "run", recovery: .retry(after: .seconds(1)),
            detail: "the system refused \(what): \(String(cString: strerror(errno)))")
    }

    private static func spawn(_ body: @escaping @Sendable () -> Void) -> pthread_t? {
        let box = Unmanaged.passRetained(ThreadBody(run: body))
        var handle = pthread_t()
        // Why: signals are the business of the main thread; a library's system call must not end early for one.
        var all = sigset_t()
        var before = sigset_t()
        sigfillset(&all)
        pthread_sigmask(SIG_SETMASK, &all, &before)
        let code = pthread_create(
            &handle, nil,
            { argument in
                guard let argument else { return nil }
                Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run()
                return nil
            }, box.toOpaque())
        pthread_sigmask(SIG_SETMASK, &before, nil)
        guard code == 0 else {
            box.release()
            errno = code
            return nil
        }
        return handle
    }
}

private final class ThreadBody: Sendable {
    let run: @Sendable () -> Void

    init(run: @escaping @Sendable () -> Void) {
        self.run = run
    }
}

/// Lets tasks wait for a thread's end.
private final class ThreadEnd: Sendable {
    private enum State {
        case ahead([CheckedContinuation<Void, Never>])
        case reached
    }

    private let state = Mutex(State.ahead([]))

    func reached() {
        let waiting = self.state.withLock { state -> [CheckedContinuation<Void, Never>] in
            defer { state = .reached }
            if case .ahead(let waiting) = state { return waiting }
            return []
        }
        for continuation in waiting { continuation.resume() }
    }

    func wait() async {
        await withCheckedContinuation { continuation in
            let isOver = self.state.withLock { state in
                guard case .ahead(let waiting) = state else { return true }
                state = .ahead(waiting + [continuation])
                return false
            }
            if isOver { continuation.resume() }
        }
    }
}
