#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#endif

/// What a driver thread does all its life: run commands, let the resident work, sleep in `poll`.
struct PollLoop<Resident: ThreadResident> {
    typealias Command = @Sendable (Resident) -> Void

    let mailbox: ThreadMailbox<Command>
    let lodging: Lodging<Resident>

    /// Returns when the mailbox is shut and empty, after the resident has stopped.
    func run(making make: () -> sending Resident) {
        self.lodging.moveIn(making: make)
        var ready = ReadySockets.none
        var (rung, rest) = (false, Rest())
        while self.lodging.work(in: self.mailbox, ready, rung: rung, after: &rest) {
            let count = Self.sleep(&rest)
            rung = count > 0 && rest.polled[0].revents != 0
            ready = .none
            guard count > 0 else { continue }
            for socket in rest.polled.dropFirst() where socket.revents != 0 { ready.note(socket) }
        }
    }

    /// How many descriptors are ready.
    private static func sleep(_ rest: inout Rest) -> CInt {
        // Why the outcome doesn't matter: after an interruption or a want of memory nothing is ready, and the next turn
        // comes at once or by its deadline.
        poll(
            &rest.polled, nfds_t(rest.polled.count),
            rest.isAsleep ? Self.milliseconds(until: rest.waits.deadline) : 0)
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

/// What the thread sleeps for.
struct Rest {
    var waits = ThreadWaits()
    /// The bell first.
    var polled: [pollfd] = []
    /// False when it only has a look.
    var isAsleep = false
}
