import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// Where a resident lives: under a lock that its thread holds while it works, and that somebody else may take while the thread sleeps.
final class Lodging<Resident: ThreadResident>: Sendable {
    typealias Command = @Sendable (Resident) -> Void

    private struct Room {
        var resident: Resident?
        /// What the thread sleeps for.
        var waits = ThreadWaits()
        /// Since the thread fell asleep.
        var wasBorrowed = false
    }

    private let room = Mutex(Room())

    func moveIn(making make: () -> sending Resident) {
        self.room.withLock { $0.resident = make() }
    }

    /// The thread: runs what waits and lets the resident work.
    /// - Parameters:
    ///   - rung: whether the bell was heard.
    ///   - rest: what it has slept for; set to what it is to sleep for next.
    /// - Returns: false when everything is over and the resident gone.
    func work(
        in mailbox: ThreadMailbox<Command>, _ ready: ReadySockets, rung: Bool, after rest: inout Rest
    ) -> Bool {
        let next: Rest? = self.room.withLock { room in
            mailbox.wokeUp(rung: rung)
            guard let resident = room.resident else { return nil }
            guard let commands = mailbox.takeAll() else {
                resident.stop()
                room.resident = nil
                return nil
            }
            // Why: who borrowed the resident may have closed a socket; its number says nothing any more.
            let isStale = room.wasBorrowed && resident.waits().sockets != room.waits.sockets
            room.wasBorrowed = false
            for command in commands { command(resident) }
            resident.turn(isStale ? .none : ready)
            var next = Rest(waits: resident.waits())
            room.waits = next.waits
            next.isAsleep = mailbox.fallAsleep(isLendable: resident.isLendable)
            return next
        }
        guard var next else { return false }
        next.polled = [pollfd(fd: mailbox.bell, events: Int16(truncatingIfNeeded: POLLIN), revents: 0)]
        next.polled.append(contentsOf: next.waits.sockets.map(\.polled))
        rest = next
        return true
    }

    /// Somebody else, to whom the mailbox has lent the resident: runs one command and has its work sent.
    /// - Returns: whether the thread may sleep on; nil when it was quicker, and the command was not run.
    func borrow(for command: Command) -> Bool? {
        self.room.withLockIfAvailable { room -> Bool? in
            guard let resident = room.resident, resident.isLendable else { return nil }
            room.wasBorrowed = true
            command(resident)
            guard resident.post() else { return false }
            let waits = resident.waits()
            guard waits.sockets == room.waits.sockets else { return false }
            guard let deadline = waits.deadline else { return true }
            return room.waits.deadline.map { $0 <= deadline } ?? false
        } ?? nil
    }
}
