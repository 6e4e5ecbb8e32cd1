import Synchronization

/// The bus's time: read from the clock by the ticker and from memory by everybody else, so that a publish costs no clock call.
package final class BusTime: Sendable {
    private static let stopped = Int64.min

    package let clock: any BusClock
    package let pageBytes: Int
    private let latest = Atomic<Int64>(BusTime.stopped)

    package init(clock: any BusClock, pageBytes: Int) {
        self.clock = clock
        self.pageBytes = pageBytes
    }

    /// At most one tick old.
    package func now() -> Moment {
        let latest = self.latest.load(ordering: .relaxed)
        return latest == Self.stopped ? self.clock.now() : Moment(nanoseconds: latest)
    }

    package func tick() -> Moment {
        let now = self.clock.now()
        self.latest.store(now.nanoseconds, ordering: .relaxed)
        return now
    }

    package func stop() {
        self.latest.store(Self.stopped, ordering: .relaxed)
    }
}
