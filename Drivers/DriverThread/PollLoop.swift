#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a driver thread does all its life: run commands, let the resident work, sleep in `poll`.
struct PollLoop<Resident: ThreadResident> {
    typealias Command = @Sendable (Resident) -> Void

    let mailbox: ThreadMailbox<Command>
    let resident: Resident

    /// Returns when the mailbox is shut and empty, after the resident has stopped.
    func run() {
        var ready = ReadySockets.none
        while let commands = self.mailbox.takeAll() {
            for command in commands { command(self.resident) }
            self.resident.turn(ready)
            ready = self.sleep()
        }
        self.resident.stop()
    }

    private func sleep() -> ReadySockets {
        let waits = self.resident.waits()
        let maySleep = self.mailbox.fallAsleep()
        var polled = [pollfd(fd: self.mailbox.bell, events: Int16(truncatingIfNeeded: POLLIN), revents: 0)]
        polled.append(contentsOf: waits.sockets.map(\.polled))
        // Why the outcome doesn't matter: after an interruption or a want of memory nothing is ready, and the next turn
        // comes at once or by its deadline.
        let count = poll(&polled, nfds_t(polled.count), maySleep ? Self.milliseconds(until: waits.deadline) : 0)
        self.mailbox.wokeUp(rung: count > 0 && polled[0].revents != 0)
        var ready = ReadySockets.none
        guard count > 0 else { return ready }
        for socket in polled.dropFirst() where socket.revents != 0 { ready.note(socket) }
        return ready
    }

    /// Rounded up: waking too early would spin until the time has come.
    private static func milliseconds(until deadline: ContinuousClock.Instant?) -> CInt {
        guard let deadline else { return -1 }
        let left = ContinuousClock.now.duration(to: deadline)
        guard left > .zero else { return 0 }
        let (seconds, attoseconds) = left.components
        guard seconds < 86_400 else { return 86_400_000 }
        return CInt(seconds * 1_000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}
