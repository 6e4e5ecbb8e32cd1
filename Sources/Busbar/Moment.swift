/// A point in time that only this process understands: monotonic, in nanoseconds.
package struct Moment: Hashable, Comparable, Sendable {
    package let nanoseconds: Int64

    package init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    package static func < (left: Self, right: Self) -> Bool { left.nanoseconds < right.nanoseconds }

    package static func + (left: Self, right: Duration) -> Self {
        Self(nanoseconds: left.nanoseconds.addingReportingOverflow(right.inNanoseconds).partialValue)
    }
}

extension Duration {
    /// Whole nanoseconds, at most about 290 years.
    package var inNanoseconds: Int64 {
        let (seconds, attoseconds) = self.components
        let (scaled, overflow) = seconds.multipliedReportingOverflow(by: 1_000_000_000)
        return overflow ? (seconds < 0 ? .min / 4 : .max / 4) : scaled + attoseconds / 1_000_000_000
    }
}

/// Where the bus takes its time from; tests turn the hands themselves.
package protocol BusClock: Sendable {
    func now() -> Moment
    /// Suspends for `duration`. Throws `CancellationError` when the task is cancelled.
    func sleep(for duration: Duration) async throws
}

/// The machine's monotonic clock.
package struct MonotonicClock: BusClock {
    private let origin = ContinuousClock.now

    package init() {}

    package func now() -> Moment {
        Moment(nanoseconds: (ContinuousClock.now - self.origin).inNanoseconds)
    }

    package func sleep(for duration: Duration) async throws {
        try await Task.sleep(for: duration, clock: .continuous)
    }
}
