#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What lives on a ``DriverThread``: the state of a driver whose library has sockets and functions of its own.
///
/// It is created on the thread, called on the thread or by who borrows it while that sleeps, and released on the thread; never by
/// two at once, so it needs neither lock nor `Sendable`. None of its members may block: while one does, the thread's deadlines and
/// commands wait.
package protocol ThreadResident: AnyObject, SendableMetatype {
    /// What to sleep for; asked before each sleep, since libraries change their sockets and wishes as they go.
    func waits() -> ThreadWaits

    /// The thread woke: for a socket, a deadline or a command. Commands have run before this is called.
    ///
    /// Called once per turn, also when nothing is ready; so this is the place to look at deadlines and to send what the
    /// turn's commands have gathered, as one batch.
    func turn(_ ready: ReadySockets)

    /// The last call: close everything, and answer whoever still waits for an answer.
    func stop()

    /// Whether a command may run on the thread of whoever puts it while this one sleeps.
    var isLendable: Bool { get }

    /// Instead of a turn, after such a command: sends what it has gathered, as far as that needs no waiting. Opens no socket.
    /// - Returns: false when the thread is to take a turn now.
    func post() -> Bool
}

extension ThreadResident {
    package var isLendable: Bool { false }
    package func post() -> Bool { false }
}

/// What a resident sleeps for.
package struct ThreadWaits: Hashable, Sendable {
    /// The sockets, each at most once.
    package var sockets: [SocketWait]
    /// When to wake at the latest; nil to wait for a socket or a command. A time that has passed means: don't sleep.
    package var deadline: ContinuousClock.Instant?

    package init(sockets: [SocketWait] = [], deadline: ContinuousClock.Instant? = nil) {
        self.sockets = sockets
        self.deadline = deadline
    }

    /// Also wakes at `instant`, if that is earlier.
    package mutating func wake(at instant: ContinuousClock.Instant?) {
        guard let instant else { return }
        self.deadline = self.deadline.map { min($0, instant) } ?? instant
    }
}

/// A socket of a library and what is awaited of it.
package struct SocketWait: Hashable, Sendable {
    package let descriptor: CInt
    package let isForReading: Bool
    package let isForWriting: Bool

    package init(_ descriptor: CInt, reading: Bool, writing: Bool) {
        self.descriptor = descriptor
        self.isForReading = reading
        self.isForWriting = writing
    }

    var polled: pollfd {
        let events = (self.isForReading ? POLLIN : 0) | (self.isForWriting ? POLLOUT : 0)
        return pollfd(fd: self.descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
    }
}

/// The sockets that are ready, by descriptor. A broken one counts as ready for both: the library finds out how it broke.
package struct ReadySockets: Hashable, Sendable {
    private var readable: [CInt] = []
    private var writable: [CInt] = []

    package static let none = Self()

    package func isReadable(_ descriptor: CInt) -> Bool { self.readable.contains(descriptor) }
    package func isWritable(_ descriptor: CInt) -> Bool { self.writable.contains(descriptor) }

    mutating func note(_ polled: pollfd) {
        let events = CInt(polled.revents)
        let isBroken = events & (POLLERR | POLLHUP | POLLNVAL) != 0
        if isBroken || events & POLLIN != 0 { self.readable.append(polled.fd) }
        if isBroken || events & POLLOUT != 0 { self.writable.append(polled.fd) }
    }
}
