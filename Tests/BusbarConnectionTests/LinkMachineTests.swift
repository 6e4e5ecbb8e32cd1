import BusbarConnection
import BusbarDriver
import Testing

@Suite("the life of a link")
struct LinkMachineTests {
    private static let policy = LinkPolicy(
        stepLimit: .seconds(5), probeInterval: .seconds(2), probeLimit: .seconds(3), backOffBase: .milliseconds(100),
        backOffCeiling: .seconds(10)
    )
    private static let lost = DriverError(.unreachable, during: "run", recovery: .retry(after: .zero), detail: "lost")
    private static let refused = DriverError(.unauthorized, during: "run", recovery: .giveUp, detail: "no")

    private let origin = ContinuousClock.now

    private func at(_ seconds: Double) -> ContinuousClock.Instant {
        self.origin + .milliseconds(Int((seconds * 1_000).rounded()))
    }

    private func liveMachine() -> LinkMachine {
        var machine = LinkMachine(policy: Self.policy)
        _ = machine.started(at: self.at(0))
        for _ in LinkMachine.Step.allCases { _ = machine.stepSucceeded(attempt: 1, at: self.at(0)) }
        return machine
    }

    @Test("the steps follow one another, and only after the last one the link is live")
    func steps() {
        var machine = LinkMachine(policy: Self.policy)
        #expect(machine.wakeUp == nil)
        #expect(machine.started(at: self.at(0)) == [.perform(.connect, attempt: 1)])
        #expect(machine.stepSucceeded(attempt: 1, at: self.at(1)) == [.perform(.authenticate, attempt: 1)])
        #expect(machine.stepSucceeded(attempt: 1, at: self.at(1)) == [.perform(.verify, attempt: 1)])
        #expect(machine.stepSucceeded(attempt: 1, at: self.at(1)) == [.perform(.follow, attempt: 1)])
        #expect(!machine.isLive)
        #expect(machine.stepSucceeded(attempt: 1, at: self.at(1)) == [.announceLive])
        #expect(machine.isLive)
        #expect(machine.started(at: self.at(2)).isEmpty)
    }

    @Test("each step has a deadline of its own")
    func stepDeadline() {
        var machine = LinkMachine(policy: Self.policy)
        _ = machine.started(at: self.at(0))
        #expect(machine.wakeUp == self.at(5))
        _ = machine.stepSucceeded(attempt: 1, at: self.at(4))
        #expect(machine.wakeUp == self.at(9))
        #expect(machine.timerFired(at: self.at(8), draw: 0).isEmpty)
        let effects = machine.timerFired(at: self.at(9), draw: 0)
        guard case .announceInterruption(let error) = effects.last else { return #expect(Bool(false), "\(effects)") }
        #expect(effects.first == .disconnect(because: error) && error.code == .timedOut)
    }

    @Test("a failure is reported once, however often it comes back, and again when it is another one")
    func reportedOnce() {
        var machine = LinkMachine(policy: Self.policy)
        _ = machine.started(at: self.at(0))
        #expect(
            machine.failed(Self.lost, attempt: 1, at: self.at(0), draw: 0) == [
                .disconnect(because: Self.lost), .announceInterruption(Self.lost),
            ])
        _ = machine.timerFired(at: self.at(1), draw: 0)
        #expect(machine.failed(Self.lost, attempt: 3, at: self.at(1), draw: 0) == [.disconnect(because: Self.lost)])
        _ = machine.timerFired(at: self.at(2), draw: 0)
        let other = DriverError(.timedOut, during: "run", recovery: .retry(after: .zero), detail: "slow")
        #expect(
            machine.failed(other, attempt: 5, at: self.at(2), draw: 0) == [
                .disconnect(because: other), .announceInterruption(other),
            ])
    }

    @Test("what an attempt that is over reports is ignored")
    func lateReports() {
        var machine = LinkMachine(policy: Self.policy)
        _ = machine.started(at: self.at(0))
        _ = machine.failed(Self.lost, attempt: 1, at: self.at(0), draw: 0.5)
        let wakeUp = machine.wakeUp
        #expect(machine.failed(Self.lost, attempt: 1, at: self.at(0), draw: 0).isEmpty)
        #expect(machine.stepSucceeded(attempt: 1, at: self.at(0)).isEmpty)
        #expect(machine.wakeUp == wakeUp)
    }

    @Test("the wait is drawn between zero and a limit that doubles up to the ceiling")
    func backOff() {
        #expect(Self.policy.longestWait(afterFailures: 0) == .milliseconds(100))
        #expect(Self.policy.longestWait(afterFailures: 3) == .milliseconds(800))
        #expect(Self.policy.longestWait(afterFailures: 7) == .seconds(10))
        #expect(Self.policy.longestWait(afterFailures: .max) == .seconds(10))
        for (draw, wait) in [(0.0, 0.0), (0.5, 0.05), (1.0, 0.1)] {
            var machine = LinkMachine(policy: Self.policy)
            _ = machine.started(at: self.at(0))
            _ = machine.failed(Self.lost, attempt: 1, at: self.at(0), draw: draw)
            #expect(machine.wakeUp == self.at(wait))
        }
    }

    @Test("the broker's own wish to wait is respected, up to the ceiling")
    func wishToWait() {
        for (wish, wait) in [(2.0, 2.0), (60.0, 10.0)] {
            var machine = LinkMachine(policy: Self.policy)
            _ = machine.started(at: self.at(0))
            let busy = DriverError(.overloaded, during: "run", recovery: .retry(after: .seconds(wish)), detail: "busy")
            _ = machine.failed(busy, attempt: 1, at: self.at(0), draw: 0)
            #expect(machine.wakeUp == self.at(wait))
        }
    }

    @Test("a link that was live for long starts over with a short wait; one that dies at once waits longer each time")
    func calmForgives() {
        var machine = self.liveMachine()
        _ = machine.failed(Self.lost, attempt: 1, at: self.at(60), draw: 1)
        #expect(machine.wakeUp == self.at(60.1))
        for (begin, wait) in [(100.0, 0.2), (200, 0.4), (300, 0.8)] {
            guard case .perform(.connect, let attempt) = machine.timerFired(at: self.at(begin), draw: 0).first else {
                return #expect(Bool(false), "no attempt")
            }
            for _ in LinkMachine.Step.allCases { _ = machine.stepSucceeded(attempt: attempt, at: self.at(begin)) }
            #expect(machine.isLive)
            _ = machine.failed(Self.lost, attempt: attempt, at: self.at(begin), draw: 1)
            #expect(machine.wakeUp == self.at(begin + wait))
        }
    }

    @Test("hopeless errors end the run before the first success, and are waited out after it")
    func hopeless() {
        var machine = LinkMachine(policy: Self.policy)
        _ = machine.started(at: self.at(0))
        #expect(
            machine.failed(Self.refused, attempt: 1, at: self.at(0), draw: 0) == [
                .disconnect(because: Self.refused), .finish(Self.refused),
            ])
        #expect(machine.wakeUp == nil && machine.stopped().isEmpty)

        var veteran = self.liveMachine()
        let effects = veteran.failed(Self.refused, attempt: 1, at: self.at(1), draw: 0)
        #expect(effects == [.disconnect(because: Self.refused), .announceInterruption(Self.refused)])
        #expect(veteran.wakeUp == self.at(11))
    }

    @Test("a live link is probed at intervals; the probe's return is what starts the next interval")
    func probes() {
        var machine = self.liveMachine()
        #expect(machine.wakeUp == self.at(2))
        #expect(machine.timerFired(at: self.at(2), draw: 0) == [.sendProbe(1)])
        #expect(machine.wakeUp == self.at(5))
        machine.probeReturned(7, at: self.at(2.5))
        #expect(machine.wakeUp == self.at(5))
        machine.probeReturned(1, at: self.at(2.5))
        #expect(machine.wakeUp == self.at(4.5))
        #expect(machine.timerFired(at: self.at(4.5), draw: 0) == [.sendProbe(2)])
    }

    @Test("silence after a probe is the end of the link; anything heard puts the end off")
    func halfOpen() {
        var machine = self.liveMachine()
        _ = machine.timerFired(at: self.at(2), draw: 0)
        machine.heard(at: self.at(4))
        #expect(machine.wakeUp == self.at(7))
        #expect(machine.timerFired(at: self.at(5), draw: 0).isEmpty)
        let effects = machine.timerFired(at: self.at(7), draw: 0)
        guard case .announceInterruption(let error) = effects.last else { return #expect(Bool(false), "\(effects)") }
        #expect(effects.first == .disconnect(because: error) && error.code == .timedOut && !machine.isLive)
    }

    @Test("stopping ends everything, once, in any state")
    func stopping() {
        var machines = [
            LinkMachine(policy: Self.policy), LinkMachine(policy: Self.policy), self.liveMachine(), self.liveMachine(),
        ]
        _ = machines[1].started(at: self.at(0))
        _ = machines[3].failed(Self.lost, attempt: 1, at: self.at(0), draw: 1)
        for index in machines.indices {
            #expect(machines[index].stopped() == [.disconnect(because: nil), .finish(nil)])
            #expect(machines[index].stopped().isEmpty && machines[index].wakeUp == nil)
            #expect(machines[index].timerFired(at: self.at(99), draw: 0).isEmpty)
        }
    }
}
