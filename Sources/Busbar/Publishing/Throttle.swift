import Synchronization

/// Slows publishing down while a tap of this node is behind. Costs one atomic load while none is.
package final class Throttle: Sendable {
    private let pressing = Atomic<Int>(0)
    private let waiting = WaitList()

    package init() {}

    package var isPressed: Bool { self.pressing.load(ordering: .relaxed) > 0 }

    /// A tap is more than half full.
    package func press() {
        self.pressing.add(1, ordering: .sequentiallyConsistent)
    }

    /// It is no longer.
    package func relieve() {
        guard self.pressing.subtract(1, ordering: .sequentiallyConsistent).newValue == 0 else { return }
        self.waiting.resumeAll()
    }

    /// Suspends until no tap is behind: true. False when `deadline` passed or the task was cancelled before.
    package func wait(until deadline: Moment) async -> Bool {
        await self.waiting.wait(until: deadline) { self.pressing.load(ordering: .sequentiallyConsistent) == 0 }
    }

    package func tick(now: Moment) {
        self.waiting.tick(now: now)
    }

    /// Lets everybody go with a refusal: the bus ends.
    package func close() {
        self.waiting.close()
    }
}
