/// The times of a link: how long anything may take before it counts as failed, and how attempts are spaced.
package struct LinkPolicy: Hashable, Sendable {
    /// The longest that one ``LinkMachine/Step`` may take.
    package var stepLimit: Duration
    /// Pause between the return of a probe and the next one.
    package var probeInterval: Duration
    /// The longest silence after a probe before the link counts as dead.
    package var probeLimit: Duration
    /// The longest wait before the first repeated attempt; it doubles with each further failure.
    package var backOffBase: Duration
    /// The longest wait between any two attempts.
    package var backOffCeiling: Duration

    package init(
        stepLimit: Duration = .seconds(5),
        probeInterval: Duration = .seconds(2),
        probeLimit: Duration = .seconds(3),
        backOffBase: Duration = .milliseconds(50),
        backOffCeiling: Duration = .seconds(5)
    ) {
        self.stepLimit = stepLimit
        self.probeInterval = probeInterval
        self.probeLimit = probeLimit
        self.backOffBase = backOffBase
        self.backOffCeiling = backOffCeiling
    }

    /// The upper end of the wait after so many failures in a row; the wait itself is drawn from zero to here (full
    /// jitter), so that the nodes of a farm don't come back as one herd.
    package func longestWait(afterFailures failures: Int) -> Duration {
        // Why: past 2^20 every sensible ceiling is reached; it keeps the product within range.
        min(self.backOffCeiling, self.backOffBase * (1 << min(max(failures, 0), 20)))
    }
}
