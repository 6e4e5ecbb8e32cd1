package import BusbarDriver

/// Decides the life of a driver's link to its broker: connect, authenticate, verify, follow, live; and after a failure
/// back off and do it again. One link may be several sockets: they live and die together.
///
/// A value without I/O, clock or randomness. Every event carries the time; the shell performs the effects in order and
/// calls ``timerFired(at:draw:)`` when ``wakeUp`` has come. Events of an attempt that is over are ignored, so a shell
/// may report late.
package struct LinkMachine: Sendable {
    package typealias Instant = ContinuousClock.Instant

    /// What has to succeed, in this order, before a link is live.
    package enum Step: Hashable, Sendable, CaseIterable {
        /// Open the sockets.
        case connect
        /// Show who we are and choose the database.
        case authenticate
        /// Make sure that this is the right broker in a usable state.
        case verify
        /// Begin to receive, and learn what each stream holds.
        case follow
    }

    /// What the shell has to do now.
    package enum Effect: Hashable, Sendable {
        /// Perform a step and report ``stepSucceeded(attempt:at:)`` or ``failed(_:attempt:at:draw:)``.
        case perform(Step, attempt: Int)
        /// Tell the bus that the link delivers from now on.
        case announceLive
        /// Tell the bus that the link is away.
        case announceInterruption(DriverError)
        /// Send a probe through the broker to ourselves; report ``probeReturned(_:at:)``.
        case sendProbe(UInt64)
        /// Close whatever is open; fail what waits for an answer. Without an error because the link was stopped.
        case disconnect(because: DriverError?)
        /// The run is over: with an error if it is hopeless, without one if it was stopped.
        case finish(DriverError?)
    }

    private struct Life {
        var since: Instant
        var heardAt: Instant
        var nextProbeAt: Instant
        var probe: (number: UInt64, sentAt: Instant)?
    }

    private enum State {
        case idle
        case performing(Step, until: Instant)
        case live(Life)
        case waiting(until: Instant)
        case finished
    }

    private let policy: LinkPolicy
    private var state = State.idle
    private var attempt = 0
    private var probeCount: UInt64 = 0
    private var wasEverLive = false
    /// Failures in a row, for the back-off.
    private var failures = 0
    private var lastReported: DriverError?

    package init(policy: LinkPolicy) {
        self.policy = policy
    }

    package var isLive: Bool {
        if case .live = self.state { true } else { false }
    }

    /// When ``timerFired(at:draw:)`` is wanted next; nil when no time matters.
    package var wakeUp: Instant? {
        switch self.state {
        case .idle, .finished: nil
        case .performing(_, let until), .waiting(let until): until
        case .live(let life): self.nextDeadline(of: life)
        }
    }

    // MARK: Events

    package mutating func started(at now: Instant) -> [Effect] {
        guard case .idle = self.state else { return [] }
        return self.beginAttempt(at: now)
    }

    package mutating func stepSucceeded(attempt: Int, at now: Instant) -> [Effect] {
        guard attempt == self.attempt, case .performing(let step, _) = self.state else { return [] }
        switch step {
        case .connect: return self.perform(.authenticate, at: now)
        case .authenticate: return self.perform(.verify, at: now)
        case .verify: return self.perform(.follow, at: now)
        case .follow:
            self.wasEverLive = true
            self.lastReported = nil
            let firstProbeAt = now + self.policy.probeInterval
            self.state = .live(Life(since: now, heardAt: now, nextProbeAt: firstProbeAt, probe: nil))
            return [.announceLive]
        }
    }

    /// A step failed or an established link broke.
    /// - Parameter draw: a random number in `0 ..< 1` for the jitter.
    package mutating func failed(
        _ error: DriverError, attempt: Int, at now: Instant, draw: Double
    ) -> [Effect] {
        guard attempt == self.attempt else { return [] }
        return self.fail(error, at: now, draw: draw)
    }

    /// Something arrived on the receiving side: proof that it works.
    package mutating func heard(at now: Instant) {
        guard case .live(var life) = self.state else { return }
        life.heardAt = now
        self.state = .live(life)
    }

    package mutating func probeReturned(_ number: UInt64, at now: Instant) {
        guard case .live(var life) = self.state, life.probe?.number == number else { return }
        life.probe = nil
        life.heardAt = now
        life.nextProbeAt = now + self.policy.probeInterval
        self.state = .live(life)
    }

    package mutating func timerFired(at now: Instant, draw: Double) -> [Effect] {
        guard let wakeUp = self.wakeUp, wakeUp <= now else { return [] }
        switch self.state {
        case .idle, .finished:
            return []
        case .waiting:
            return self.beginAttempt(at: now)
        case .performing(let step, _):
            let detail = "\(step) took longer than \(self.policy.stepLimit)"
            return self.fail(.link(.timedOut, detail), at: now, draw: draw)
        case .live(var life):
            if life.probe != nil {
                let detail = "a probe sent to ourselves did not come back within \(self.policy.probeLimit)"
                return self.fail(.link(.timedOut, detail), at: now, draw: draw)
            }
            self.probeCount += 1
            life.probe = (self.probeCount, now)
            self.state = .live(life)
            return [.sendProbe(self.probeCount)]
        }
    }

    package mutating func stopped() -> [Effect] {
        if case .finished = self.state { return [] }
        self.state = .finished
        self.attempt += 1
        return [.disconnect(because: nil), .finish(nil)]
    }

    // MARK: Decisions

    private mutating func beginAttempt(at now: Instant) -> [Effect] {
        self.attempt += 1
        return self.perform(.connect, at: now)
    }

    private mutating func perform(_ step: Step, at now: Instant) -> [Effect] {
        self.state = .performing(step, until: now + self.policy.stepLimit)
        return [.perform(step, attempt: self.attempt)]
    }

    private mutating func fail(_ error: DriverError, at now: Instant, draw: Double) -> [Effect] {
        var leastWait = Duration.zero
        switch self.state {
        case .idle, .waiting, .finished:
            return []
        case .performing:
            break
        case .live(let life):
            // Why: a life shorter than the longest wait of the next attempt is one more failure of the same kind; else
            // a broker that accepts and drops us at once would be hammered without any back-off.
            if now - life.since >= self.policy.longestWait(afterFailures: self.failures) { self.failures = 0 }
        }
        switch error.recovery {
        case .retry(let after): leastWait = min(after, self.policy.backOffCeiling)
        case .giveUp where self.wasEverLive:
            // Why: credentials that worked once may work again (a rotation under way); a farm must not die of that.
            leastWait = self.policy.backOffCeiling
        case .giveUp:
            self.state = .finished
            self.attempt += 1
            return [.disconnect(because: error), .finish(error)]
        }
        let wait = max(leastWait, self.policy.longestWait(afterFailures: self.failures) * min(max(draw, 0), 1))
        self.failures += 1
        self.attempt += 1
        self.state = .waiting(until: now + wait)
        guard error != self.lastReported else { return [.disconnect(because: error)] }
        self.lastReported = error
        return [.disconnect(because: error), .announceInterruption(error)]
    }

    private func nextDeadline(of life: Life) -> Instant {
        guard let probe = life.probe else { return life.nextProbeAt }
        // Why: a receiving side with a backlog shows that it works by what arrives; only silence is suspicious.
        return max(probe.sentAt, life.heardAt) + self.policy.probeLimit
    }
}

extension DriverError {
    fileprivate static func link(_ code: Code, _ detail: String) -> Self {
        Self(code, during: "run", recovery: .retry(after: .zero), detail: detail)
    }
}
